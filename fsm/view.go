package fsm

import (
	"fmt"
	"iter"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// View is the whole state at one revision. It never changes and any number of
// goroutines may read it.
type View struct {
	reader   reader
	index    *indexes
	revision uint64
	totals   totals
}

// indexes are of the newest state, whatever view they are reached from.
type indexes struct {
	outcomes *outcomeIndex
	groups   *groupIndex
}

func newIndexes() *indexes {
	return &indexes{outcomes: newOutcomeIndex(), groups: newGroupIndex()}
}

// totals are what is kept count of as the state changes.
type totals struct {
	sum   digest
	rows  [kinds]int
	bytes int
	// lastWorkload is the revision of the last entry that wrote or deleted the
	// row of a workload or a config.
	lastWorkload uint64
	outcomes     int
	outcomeBytes int
	// revision and time of the oldest entry of which outcomes are remembered
	oldestRevision uint64
	oldestProposed int64
}

func (t *totals) putRow(before, row *Row) {
	if before != nil {
		t.deleteRow(before)
	}
	t.rows[row.Kind]++
	t.bytes += row.size()
	t.sum.add(row.digest)
}

func (t *totals) rowCount() int {
	count := 0
	for _, n := range t.rows {
		count += n
	}
	return count
}

func (t *totals) deleteRow(row *Row) {
	t.rows[row.Kind]--
	t.bytes -= row.size()
	t.sum.sub(row.digest)
}

func (t *totals) remember(o *outcomes) {
	if t.outcomes == 0 {
		t.oldestRevision, t.oldestProposed = o.revision, o.proposedAt
	}
	t.outcomes += len(o.items)
	t.outcomeBytes += o.size
	t.sum.add(o.digest)
}

// forget takes out the oldest; next is what is then the oldest, nil for none.
func (t *totals) forget(o, next *outcomes) {
	t.outcomes -= len(o.items)
	t.outcomeBytes -= o.size
	t.sum.sub(o.digest)
	t.oldestRevision, t.oldestProposed = 0, 0
	if next != nil {
		t.oldestRevision, t.oldestProposed = next.revision, next.proposedAt
	}
}

// Revision returns the revision of the state: the index of the last entry that
// is in it.
func (v *View) Revision() uint64 { return v.revision }

// Hash returns the running hash of the state and its revision. Machines that
// hold the same state have the same hash; those that do not hold the same
// state at the same revision have not.
func (v *View) Hash() [32]byte {
	return stateHash(v.totals.sum, v.revision, v.totals.rowCount(), v.totals.outcomes)
}

// Rehash computes the hash from the state itself, in time proportional to its
// size. It differs from Hash when memory was damaged or a shared row was
// written to.
func (v *View) Rehash() [32]byte {
	hash, _ := v.rehash(nil)
	return hash
}

// Verify is Rehash for whoever has time: it rests after every so many rows, and
// returns ErrDamaged when the state is not what its running hash says, or the
// error of a rest.
func (v *View) Verify(rest func() error) error {
	found, err := v.rehash(rest)
	if err != nil {
		return fmt.Errorf("verify state of revision %d: %w", v.revision, err)
	}
	if promised := v.Hash(); found != promised {
		return fmt.Errorf("verify state of revision %d: %w (%x, running %x)", v.revision, ErrDamaged, found, promised)
	}
	return nil
}

// verifiedAtOnce is after how many rows Verify rests: some 100 us of hashing.
const verifiedAtOnce = 256

func (v *View) rehash(rest func() error) ([32]byte, error) {
	var hasher hasher
	var sum digest
	rows, remembered, done := 0, 0, 0
	step := func() error {
		if done++; rest == nil || done%verifiedAtOnce != 0 {
			return nil
		}
		return rest()
	}
	for row := range v.Rows() {
		rows++
		sum.add(hasher.row(row))
		if err := step(); err != nil {
			return [32]byte{}, err
		}
	}
	for o := range v.reader.outcomes() {
		remembered += len(o.items)
		sum.add(hasher.outcomes(o))
		if err := step(); err != nil {
			return [32]byte{}, err
		}
	}
	return stateHash(sum, v.revision, rows, remembered), nil
}

// Row returns one row.
func (v *View) Row(kind argosyv1.RowKind, key string) (*Row, bool) {
	row := v.reader.row(appendID(make([]byte, 0, 64), kind, key))
	return row, row != nil
}

// Rows yields all rows, in order of kind and key.
func (v *View) Rows() iter.Seq[*Row] { return v.reader.all() }

// Workload returns the row of a workload.
func (v *View) Workload(name string) (*Row, bool) {
	return v.Row(argosyv1.RowKind_ROW_KIND_WORKLOAD, name)
}

// Workloads yields the rows of all workloads, in order of name.
func (v *View) Workloads() iter.Seq[*Row] {
	return v.reader.rows(argosyv1.RowKind_ROW_KIND_WORKLOAD)
}

// Config returns the row of a config.
func (v *View) Config(key string) (*Row, bool) {
	return v.Row(argosyv1.RowKind_ROW_KIND_CONFIG, key)
}

// Configs yields the rows of all configs, in order of key.
func (v *View) Configs() iter.Seq[*Row] {
	return v.reader.rows(argosyv1.RowKind_ROW_KIND_CONFIG)
}

// WorkloadsOf yields the rows of the workloads that are rendered to an agent, in
// order of name; those of none for the empty name.
func (v *View) WorkloadsOf(agent string) iter.Seq[*Row] {
	return v.group(argosyv1.RowKind_ROW_KIND_WORKLOAD, agent)
}

// Agent returns the row of an agent.
func (v *View) Agent(name string) (*Row, bool) {
	return v.Row(argosyv1.RowKind_ROW_KIND_AGENT, name)
}

// Agents yields the rows of all agents, in order of name.
func (v *View) Agents() iter.Seq[*Row] {
	return v.reader.rows(argosyv1.RowKind_ROW_KIND_AGENT)
}

// Cluster returns the settings of the cluster, false when none were written
// yet. Settings that do not decode are an empty message, but true: a cluster
// that has settings must not be taken for a new one.
func (v *View) Cluster() (*argosyv1.ClusterSettings, bool) {
	row, ok := v.Row(argosyv1.RowKind_ROW_KIND_CLUSTER, ClusterKey)
	if !ok {
		return nil, false
	}
	settings, err := row.ClusterSettings()
	if err != nil {
		return &argosyv1.ClusterSettings{CreatedRevision: row.CreatedRevision, Revision: row.Revision}, true
	}
	return settings, true
}

// Count returns the number of rows of a kind, without looking at them.
func (v *View) Count(kind argosyv1.RowKind) int {
	if kind < 0 || int(kind) >= kinds {
		return 0
	}
	return v.totals.rows[kind]
}

// Bytes returns the size of the state: of the keys, groups and values of all
// rows, without looking at them. What a request costs beyond that, and the
// answers that are remembered, are bounded elsewhere.
func (v *View) Bytes() int { return v.totals.bytes }

// countsAsChange tells whether rows of a kind are what users may expect not to
// have changed (ApplyRequest.expected_state_revision).
func countsAsChange(kind argosyv1.RowKind) bool {
	return kind == argosyv1.RowKind_ROW_KIND_WORKLOAD || kind == argosyv1.RowKind_ROW_KIND_CONFIG
}

// LastWorkloadRevision returns the revision of the last entry that created,
// changed or deleted a workload or a config; after a restore from a snapshot that does not
// say, the revision of that snapshot, which is never too low.
func (v *View) LastWorkloadRevision() uint64 { return v.totals.lastWorkload }

// Outcome returns the remembered answer to a request. An empty id has none.
func (v *View) Outcome(requestID []byte) (OutcomeRef, bool) {
	if len(requestID) == 0 || v.totals.outcomes == 0 {
		return OutcomeRef{}, false
	}
	place, forgotten := v.index.outcomes.find(requestID)
	if place.of != nil && place.of.revision <= v.revision {
		return place.of.ref(place.at), true
	}
	if place.of == nil && forgotten < v.totals.oldestRevision {
		return OutcomeRef{}, false
	}
	// The index went on without this view. Only a view that has been held
	// while outcomes were forgotten comes here, or one asked for a request
	// that was answered after it.
	var found OutcomeRef
	ok := false
	for o := range v.reader.outcomes() {
		if ref, hit := o.find(string(requestID)); hit {
			found, ok = ref, true
		}
	}
	return found, ok
}

// OutcomeStats returns how many outcomes are remembered, about how many bytes
// they take, and revision and time of the oldest (zero when there is none).
func (v *View) OutcomeStats() (count, bytes int, oldestRevision uint64, oldestProposed int64) {
	t := &v.totals
	return t.outcomes, t.outcomeBytes, t.oldestRevision, t.oldestProposed
}

// NewestProposed returns the leader's clock in the newest entry of which outcomes
// are remembered, 0 when there is none.
func (v *View) NewestProposed() int64 {
	if newest := v.reader.newest; newest != nil {
		return newest.proposedAt
	}
	return 0
}

// Outcomes yields what is remembered of each entry, the oldest first.
func (v *View) Outcomes() iter.Seq[OutcomeBatch] {
	return func(yield func(OutcomeBatch) bool) {
		for o := range v.reader.outcomes() {
			if !yield(OutcomeBatch{Revision: o.revision, ProposedAt: o.proposedAt, Count: len(o.items), Bytes: o.size}) {
				return
			}
		}
	}
}

// Results yields the encoded WriteResults that are remembered of entries after a
// revision, with their revisions, the oldest first.
func (v *View) Results(after uint64) iter.Seq2[uint64, string] {
	return func(yield func(uint64, string) bool) {
		for o := range v.reader.outcomes() {
			if o.revision <= after {
				continue
			}
			for i := range o.items {
				if !yield(o.revision, o.at(i).result) {
					return
				}
			}
		}
	}
}

// String says which state this is, for logs.
func (v *View) String() string {
	hash := v.Hash()
	return fmt.Sprintf("revision %d hash %x", v.revision, hash[:8])
}
