package storage

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Snapshots are Raft's snapshots in files. Raft guards their content by a
// checksum, but not what it says of a snapshot beside it: one flipped bit in the
// id of a server there, and whoever starts from that snapshot knows of another
// cluster than the others do. It would not find that server, and if it came to
// lead it would tell it that it was removed. So each snapshot is sealed: a file
// beside it has a hash of what the snapshot is of.
//
// A snapshot of a version that did not seal has no such file, and is taken as it
// is.
type Snapshots struct {
	raft.SnapshotStore
	dir string
}

const (
	// SnapshotsDir, in the directory that Raft's data is in, has a directory for each
	// snapshot, named by its id. Raft's library calls them so.
	SnapshotsDir = "snapshots"
	// StateFile, in the directory of a snapshot, has its content.
	StateFile = "state.bin"

	sealFile = "seal"
)

// OpenSnapshots opens the snapshots in the directory that Raft's data is in, of
// which so many are kept.
func OpenSnapshots(dir string, kept int, log hclog.Logger) (*Snapshots, error) {
	files, err := raft.NewFileSnapshotStoreWithLogger(dir, kept, log)
	if err != nil {
		return nil, err
	}
	return &Snapshots{files, filepath.Join(dir, SnapshotsDir)}, nil
}

// Create implements raft.SnapshotStore. The seal is there before the snapshot has
// its name: what is complete is sealed.
func (s *Snapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration, configurationIndex uint64, transport raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.SnapshotStore.Create(version, index, term, configuration, configurationIndex, transport)
	if err != nil {
		return nil, err
	}
	meta := &raft.SnapshotMeta{
		Version: version, ID: sink.ID(), Index: index, Term: term,
		Configuration: configuration, ConfigurationIndex: configurationIndex,
	}
	if err := WriteFile(filepath.Join(s.dir, sink.ID()+".tmp", sealFile), []byte(seal(meta)+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("seal snapshot %s: %w", sink.ID(), err), sink.Cancel())
	}
	return sink, nil
}

// Open implements raft.SnapshotStore. It fails with ErrCorrupt when a snapshot is
// not what it was sealed as.
func (s *Snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	meta, content, err := s.SnapshotStore.Open(id)
	if err != nil {
		return nil, nil, err
	}
	if err := s.check(id, meta); err != nil {
		return nil, nil, errors.Join(err, content.Close())
	}
	return meta, content, nil
}

func (s *Snapshots) check(id string, meta *raft.SnapshotMeta) error {
	kept, err := os.ReadFile(filepath.Join(s.dir, id, sealFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read seal of snapshot %s: %w", id, Damaged(err))
	}
	if want := strings.TrimSpace(string(kept)); want != seal(meta) {
		return fmt.Errorf("open snapshot %s: %w (it is not what it was sealed as)", id, ErrCorrupt)
	}
	// How large it would be is not known when it is sealed.
	info, err := os.Stat(filepath.Join(s.dir, id, StateFile))
	if err != nil {
		return fmt.Errorf("open snapshot %s: %w", id, Damaged(err))
	}
	if info.Size() != meta.Size {
		return fmt.Errorf("open snapshot %s: %w (it has %d bytes, and says %d)", id, ErrCorrupt, info.Size(), meta.Size)
	}
	return nil
}

// seal is the hash of what a snapshot is of.
func seal(meta *raft.SnapshotMeta) string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%d %q %d %d %d", meta.Version, meta.ID, meta.Index, meta.Term, meta.ConfigurationIndex)
	for _, server := range meta.Configuration.Servers {
		fmt.Fprintf(hash, " %d %q %q", server.Suffrage, server.ID, server.Address)
	}
	return hex.EncodeToString(hash.Sum(nil))
}
