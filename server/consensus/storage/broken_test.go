package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"
)

// brokenDisk is a disk below raft-wal of which some calls fail. It knows what a
// loss of power would leave: what was written and then not flushed is gone also
// when a later flush succeeds, as the kernel has it.
type brokenDisk struct {
	t     *testing.T
	after string // a directory with what a loss of power leaves

	mu     sync.Mutex
	calls  int // so far
	first  int // of those that fail, from 1
	times  int // how many do
	how    failure
	failed int
}

// failure is how much of a call happens that fails.
type failure string

const (
	nothing failure = "nothing"
	half    failure = "half"
	all     failure = "all"
)

func newBrokenDisk(t *testing.T) *brokenDisk { return &brokenDisk{t: t, after: memoryDir(t)} }

// memoryDir is a directory in memory, where there is one: which disk the test
// runs on makes no difference to it but in time.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "storage-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (d *brokenDisk) around(below walDisk) walDisk {
	return walDisk{brokenFiles{below.files, d}, &brokenTable{below.table, d, ""}}
}

// next counts a call and tells whether it fails.
func (d *brokenDisk) next() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	if d.calls < d.first || d.calls >= d.first+d.times {
		return nil
	}
	d.failed++
	if d.how == half {
		return syscall.ENOSPC
	}
	return syscall.EIO
}

func (d *brokenDisk) seen() (calls, failed int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls, d.failed
}

func (d *brokenDisk) check(err error) {
	if err != nil {
		d.t.Error(err)
	}
}

type brokenFiles struct {
	types.VFS
	disk *brokenDisk
}

func (f brokenFiles) Create(dir, name string, size uint64) (types.WritableFile, error) {
	if err := f.disk.next(); err != nil {
		if f.disk.how != nothing {
			made, createErr := f.VFS.Create(dir, name, 0)
			if createErr == nil {
				f.disk.check(made.Close())
			}
		}
		return nil, err
	}
	file, err := f.VFS.Create(dir, name, size)
	if err != nil {
		return nil, err
	}
	return &brokenFile{WritableFile: file, disk: f.disk, name: name}, nil
}

func (f brokenFiles) OpenWriter(dir, name string) (types.WritableFile, error) {
	file, err := f.VFS.OpenWriter(dir, name)
	if err != nil {
		return nil, err
	}
	return &brokenFile{WritableFile: file, disk: f.disk, name: name}, nil
}

func (f brokenFiles) Delete(dir, name string) error {
	if err := f.disk.next(); err != nil {
		return err
	}
	_ = os.Remove(filepath.Join(f.disk.after, name))
	return f.VFS.Delete(dir, name)
}

type chunk struct {
	at      int64
	content []byte
}

type brokenFile struct {
	types.WritableFile
	disk    *brokenDisk
	name    string
	pending []chunk
}

func (f *brokenFile) WriteAt(content []byte, at int64) (int, error) {
	err := f.disk.next()
	if err != nil {
		switch f.disk.how {
		case nothing:
			return 0, err
		case half:
			content = content[:len(content)/2]
		}
	}
	n, writeErr := f.WritableFile.WriteAt(content, at)
	f.disk.check(writeErr)
	f.pending = append(f.pending, chunk{at, append([]byte(nil), content...)})
	return n, err
}

func (f *brokenFile) Sync() error {
	if err := f.disk.next(); err != nil {
		f.pending = nil
		return err
	}
	file, err := os.OpenFile(filepath.Join(f.disk.after, f.name), os.O_RDWR|os.O_CREATE, 0o600)
	f.disk.check(err)
	for _, c := range f.pending {
		_, err := file.WriteAt(c.content, c.at)
		f.disk.check(err)
	}
	f.pending = nil
	f.disk.check(file.Close())
	return nil // what the machine of the test has on its disk does not matter
}

type brokenTable struct {
	types.MetaStore
	disk *brokenDisk
	dir  string
}

func (b *brokenTable) Load(dir string) (types.PersistentState, error) {
	b.dir = dir
	return b.MetaStore.Load(dir)
}

