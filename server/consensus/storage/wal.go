package storage

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hashicorp/go-hclog"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// walDisk is what raft-wal does to a disk: files of entries, which it calls
// segments, and a table of them.
type walDisk struct {
	files types.VFS
	table types.MetaStore
}

func systemDisk() walDisk { return walDisk{fs.New(), &metadb.BoltMetaDB{}} }

// openWAL settles what the last process left and opens the log. Entries up to
// the acknowledged one must be there.
func openWAL(cfg Config, acknowledged uint64) (_ backend, err error) {
	path := walPath(cfg)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	disk := systemDisk()
	if cfg.walDisk != nil {
		disk = cfg.walDisk(disk)
	}
	files := walFiles{disk.files}
	table := &walTable{MetaStore: disk.table, dir: path, trimmed: map[uint64]bool{}}
	done := false
	defer func() {
		if !done { // raft-wal does not close what it was given; it may have panicked, too
			err = errors.Join(err, table.Close())
		}
	}()
	if err := settle(path, files, table, acknowledged); err != nil {
		return nil, Damaged(err)
	}
	opened, err := wal.Open(path,
		wal.WithLogger(walLog(cfg.Logger)),
		wal.WithSegmentSize(cfg.SegmentBytes),
		wal.WithSegmentFiler(segment.NewFiler(path, files)),
		wal.WithMetaStore(table))
	if err != nil {
		return nil, Damaged(err)
	}
	done = true
	return opened, nil
}

// walLog passes on what raft-wal calls errors: it meets them where it has nobody
// to tell them to.
func walLog(to *slog.Logger) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name:        "raft-wal",
		Level:       hclog.Error,
		Output:      slog.NewLogLogger(to.Handler(), slog.LevelError).Writer(),
		DisableTime: true,
	})
}

// walFiles makes files also where there is no room to set their size aside, and
// leaves none behind that could not be made: the next try would find it there
// and fail for that.
type walFiles struct{ types.VFS }

func (f walFiles) Create(dir, name string, size uint64) (types.WritableFile, error) {
	file, err := f.VFS.Create(dir, name, size)
	if err == nil || errors.Is(err, os.ErrExist) {
		return file, unwritten(err)
	}
	if removeErr := os.Remove(filepath.Join(dir, name)); removeErr != nil && !errors.Is(removeErr, os.ErrNotExist) {
		return nil, unwritten(errors.Join(err, removeErr))
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		// Nothing is lost but the certainty that the next entries have room. A
		// server on a full disk must be able to open its log.
		file, err = f.VFS.Create(dir, name, 0)
	}
	return file, unwritten(err)
}

// walTable gives back the room that was set aside for files that take no more
// entries. One of them comes into being each time that the end of the log is
// cut off.
type walTable struct {
	types.MetaStore
	dir     string
	trimmed map[uint64]bool // by the file's id
}

func (t *walTable) CommitState(state types.PersistentState) error {
	if err := t.MetaStore.CommitState(state); err != nil {
		return unwritten(err)
	}
	for _, info := range state.Segments {
		if !info.SealTime.IsZero() && !t.trimmed[info.ID] {
			// What goes wrong costs room and nothing else.
			t.trimmed[info.ID] = trim(filepath.Join(t.dir, segment.FileName(info)), info) == nil
		}
	}
	return nil
}

// trim ends a file after its last frame.
func trim(path string, info types.SegmentInfo) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	end, err := sealedEnd(file, info)
	if err == nil {
		var stat os.FileInfo
		if stat, err = file.Stat(); err == nil && stat.Size() > end {
			err = file.Truncate(end)
		}
	}
	return errors.Join(err, file.Close())
}

// notWritten is an error of writing: it says nothing of what is on the disk.
type notWritten struct{ error }

func (e notWritten) Unwrap() error { return e.error }

func unwritten(err error) error {
	if err == nil {
		return nil
	}
	return notWritten{err}
}
