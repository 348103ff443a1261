package consensus

import (
	"errors"
	"fmt"
	"os"
	"strings"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// realm is what servers must have in common to speak Raft with each other: the
// cluster and its incarnation. Its text is what a connection's preamble names:
// the cluster alone in the first incarnation, so that a server of before there
// were incarnations refuses every other one as another cluster.
type realm struct{ cluster, incarnation string }

func (r realm) String() string {
	if r.incarnation == "" {
		return r.cluster
	}
	return r.cluster + "/" + r.incarnation
}

func parseRealm(text string) realm {
	cluster, incarnation, _ := strings.Cut(text, "/")
	return realm{cluster, incarnation}
}

// refuse says why a caller of another realm is not heard, nil when it is of
// this one.
func (r realm) refuse(self string, caller realm) error {
	switch {
	case r.cluster == "":
		return fmt.Errorf("%w: server %s is in no cluster yet, the caller is of cluster %s", ErrClusterID, self, caller.cluster)
	case r.cluster != caller.cluster:
		return fmt.Errorf("%w: server %s is of cluster %s, the caller of cluster %s", ErrClusterID, self, r.cluster, caller.cluster)
	case r.incarnation != caller.incarnation:
		return fmt.Errorf("%w: %w", ErrIncarnation, CheckIncarnation(self, r.incarnation, caller.incarnation))
	}
	return nil
}

// CheckIncarnation says in words for people why a server of one incarnation of a
// cluster does not speak with a caller of another one.
func CheckIncarnation(self, own, caller string) error {
	if own == caller {
		return nil
	}
	older := "the caller was left behind"
	if argosyv1.IncarnationNumber(caller) > argosyv1.IncarnationNumber(own) {
		older = "this server was left behind"
	} else if argosyv1.IncarnationNumber(caller) == argosyv1.IncarnationNumber(own) {
		older = "the cluster was recovered twice, from two servers; keep one of the two"
	}
	return fmt.Errorf("server %s is of incarnation %s of the cluster, the caller of %s: the cluster was recovered since (argosy operator recover), and %s; what was left behind joins again with an empty data directory and --join",
		self, argosyv1.DescribeIncarnation(own), argosyv1.DescribeIncarnation(caller), older)
}

// readIncarnation reads the file, which is not there in the first incarnation.
func readIncarnation(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read incarnation: %w", err)
	}
	incarnation := strings.TrimSpace(string(text))
	if err := argosyv1.CheckIncarnation(incarnation); err != nil || incarnation == "" {
		return "", fmt.Errorf("read incarnation from %s: %w: %q is none; restore that file, or start with an empty directory", path, ErrDataDir, incarnation)
	}
	return incarnation, nil
}

func (d *dataDir) realm() realm {
	d.mu.Lock()
	defer d.mu.Unlock()
	return realm{d.clusterID, d.incarnation}
}

// setIncarnation writes the incarnation down. The lock is held.
func (d *dataDir) setIncarnation(incarnation string) error {
	if d.incarnation == incarnation {
		return nil
	}
	if err := argosyv1.CheckIncarnation(incarnation); err != nil {
		return fmt.Errorf("set incarnation: %w", err)
	}
	if err := storage.WriteFile(d.file("incarnation"), []byte(incarnation+"\n"), 0o600); err != nil {
		return fmt.Errorf("write incarnation: %w", err)
	}
	d.incarnation = incarnation
	return nil
}

// join binds an unbound directory to an incarnation of a cluster, for good.
func (d *dataDir) join(to realm) error {
	d.mu.Lock()
	if d.clusterID == to.cluster && d.incarnation != to.incarnation {
		defer d.mu.Unlock()
		return fmt.Errorf("set incarnation: %w: data directory %s is of incarnation %s, not of %s; use an empty directory", ErrIncarnation, d.path,
			argosyv1.DescribeIncarnation(d.incarnation), argosyv1.DescribeIncarnation(to.incarnation))
	}
	if d.clusterID == "" {
		// The cluster's id comes last: it is what makes the directory a member's.
		if err := d.setIncarnation(to.incarnation); err != nil {
			d.mu.Unlock()
			return err
		}
	}
	d.mu.Unlock()
	return d.setCluster(to.cluster)
}

// Incarnation returns which life of its cluster the server belongs to; empty in
// the first.
func (n *Node) Incarnation() string { return n.dir.realm().incarnation }

// JoinCluster binds the server to an incarnation of a cluster, for good.
func (n *Node) JoinCluster(clusterID, incarnation string) error {
	return n.dir.join(realm{clusterID, incarnation})
}