func (b *brokenTable) CommitState(state types.PersistentState) error {
	if err := b.disk.next(); err != nil {
		if b.disk.how != nothing {
			b.disk.check(b.MetaStore.CommitState(state)) // in memory, that is
		}
		return err
	}
	if err := b.MetaStore.CommitState(state); err != nil {
		return err
	}
	content, err := os.ReadFile(filepath.Join(b.dir, metadb.FileName))
	b.disk.check(err)
	b.disk.check(os.WriteFile(filepath.Join(b.disk.after, metadb.FileName), content, 0o600))
	return nil
}

// script is what Raft does to a log, by steps that are repeated until they
// succeed.
type script struct {
	t     *testing.T
	cfg   Config
	disk  *brokenDisk
	store *Store
	// restarts tells whether a server ends at each failure, and begins again with
	// what it finds in its log.
	restarts bool
	holds    map[uint64]string // what was acknowledged, by index
	first    uint64
	last     uint64
	tries    int
}

// again does a step until it succeeds. If anything has failed meanwhile, the log
// must then be whole, here and for whoever opens what would be left of it.
func (s *script) again(step func() error) {
	s.t.Helper()
	_, before := s.disk.seen()
	for range 20 {
		s.tries++
		err := step()
		if err == nil {
			s.holdsAll(s.store)
			if _, failed := s.disk.seen(); failed > before {
				s.survives()
			}
			return
		}
		if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrForgotten) {
			s.t.Fatalf("a disk that does not write was taken for damage: %v", err)
		}
		if s.restarts || errors.Is(err, ErrUnusable) {
			s.reopen()
			s.adopt()
			s.survives()
		}
		s.holdsAtLeast(s.store)
	}
	s.t.Fatal("a step did not succeed on a disk that is well again")
}

// adopt takes what is in the log for acknowledged, as a server does that begins.
func (s *script) adopt() {
	s.t.Helper()
	s.holdsAtLeast(s.store)
	first, last := s.reach(s.store)
	if last == 0 {
		return
	}
	s.first, s.last = first, last
	for index := first; index <= last; index++ {
		var got raft.Log
		if err := s.store.watchdog.GetLog(index, &got); err != nil {
			s.t.Fatalf("read entry %d: %v", index, err)
		}
		s.holds[index] = string(got.Data)
	}
}

// survives looks at what the end of the process would leave, and a loss of power.
func (s *script) survives() {
	s.t.Helper()
	for what, dir := range map[string]string{"the end of the process": walPath(s.cfg), "a loss of power": s.disk.after} {
		left := DefaultConfig(memoryDir(s.t))
		left.Kind, left.SegmentBytes, left.CacheEntries = WAL, s.cfg.SegmentBytes, 1
		if err := os.CopyFS(walPath(left), os.DirFS(dir)); err != nil {
			s.t.Fatal(err)
		}
		// The newest mark is the most that there may be.
		mark, err := os.ReadFile(markPath(s.cfg))
		if err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(markPath(left), mark, 0o600); err != nil {
			s.t.Fatal(err)
		}
		store, err := Open(left)
		if err != nil {
			s.t.Fatalf("after %s: %v", what, err)
		}
		s.holdsAtLeast(store)
		mustClose(s.t, store)
	}
}

// reopen is what the end of the process and its start are.
func (s *script) reopen() {
	s.t.Helper()
	s.close()
	for range 20 {
		store, err := Open(s.cfg)
		if err == nil {
			s.store = store
			return
		}
		if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrForgotten) {
			s.t.Fatalf("a disk that does not write was taken for damage: %v", err)
		}
	}
	s.t.Fatal("a log was not opened on a disk that is well again")
}

func (s *script) close() {
	if s.store != nil {
		_ = s.store.Close()
		s.store = nil
	}
}

func (s *script) reach(store *Store) (first, last uint64) {
	s.t.Helper()
	first, err := store.FirstIndex()
	if err != nil {
		s.t.Fatal(err)
	}
	if last, err = store.LastIndex(); err != nil {
		s.t.Fatal(err)
	}
	return first, last
}

