package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/google/uuid"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// dataDir is a locked data directory. It holds "lock" with the process id of
// its user, "format", "server-id", "cluster-id" once there is a cluster,
// "incarnation" once that was recovered, and "raft".
type dataDir struct {
	path     string
	lock     *os.File
	serverID string

	mu          sync.Mutex
	clusterID   string
	incarnation string
	format      format
	// closed is set when somebody else may use the directory.
	closed bool
	// replaced are the ids that were given up and may still be in the cluster.
	replaced []string
}

// openDataDir takes a directory for a binary that knows feature levels up to
// known.
func openDataDir(path string, known uint32) (_ *dataDir, err error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	d := &dataDir{path: path}
	if d.lock, err = lockFile(d.file("lock")); err != nil {
		return nil, fmt.Errorf("open data directory %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if err := d.openFormat(known); err != nil {
		return nil, err
	}
	if err := d.checkRemoved(); err != nil {
		return nil, err
	}
	if d.serverID, err = readID(d.file("server-id")); err != nil {
		return nil, err
	}
	if d.incarnation, err = readIncarnation(d.file("incarnation")); err != nil {
		return nil, err
	}
	if d.clusterID, err = readID(d.file("cluster-id")); err != nil {
		return nil, err
	}
	if d.serverID != "" {
		return d, nil
	}
	// A server that comes back under a new id would be a stranger with the old
	// one's memory.
	for _, name := range []string{"raft", "cluster-id"} {
		if _, err := os.Stat(d.file(name)); err == nil {
			return nil, fmt.Errorf("open data directory %s: %w: it has %s but no server-id; restore that file, or start with an empty directory", path, ErrDataDir, name)
		}
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, fmt.Errorf("make server id: %w", err)
	}
	d.serverID = id.String()
	if err := storage.WriteFile(d.file("server-id"), []byte(d.serverID+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write server id: %w", err)
	}
	return d, nil
}

func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

func (d *dataDir) cluster() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clusterID
}

// setCluster binds the directory to a cluster for good.
func (d *dataDir) setCluster(id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.clusterID == id {
		return nil
	}
	if d.clusterID != "" {
		return fmt.Errorf("set cluster id: %w: data directory %s belongs to cluster %s, not to %s; use another directory to join that one", ErrClusterID, d.path, d.clusterID, id)
	}
	if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
		return fmt.Errorf("set cluster id: %q is not a UUID in its usual form", id)
	}
	if err := storage.WriteFile(d.file("cluster-id"), []byte(id+"\n"), 0o600); err != nil {
		return fmt.Errorf("write cluster id: %w", err)
	}
	d.clusterID = id
	return nil
}

// close gives the directory free. The lock file stays: to remove it could take
// it away from under the next user.
func (d *dataDir) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return d.lock.Close()
}

// readID reads a file with one UUID, and returns "" when there is none.
func readID(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read id: %w", err)
	}
	id := strings.TrimSpace(string(text))
	if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
		return "", fmt.Errorf("read id from %s: %w: %q is not a UUID; restore that file, or start with an empty directory", path, ErrDataDir, id)
	}
	return id, nil
}

// lockFile takes the lock that the kernel gives back when the process ends,
// however it ends.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := make([]byte, 32)
		n, _ := file.ReadAt(holder, 0)
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, lockedBy(holder[:n])
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := errors.Join(file.Truncate(0), writeAt(file, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func lockedBy(holder []byte) error {
	return fmt.Errorf("%w by process %s: stop that process, or use another directory", ErrLocked, bytes.TrimSpace(holder))
}

func writeAt(file *os.File, text string) error {
	_, err := file.WriteAt([]byte(text), 0)
	return err
}
