package storage

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/raft-wal/types"
)

// mustOccupy returns how much room the files of a log set aside.
func mustOccupy(t *testing.T, cfg Config) (bytes int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(walPath(cfg), "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		stat, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		bytes += stat.Size()
	}
	return bytes
}

// raft-wal begins a file each time that the end of the log is cut off. None but
// the last sets room aside.
func TestALogThatIsCutBackOftenTakesLittleRoom(t *testing.T) {
	cfg := DefaultConfig(t.TempDir())
	cfg.Kind = WAL
	store := mustOpen(t, cfg)
	for index := uint64(1); index <= 30; index++ {
		mustStore(t, store, index, index+3)
		if err := store.DeleteRange(index+1, index+3); err != nil {
			t.Fatal(err)
		}
	}
	mustHold(t, store, 1, 30)
	limit := int64(cfg.SegmentBytes) + 64<<10
	if got := mustOccupy(t, cfg); got > limit {
		t.Errorf("30 entries take %d bytes, want %d at the most", got, limit)
	}
	mustClose(t, store)
	mustHold(t, mustOpen(t, cfg), 1, 30)
}

// A former release made larger files.
func TestALogOfLargerFilesIsGivenBackItsRoom(t *testing.T) {
	cfg := DefaultConfig(t.TempDir())
	cfg.Kind = WAL
	larger := cfg
	larger.SegmentBytes = 64 << 20
	store := mustOpen(t, larger)
	mustStore(t, store, 1, 9)
	mustClose(t, store)
	store = mustOpen(t, cfg)
	mustStore(t, store, 10, 12)
	if err := store.DeleteRange(11, 12); err != nil {
		t.Fatal(err)
	}
	mustStore(t, store, 11, 20)
	mustClose(t, store)
	mustHold(t, mustOpen(t, cfg), 1, 20)
	limit := int64(cfg.SegmentBytes) + 64<<10
	if got := mustOccupy(t, cfg); got > limit {
		t.Errorf("20 entries take %d bytes, want %d at the most", got, limit)
	}
}

// fullDisk has no room to set aside.
type fullDisk struct{ types.VFS }

func (f fullDisk) Create(dir, name string, size uint64) (types.WritableFile, error) {
	file, err := f.VFS.Create(dir, name, 0)
	if err == nil && size > 0 {
		if err := file.Close(); err != nil {
			return nil, err
		}
		return nil, syscall.ENOSPC
	}
	return file, err
}

// A full disk must not keep a server from beginning, nor its log from being cut.
func TestALogIsOpenedWhereNoRoomCanBeSetAside(t *testing.T) {
	cfg := DefaultConfig(t.TempDir())
	cfg.Kind = WAL
	cfg.SegmentBytes = minSegment
	cfg.walDisk = func(disk walDisk) walDisk { return walDisk{fullDisk{disk.files}, disk.table} }
	store := mustOpen(t, cfg)
	for index := uint64(1); index <= 100; index += 10 {
		mustStore(t, store, index, index+9)
	}
	if err := store.DeleteRange(91, 100); err != nil {
		t.Fatal(err)
	}
	mustStore(t, store, 91, 95)
	mustClose(t, store)
	mustHold(t, mustOpen(t, cfg), 1, 95)
}

// A batch may be far larger than a file.
func TestABatchLargerThanAFileIsStored(t *testing.T) {
	cfg := DefaultConfig(t.TempDir())
	cfg.Kind = WAL
	cfg.SegmentBytes = minSegment
	store := mustOpen(t, cfg)
	for index := uint64(1); index <= 3; index++ {
		if err := store.StoreLogs([]*raft.Log{{Index: index, Term: 1, Data: make([]byte, 1<<20)}}); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, store)
	store = mustOpen(t, cfg)
	for index := uint64(1); index <= 3; index++ {
		var got raft.Log
		if err := store.GetLog(index, &got); err != nil || len(got.Data) != 1<<20 {
			t.Fatalf("entry %d has %d bytes: %v", index, len(got.Data), err)
		}
	}
}

// What the table says must be in the file: a server that wrote none of the list of
// its entries, as a former release may have done, must not read what stands there.
func TestAFileWithoutTheListOfItsEntriesIsDamage(t *testing.T) {
	cfg := DefaultConfig(t.TempDir())
	cfg.Kind = WAL
	store := mustOpen(t, cfg)
	mustStore(t, store, 1, 9)
	if err := store.DeleteRange(8, 9); err != nil {
		t.Fatal(err)
	}
	mustClose(t, store)
	files, err := filepath.Glob(filepath.Join(walPath(cfg), "*1-*.wal"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v: %v", files, err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	// 9 numbers, padded, their head and that of the commit.
	clear(content[len(content)-40-2*walHead:])
	if err := os.WriteFile(files[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(cfg); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("open: %v", err)
	}
}