// holdsAtLeast looks whether all is there that was acknowledged, and whether what
// else is there is whole.
func (s *script) holdsAtLeast(store *Store) {
	s.t.Helper()
	first, last := s.reach(store)
	if s.last >= s.first && (first > s.first || last < s.last) {
		s.t.Fatalf("log reaches from %d to %d, and %d to %d were acknowledged", first, last, s.first, s.last)
	}
	for index := max(first, 1); index <= last; index++ {
		var got raft.Log
		if err := store.watchdog.GetLog(index, &got); err != nil {
			s.t.Fatalf("read entry %d: %v", index, err)
		}
		if index >= s.first && index <= s.last && string(got.Data) != s.holds[index] {
			s.t.Fatalf("entry %d is %q, and %q was acknowledged", index, got.Data, s.holds[index])
		}
	}
}

// holdsAll looks whether that is all.
func (s *script) holdsAll(store *Store) {
	s.t.Helper()
	s.holdsAtLeast(store)
	first, last := s.reach(store)
	if s.last < s.first {
		if last != 0 {
			s.t.Fatalf("log reaches from %d to %d, and nothing shall be there", first, last)
		}
	} else if first != s.first || last != s.last {
		s.t.Fatalf("log reaches from %d to %d, want %d to %d", first, last, s.first, s.last)
	}
}

func (s *script) add(count uint64) {
	s.t.Helper()
	end := s.last + count
	s.again(func() error {
		var list []*raft.Log
		for index := s.last + 1; index <= end; index++ {
			// Each try writes other entries, as the next leader would.
			text := fmt.Sprintf("entry %d of try %d %s", index, s.tries, strings.Repeat("and so on ", 12))
			list = append(list, &raft.Log{Index: index, Term: uint64(s.tries), Data: []byte(text)})
		}
		if err := s.store.StoreLogs(list); err != nil {
			return err
		}
		for _, entry := range list {
			s.holds[entry.Index] = string(entry.Data)
		}
		s.last = end
		return nil
	})
}

func (s *script) cutBack(to uint64) {
	s.t.Helper()
	s.again(func() error {
		_, end := s.reach(s.store)
		s.last = to
		return s.store.DeleteRange(to+1, end)
	})
}

func (s *script) cutFront(to uint64) {
	s.t.Helper()
	s.again(func() error {
		s.first = to + 1
		return s.store.DeleteRange(1, to)
	})
}

// run does all that Raft may do to a log, over several files.
func (s *script) run() {
	s.t.Helper()
	s.add(3)
	s.add(5)
	s.cutBack(6)
	s.add(30) // past the end of a file
	s.add(2)
	s.cutBack(37)
	s.add(10)
	s.add(30)
	s.cutBack(30) // over files
	s.add(1)
	s.cutFront(20)
	s.add(40)
	s.cutFront(65)
	s.cutFront(71) // all of it
	s.last, s.first = 199, 200
	s.add(4)
	s.add(30)
	s.reopen()
	s.holdsAll(s.store)
	s.add(2)
	s.survives()
}

// Whatever call of raft-wal to its disk fails, however far it got, and whether
// the next ones fail too: what was acknowledged is there, also after the end of
// the process and a loss of power, and nothing that is half written.
func TestNoFailedWriteDamagesTheLog(t *testing.T) {
	run := func(t *testing.T, first, times int, how failure, restarts bool) (calls int, hit bool) {
		disk := newBrokenDisk(t)
		disk.first, disk.times, disk.how = first, times, how
		cfg := DefaultConfig(memoryDir(t))
		cfg.Kind, cfg.SegmentBytes, cfg.CacheEntries, cfg.walDisk = WAL, minSegment, 1, disk.around
		s := &script{t: t, cfg: cfg, disk: disk, restarts: restarts, holds: map[uint64]string{}, first: 1}
		s.reopen()
		defer s.close()
		s.run()
		calls, failed := disk.seen()
		return calls, failed > 0
	}
	calls, _ := run(t, 1<<30, 0, nothing, false)
	if calls < 50 {
		t.Fatalf("raft-wal made %d calls only", calls)
	}
	for _, how := range []failure{nothing, half, all} {
		for name, c := range map[string]struct {
			times    int
			restarts bool
		}{
			"one call":                       {1, false},
			"one call, and the server ends":  {1, true},
			"three calls, one after another": {3, false},
		} {
			t.Run(fmt.Sprintf("%s of %s", how, name), func(t *testing.T) {
				for first := 1; ; first += c.times {
					t.Logf("call %d", first)
					if _, hit := run(t, first, c.times, how, c.restarts); !hit {
						return
					}
				}
			})
		}
	}
}
