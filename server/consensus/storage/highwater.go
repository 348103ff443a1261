package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/planted"
)

// markEvery is how many entries may be stored between two flushes of the
// high-water mark.
const markEvery = 1024

const markSize = 8 + 4 // the mark and its CRC32C

// marked remembers beside the log how far it reached. The mark is written after
// each batch and flushed now and then: it survives the end of the process to
// the last entry, and that of the machine nearly so. It is never ahead of the
// log, and is lowered before the log is cut back on purpose: a log that ends
// before its mark has lost entries by itself.
type marked struct {
	raft.LogStore
	path string
	file *os.File

	mu      sync.Mutex
	written uint64 // in the file
	flushed uint64 // of that on disk for certain
	last    uint64 // of the log
	// doubtful is set while the file may hold another mark than the written one,
	// or hold it in memory alone.
	doubtful bool
}

var _ raft.MonotonicLogStore = (*marked)(nil)

func newMarked(store raft.LogStore, path string) (*marked, error) {
	last, err := store.LastIndex()
	if err != nil {
		return nil, fmt.Errorf("find last log entry: %w", err)
	}
	mark, err := readMark(path)
	if errors.Is(err, os.ErrNotExist) {
		// Later changes of the mark change no metadata.
		err = WriteFile(path, encodeMark(0), 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("open high-water mark: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open high-water mark: %w", err)
	}
	return &marked{LogStore: store, path: path, file: file, written: mark, flushed: mark, last: last}, nil
}

func (m *marked) IsMonotonic() bool { return isMonotonic(m.LogStore) }

func (m *marked) StoreLog(entry *raft.Log) error { return m.StoreLogs([]*raft.Log{entry}) }

func (m *marked) StoreLogs(entries []*raft.Log) error {
	if len(entries) == 0 {
		return nil
	}
	if err := m.clear(entries[0].Index); err != nil {
		return err
	}
	err := m.LogStore.StoreLogs(entries)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		return m.failed(err) // it may hold some of them all the same
	}
	m.last = entries[len(entries)-1].Index
	if err := m.write(m.last); err != nil {
		return err
	}
	if m.last >= m.flushed+markEvery || m.doubtful {
		return m.flush()
	}
	return nil
}

// clear removes what the log holds from an entry on that is about to be stored.
// Raft removes such entries itself, unless it was told that they could not be
// stored: a log that holds them all the same, as when only its mark could not be
// written, must not be in the way for ever. raft-wal takes no entry twice.
func (m *marked) clear(from uint64) error {
	m.mu.Lock()
	last := m.last
	m.mu.Unlock()
	if from > last {
		return nil
	}
	if err := m.DeleteRange(from, last); err != nil {
		return fmt.Errorf("remove entries %d to %d, which could not be stored whole: %w", from, last, err)
	}
	return nil
}

func (m *marked) DeleteRange(low, high uint64) error {
	if err := m.lower(low, high); err != nil {
		return err
	}
	err := m.LogStore.DeleteRange(low, high)
	if err == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed(err)
}

// failed learns anew where the log ends after a change of it has failed.
func (m *marked) failed(err error) error {
	last, unknown := m.LogStore.LastIndex()
	if unknown != nil {
		return errors.Join(err, unknown)
	}
	m.last = last
	return err
}

// lower brings the mark down when the end of the log is about to be cut off.
func (m *marked) lower(low, high uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if high < m.last {
		return nil
	}
	first, err := m.LogStore.FirstIndex()
	if err != nil {
		return fmt.Errorf("find first log entry: %w", err)
	}
	last, err := m.lastBefore(low, first)
	if err != nil {
		return err
	}
	if last < m.written || m.doubtful {
		if err := m.write(last); err != nil {
			return err
		}
		if err := m.flush(); err != nil {
			return err
		}
	}
	m.last = last
	return nil
}

// lastBefore returns the last entry before one, 0 when there is none. A log that
// a state was restored over has a gap before its first entry after that; it is
// no wider than a restore makes it.
func (m *marked) lastBefore(index, first uint64) (uint64, error) {
	for index--; index >= first && index > 0; index-- {
		var entry raft.Log
		switch err := m.LogStore.GetLog(index, &entry); {
		case err == nil:
			return index, nil
		case !errors.Is(err, raft.ErrLogNotFound):
			return 0, fmt.Errorf("find the last log entry before the end that is cut off: %w", err)
		}
	}
	return 0, nil
}

// save brings the mark up to the end of the log.
func (m *marked) save() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.write(m.last); err != nil {
		return err
	}
	return m.flush()
}

func (m *marked) close() error { return errors.Join(m.save(), m.file.Close()) }

func (m *marked) write(mark uint64) error {
	if mark == m.written && !m.doubtful {
		return nil
	}
	if _, err := m.file.WriteAt(encodeMark(mark), 0); err != nil {
		m.doubtful = true
		return fmt.Errorf("write high-water mark: %w", err)
	}
	m.written = mark
	return nil
}

func (m *marked) flush() error {
	if m.flushed == m.written && !m.doubtful || planted.On(planted.NoFlush) {
		return nil
	}
	if err := unix.Fdatasync(int(m.file.Fd())); err != nil {
		// What the kernel could not flush it forgets to flush the next time.
		m.doubtful = true
		return fmt.Errorf("flush high-water mark: %w", err)
	}
	m.doubtful = false
	m.flushed = m.written
	return nil
}

func encodeMark(mark uint64) []byte {
	text := binary.BigEndian.AppendUint64(make([]byte, 0, markSize), mark)
	return binary.BigEndian.AppendUint32(text, crc32.Checksum(text, castagnoli))
}

func readMark(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	if len(text) != markSize || crc32.Checksum(text[:8], castagnoli) != binary.BigEndian.Uint32(text[8:]) {
		return 0, fmt.Errorf("read %s: %w", path, ErrCorrupt)
	}
	return binary.BigEndian.Uint64(text), nil
}

// WriteFile replaces a file so that a crash leaves the old text or the new one
// and never a part.
func WriteFile(path string, text []byte, mode os.FileMode) (err error) {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
			_ = os.Remove(file.Name())
		}
	}()
	if err = file.Chmod(mode); err != nil {
		return err
	}
	if _, err = file.Write(text); err != nil {
		return err
	}
	if err = file.Sync(); err != nil {
		return err
	}
	if err = file.Close(); err != nil {
		return err
	}
	if err = os.Rename(file.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = file.Sync()
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}
