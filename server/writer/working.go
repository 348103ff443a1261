package writer

import (
	"bytes"
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"google.golang.org/protobuf/proto"
)

// Working is the state as it will be once everything in flight is committed:
// the state machine's view with the rows of entries in flight laid over it. It
// belongs to the writer's goroutine.
type Working struct {
	writer *Writer
	view   *fsm.View
	// known is the revision up to which the writer has heard that entries are
	// committed; the view may be ahead of it.
	known uint64
	// rows are those that entries in flight write.
	rows map[rowKey]pendingRow
	// requests are those that entries in flight answer.
	requests map[[RequestIDLength]byte]*item
	current  *batch
	// grown is by how many bytes entries in flight make the state larger.
	grown int
	// changedBy is the newest entry in flight that changes a workload or a config,
	// nil when none does.
	changedBy *batch
	// links are nil until they are needed.
	links *links
	// level is the feature level of the cluster.
	level uint32
	// quota is how large the state may become, in bytes.
	quota int
	// records tells that refusals may be recorded: all servers know of that.
	records bool
	// departed are the workloads deleted last, and elsewhere tells whether agents
	// may still have them.
	departed  departed
	elsewhere func(workload, agent string, deleted uint64) bool
	// agent tells what is known of an agent.
	agent func(name string) (connected bool, states []*argosyv1.WorkloadState)
	// expired is the revision up to which outcomes are forgotten, entries in
	// flight included.
	expired uint64
}

type rowKey struct {
	kind argosyv1.RowKind
	key  string
}

// pendingRow is a row as an entry in flight leaves it.
type pendingRow struct {
	by      *batch
	deleted bool
	value   []byte
	size    int
}

// Row is a row of the working copy.
type Row struct {
	// Exists tells whether there is such a row.
	Exists bool
	// Value is the encoded message.
	Value []byte
	// revision is that of the row when it is committed.
	revision uint64
	// by is the entry in flight that wrote it; its revision is not known yet.
	by *batch
	// size is what the row counts in the size of the state, 0 for none.
	size int
}

// Revision returns the revision of the row, false when an entry in flight wrote
// it, so that nobody can know it yet.
func (r Row) Revision() (uint64, bool) { return r.revision, r.by == nil }

func newWorking(view *fsm.View) *Working {
	return &Working{
		view:     view,
		known:    view.Revision(),
		rows:     map[rowKey]pendingRow{},
		requests: map[[RequestIDLength]byte]*item{},
		departed: newDeparted(view.Revision()),
	}
}

// Row returns a row.
func (c *Working) Row(kind argosyv1.RowKind, key string) Row {
	if p, ok := c.rows[rowKey{kind, key}]; ok {
		return Row{Exists: !p.deleted, Value: p.value, by: p.by, size: p.size}
	}
	return c.settled(kind, key)
}

// settled returns a row as it is committed.
func (c *Working) settled(kind argosyv1.RowKind, key string) Row {
	row, ok := c.view.Row(kind, key)
	if !ok {
		return Row{}
	}
	return Row{Exists: true, Value: row.Value, revision: row.Revision, size: fsm.RowSize(row.Key, row.Group, len(row.Value))}
}

// Count returns how many rows of a kind there are, those in flight left out.
func (c *Working) Count(kind argosyv1.RowKind) int { return c.view.Count(kind) }

// PutMessage writes a row unless it is there already and the same. The message
// must not carry revisions.
func (c *Working) PutMessage(kind argosyv1.RowKind, key, group string, m proto.Message) error {
	record, value, err := encodePutMessage(kind, key, group, m, proto.Size(m))
	if err != nil {
		return fmt.Errorf("encode %s %q: %w", kind, key, err)
	}
	before := c.Row(kind, key)
	if before.Exists && bytes.Equal(before.Value, value) {
		return nil
	}
	c.current.append(record)
	c.lay(rowKey{kind, key}, before, pendingRow{by: c.current, value: value, size: fsm.RowSize(key, group, len(value))})
	return nil
}

// lay lays a row over the one that is there.
func (c *Working) lay(key rowKey, before Row, row pendingRow) {
	c.rows[key] = row
	c.current.keys = append(c.current.keys, key)
	c.current.grown += row.size - before.size
	c.grown += row.size - before.size
	if key.kind == kindWorkload || key.kind == kindConfig {
		c.changedBy = c.current
	}
	if key.kind == argosyv1.RowKind_ROW_KIND_CLUSTER {
		c.heed()
	}
	if key.kind == kindWorkload && row.deleted {
		c.departed.note(key.key, c.current)
	}
	if key.kind == kindWorkload && c.links != nil {
		c.links.note(key.key, row.value)
	}
}

func (c *Working) begin(now time.Time, requests int) *batch {
	c.current = &batch{proposed: now, items: make([]*item, 0, requests)}
	c.heed()
	return c.current
}

// heed goes by the settings as they are now.
func (c *Working) heed() {
	settings := c.settings()
	c.quota = quotaOf(settings)
	c.level = argosyv1.ActiveLevel(settings)
	c.records = c.level >= argosyv1.FeatureRefusals
}

func (c *Working) seal(*batch) { c.current = nil }

// committed takes the rows of a batch out of the overlay: the view has them
// now. Rows that a later batch in flight wrote again stay.
func (c *Working) committed(b *batch, view *fsm.View) {
	c.view, c.known = view, b.revision
	c.grown -= b.grown
	if c.changedBy == b {
		c.changedBy = nil
	}
	for _, key := range b.keys {
		if c.rows[key].by == b {
			delete(c.rows, key)
		}
		if key.kind == kindWorkload {
			c.departed.committed(key.key, b)
		}
	}
	for _, it := range b.items {
		if it.remembered {
			delete(c.requests, it.request.requestID)
		}
	}
}
