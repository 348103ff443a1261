package consensus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// A server whose data was found damaged must not go on under its id: the others
// count on what that id has acknowledged and whom it has voted for. It gives
// the id up for good, keeps what there was aside, and joins as a new server
// that names the old id, which the leader then takes out of the cluster.

const (
	// replacesFile has the ids that this directory had before and that may
	// still be in the cluster, one a line.
	replacesFile = "replaces-server-ids"
	// QuarantineDir, in a data directory, keeps the Raft data of the last id that
	// was given up.
	QuarantineDir = "quarantine"
	// noteFile, in it, says why.
	noteFile = "why.txt"
)

// Replacement is what became of a damaged data directory.
type Replacement struct {
	// Old is the id that was given up, New the one in its place.
	Old, New string
	// Quarantine is where the damaged data is; empty when nothing was kept,
	// because it was not yet part of the cluster.
	Quarantine string
}

// Need says how much a cluster needs the data of a server.
type Need int

const (
	// AsFarAsKnown goes by the servers that the data directory knows of, which may
	// be those of long ago.
	AsFarAsKnown Need = iota
	// Spared is a server without which a quorum follows a leader. That quorum has
	// everything that was ever acknowledged.
	Spared
)

// GiveUp makes a new server of a damaged data directory that nobody uses. It
// refuses (ErrLastCopy) when the data may not be elsewhere too. It can be
// interrupted at any time: the directory is then found damaged again.
func GiveUp(directory string, reason error, now time.Time, need Need) (_ Replacement, err error) {
	d := &dataDir{path: directory}
	if d.lock, err = lockFile(d.file("lock")); err != nil {
		return Replacement{}, fmt.Errorf("give up damaged data in %s: %w", directory, err)
	}
	defer func() { err = errors.Join(err, d.close()) }()
	replacement, err := d.giveUp(reason, now, need)
	if err != nil {
		return replacement, fmt.Errorf("give up damaged data in %s: %w", directory, err)
	}
	return replacement, nil
}

func (d *dataDir) giveUp(reason error, now time.Time, need Need) (Replacement, error) {
	var r Replacement
	var err error
	if d.clusterID, err = readID(d.file("cluster-id")); err != nil {
		return r, err
	}
	if r.Old, err = readID(d.file("server-id")); err != nil {
		return r, err
	}
	if d.clusterID == "" || r.Old == "" {
		return r, fmt.Errorf("%w: it belongs to no cluster; start with an empty directory", ErrLastCopy)
	}
	roster, err := d.readRoster()
	if err != nil {
		return r, err
	}
	if err := mayGiveUp(roster, r.Old); err != nil && need != Spared {
		return r, err
	}
	replaced, err := d.readReplaced()
	if err != nil {
		return r, err
	}
	// The order matters: from the first step on the old id has no data, and a
	// server without the data that its id had is refused (checkWhole).
	member := slices.ContainsFunc(roster, func(s Server) bool { return s.ID == r.Old })
	if r.Quarantine, err = d.putAside(r.Old, member, reason, now); err != nil {
		return r, err
	}
	if !slices.Contains(replaced, r.Old) {
		replaced = append(replaced, r.Old)
	}
	if err := storage.WriteFile(d.file(replacesFile), []byte(strings.Join(replaced, "\n")+"\n"), 0o600); err != nil {
		return r, fmt.Errorf("remember the former server id: %w", err)
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return r, fmt.Errorf("make server id: %w", err)
	}
	r.New = id.String()
	if err := storage.WriteFile(d.file("server-id"), []byte(r.New+"\n"), 0o600); err != nil {
		return r, fmt.Errorf("write server id: %w", err)
	}
	return r, nil
}

// mayGiveUp tells whether the others can stand in for this server: a majority
// without it must be able to change the configuration.
func mayGiveUp(roster []Server, id string) error {
	voters, others, votes := 0, 0, false
	for _, s := range roster {
		if !s.Voter {
			continue
		}
		voters++
		if s.ID == id {
			votes = true
		} else {
			others++
		}
	}
	switch {
	case len(roster) == 0:
		return fmt.Errorf("%w: it is not known which other servers there are. If others hold the data, empty the directory and start this server again with --join; if not, see 'argosy operator recover' and your backups", ErrLastCopy)
	case others == 0:
		return fmt.Errorf("%w: no other server has it. Restore a backup ('argosy operator snapshot restore') into a new cluster, or see 'argosy operator recover'", ErrLastCopy)
	case votes && others < voters/2+1:
		return fmt.Errorf("%w: the cluster has %d voters and cannot decide anything without this one. If the others go on nevertheless, it is tried again at each start, as soon as one of them can be asked; if not, keep the other server, and see 'argosy operator recover'", ErrLastCopy, voters)
	}
	return nil
}

