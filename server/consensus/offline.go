package consensus

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hashicorp/raft"
)

// This file is for those who look into a data directory while its server does
// not run.

// Identity is what a data directory says of its server.
type Identity struct {
	// ServerID is the id of the server.
	ServerID string
	// ClusterID is that of its cluster, empty when it is in none.
	ClusterID string
	// Incarnation is which life of the cluster it belongs to, empty in the first.
	Incarnation string
	// FeatureLevel is the highest one that its log may need.
	FeatureLevel uint32
}

// ReadIdentity reads a data directory and changes nothing. One that a newer
// binary has written is refused.
func ReadIdentity(path string, known uint32) (id Identity, err error) {
	f, _, err := readFormat(filepath.Join(path, "format"))
	if err != nil {
		return id, err
	}
	if err := f.check(path, known); err != nil {
		return id, err
	}
	id.FeatureLevel = f.FeatureLevel
	if id.ServerID, err = readID(filepath.Join(path, "server-id")); err != nil {
		return id, err
	}
	if id.ServerID == "" {
		return id, fmt.Errorf("read data directory %s: %w: it has no server-id; is it one of a server?", path, ErrDataDir)
	}
	if id.ClusterID, err = readID(filepath.Join(path, "cluster-id")); err != nil {
		return id, err
	}
	id.Incarnation, err = readIncarnation(filepath.Join(path, "incarnation"))
	return id, err
}

// Hold keeps servers from using a data directory until it is closed, and changes
// nothing in it. ErrLocked says that a server uses it.
func Hold(path string) (io.Closer, error) {
	file, err := os.Open(filepath.Join(path, "lock"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("lock data directory %s: %w: no server has ever used it", path, ErrDataDir)
	}
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(file, 32))
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock data directory %s: %w", path, lockedBy(holder))
		}
		return nil, fmt.Errorf("lock data directory %s: %w", path, err)
	}
	return file, nil
}

// WriteIncarnation begins a new life of the cluster in a data directory that is
// held.
func WriteIncarnation(path, incarnation string) error {
	d := &dataDir{path: path}
	return d.setIncarnation(incarnation)
}

// Overtaken tells whether an entry with a command is one that no server carries
// out: it was appended in another term than the one it was proposed for.
func Overtaken(entry *raft.Log) bool { return isOvertaken(entry) }
