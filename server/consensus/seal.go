package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// Raft checks the content of a snapshot by a checksum, which is in the description
// beside it, with the servers of the cluster. The description itself has none: a
// bit of it that flips may be a vote. So it gets a seal.

const (
	descriptionFile = "meta.json"
	// sealFile, beside it, has its checksum. Snapshots of before there were seals
	// have none.
	sealFile = "meta.crc"
)

// sealedSnapshots seals what it creates, and opens nothing whose seal is broken.
type sealedSnapshots struct {
	raft.SnapshotStore
	dir string
}

func (s *sealedSnapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration, configurationIndex uint64, transport raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.SnapshotStore.Create(version, index, term, configuration, configurationIndex, transport)
	if err != nil {
		return nil, err
	}
	return &sealedSink{SnapshotSink: sink, dir: filepath.Join(s.dir, sink.ID())}, nil
}

func (s *sealedSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	dir := filepath.Join(s.dir, id)
	want, err := os.ReadFile(filepath.Join(dir, sealFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	if err == nil {
		got, err := sealOf(dir)
		if err != nil {
			return nil, nil, err
		}
		if !bytes.Equal(got, want) {
			return nil, nil, fmt.Errorf("%w: what describes it has checksum %q, not %q", storage.ErrCorrupt, got, want)
		}
	}
	return s.SnapshotStore.Open(id)
}

// sealedSink seals a snapshot when it is complete.
type sealedSink struct {
	raft.SnapshotSink
	dir string
}

func (s *sealedSink) Close() error {
	if err := s.SnapshotSink.Close(); err != nil {
		return err
	}
	seal, err := sealOf(s.dir)
	if err == nil {
		err = storage.WriteFile(filepath.Join(s.dir, sealFile), seal, 0o600)
	}
	if err != nil {
		return fmt.Errorf("seal snapshot %s: %w", s.ID(), err)
	}
	return nil
}

// sealOf returns the seal of a snapshot's description as it is.
func sealOf(dir string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, descriptionFile))
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x\n", crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli))), nil
}