// putAside moves Raft's data into the quarantine, in the place of what was
// there. Data of an id that never was in the cluster is worth nothing, while
// what is in the quarantine may still be the newest copy of something: it is
// only removed.
func (d *dataDir) putAside(id string, member bool, reason error, now time.Time) (string, error) {
	from := d.file("raft")
	if _, err := os.Stat(from); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if !member {
		if err := os.RemoveAll(from); err != nil {
			return "", fmt.Errorf("remove damaged data: %w", err)
		}
		return "", storage.SyncDir(d.path)
	}
	to := d.file(QuarantineDir)
	if err := os.RemoveAll(to); err != nil {
		return "", fmt.Errorf("remove what was in quarantine: %w", err)
	}
	if err := os.Rename(from, to); err != nil {
		return "", fmt.Errorf("put damaged data into quarantine: %w", err)
	}
	if err := storage.SyncDir(d.path); err != nil {
		return "", fmt.Errorf("put damaged data into quarantine: %w", err)
	}
	note := fmt.Sprintf("Raft data of server %s, put aside at %s because of:\n%v\n", id, now.UTC().Format(time.RFC3339), reason)
	if err := storage.WriteFile(filepath.Join(to, noteFile), []byte(note), 0o600); err != nil {
		// A disk that is full; what matters is done.
		return to, nil
	}
	return to, nil
}

// readReplaced returns the ids that this directory had before.
func (d *dataDir) readReplaced() ([]string, error) {
	text, err := os.ReadFile(d.file(replacesFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read former server ids: %w", err)
	}
	ids := strings.Fields(string(text))
	for _, id := range ids {
		if _, err := uuid.Parse(id); err != nil {
			return nil, fmt.Errorf("read former server ids from %s: %w: %q is not a UUID", d.file(replacesFile), ErrDataDir, id)
		}
	}
	return ids, nil
}

// checkWhole refuses a directory whose id had data that is not there: an empty
// log under an old id would vote against what that id has acknowledged.
func (d *dataDir) checkWhole() error {
	var err error
	if d.replaced, err = d.readReplaced(); err != nil {
		return err
	}
	if slices.Contains(d.replaced, d.serverID) {
		return fmt.Errorf("open data directory %s: %w (server id %s was given up)", d.path, storage.ErrForgotten, d.serverID)
	}
	if d.clusterID == "" {
		return nil
	}
	if _, err := os.Stat(d.file("raft")); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	member, err := d.inRoster()
	if err != nil {
		return err
	}
	if len(d.replaced) > 0 && !member {
		return nil // a new server in the place of a damaged one
	}
	return fmt.Errorf("open data directory %s: %w (it belongs to cluster %s, but has no Raft data)", d.path, storage.ErrForgotten, d.clusterID)
}

// inRoster tells whether this server is known to have been in the cluster.
func (d *dataDir) inRoster() (bool, error) {
	roster, err := d.readRoster()
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(roster, func(s Server) bool { return s.ID == d.serverID }), nil
}

// checkState refuses Raft state that is older than what this server is known to
// have had.
func (n *Node) checkState() error {
	last := n.raft.LastIndex()
	if len(n.configuration().Servers) == 0 {
		member, err := n.dir.inRoster()
		if err != nil {
			return err
		}
		if member {
			return fmt.Errorf("start Raft: %w (this server was in the cluster, and its state does not know of it)", storage.ErrForgotten)
		}
	}
	if newest, _ := newestSnapshot(n.snapshotDir()); last < newest {
		return fmt.Errorf("start Raft: %w (the state ends at entry %d, and there was a snapshot of entry %d)", storage.ErrForgotten, last, newest)
	}
	return nil
}

// checkVote refuses a term, and with it a vote, that is older than the log or a
// snapshot: they were stored in a term that was known before.
func (n *Node) checkVote() error {
	term, err := n.store.GetUint64([]byte(currentTerm))
	if err != nil {
		term = 0 // never set
	}
	_, stored := newestSnapshot(n.snapshotDir())
	last, err := n.store.LastIndex()
	if err != nil {
		return fmt.Errorf("find last log entry: %w", err)
	}
	if last > 0 {
		var entry raft.Log
		if err := n.store.GetLog(last, &entry); err != nil {
			return fmt.Errorf("read last log entry: %w", err)
		}
		stored = max(stored, entry.Term)
	}
	if term < stored {
		return fmt.Errorf("open term and vote: %w (they are of term %d, there is something of term %d)", storage.ErrForgotten, term, stored)
	}
	return nil
}

func (n *Node) snapshotDir() string {
	return filepath.Join(n.cfg.DataDir, "raft", storage.SnapshotsDir)
}

// newestSnapshot returns the highest entry and the highest term of which there is
// a snapshot, readable or not: the name of its directory is term-index-time.
func newestSnapshot(dir string) (newest, latest uint64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, 0
	}
	for _, entry := range entries {
		var term, index, milliseconds uint64
		if n, _ := fmt.Sscanf(entry.Name(), "%d-%d-%d", &term, &index, &milliseconds); n == 3 && !strings.HasSuffix(entry.Name(), ".tmp") {
			newest, latest = max(newest, index), max(latest, term)
		}
	}
	return newest, latest
}

// Replaces returns the ids that this server had before its data was found
// damaged, until it has taken their place: they are to be named when it joins.
func (n *Node) Replaces() []string {
	n.dir.mu.Lock()
	defer n.dir.mu.Unlock()
	return slices.Clone(n.dir.replaced)
}

// settleReplacement forgets the former ids once this server votes and they are
// gone.
func (n *Node) settleReplacement(servers []Server) {
	n.dir.mu.Lock()
	defer n.dir.mu.Unlock()
	if len(n.dir.replaced) == 0 {
		return
	}
	votes := false
	for _, s := range servers {
		votes = votes || s.ID == n.ID() && s.Voter
		if slices.Contains(n.dir.replaced, s.ID) {
			return
		}
	}
	if !votes {
		return
	}
	if err := os.Remove(n.dir.file(replacesFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		n.log.Warn("failed to forget the former server id", "error", err)
		return
	}
	n.log.Info("took the place of a damaged server", "replaced", n.dir.replaced)
	n.dir.replaced = nil
}

// ReplaceServer takes a server out of the cluster whose data was found damaged,
// and adds the one that the same machine is now. It refuses while the old one
// still answers.
func (n *Node) ReplaceServer(ctx context.Context, old, id, address string) error {
	servers := n.configuration().Servers
	at := slices.IndexFunc(servers, func(s raft.Server) bool { return string(s.ID) == old })
	if at >= 0 && old != id {
		r := n.leadership.reigning()
		if r == nil {
			return fmt.Errorf("replace server %s: %w", old, ErrNotLeader)
		}
		if old == n.ID() {
			return fmt.Errorf("replace server %s: %w: it leads", old, ErrInUse)
		}
		if peer, ok := n.transport.progress.of(raft.ServerID(old), r.term); ok && time.Since(peer.confirmed) < n.cfg.Timing.Heartbeat {
			return fmt.Errorf("replace server %s: %w", old, ErrInUse)
		}
		if servers[at].Suffrage == raft.Voter && !n.quorumWithout(servers, old, r.term) {
			return fmt.Errorf("replace server %s: %w", old, ErrNoQuorumLeft)
		}
		if err := n.RemoveServer(ctx, old); err != nil {
			return err
		}
	}
	return n.AddServer(ctx, id, address)
}

// quorumWithout tells whether a quorum of the voters would answer if one were
// not there any more.
func (n *Node) quorumWithout(servers []raft.Server, id string, term uint64) bool {
	voters, answer := 0, 0
	for _, s := range servers {
		if s.Suffrage != raft.Voter || string(s.ID) == id {
			continue
		}
		voters++
		peer, ok := n.transport.progress.of(s.ID, term)
		if s.ID == n.id() || ok && time.Since(peer.confirmed) < n.cfg.Timing.Heartbeat {
			answer++
		}
	}
	return answer >= voters/2+1
}
