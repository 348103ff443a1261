package consensus

import (
	"errors"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// refusing refuses entries when it is told to.
type refusing struct {
	raft.LogStore
	refuses bool
}

func (r *refusing) StoreLogs(entries []*raft.Log) error {
	if r.refuses {
		return syscall.ENOSPC
	}
	return r.LogStore.StoreLogs(entries)
}

// Raft does not know that the end of its log is gone when it removed it and could
// then not store anything in its place.
func TestEntriesThatCannotBeStoredAfterACutEndWhoStoresThem(t *testing.T) {
	cfg := storage.DefaultConfig(t.TempDir())
	var disk refusing
	cfg.Disk = func(below raft.LogStore) raft.LogStore { disk.LogStore = below; return &disk }
	store, err := storage.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var broken, refused []error
	g := &guard{
		Store:    store,
		broken:   func(err error) { broken = append(broken, err) },
		refused:  func(err error) { refused = append(refused, err) },
		restored: func() (uint64, uint64) { return 0, 0 },
	}
	g.running.Store(true)
	mustStore := func(index, term uint64) {
		t.Helper()
		if err := g.StoreLogs([]*raft.Log{{Index: index, Term: term}}); err != nil {
			t.Fatal(err)
		}
	}
	mustDelete := func(first, last uint64) {
		t.Helper()
		if err := g.DeleteRange(first, last); err != nil {
			t.Fatal(err)
		}
	}
	for index := uint64(1); index <= 4; index++ {
		mustStore(index, 1)
	}
	mustDelete(4, 4)
	mustStore(4, 2)
	mustDelete(1, 1) // which a snapshot made superfluous
	disk.refuses = true
	if err := g.StoreLogs([]*raft.Log{{Index: 5, Term: 2}}); !errors.Is(err, syscall.ENOSPC) || len(broken) != 0 || len(refused) != 1 {
		t.Fatalf("store on a full disk: %v; reported %v", err, broken)
	}
	mustDelete(3, 4)
	ended := make(chan bool)
	go func() {
		returned := false
		defer func() { ended <- !returned }()
		_ = g.StoreLogs([]*raft.Log{{Index: 3, Term: 3}})
		returned = true
	}()
	if !<-ended || len(broken) != 1 || !errors.Is(broken[0], syscall.ENOSPC) {
		t.Fatalf("went on with a log that it does not know; reported %v", broken)
	}
}

func TestEntryThatCannotBeReadEndsWhoAsked(t *testing.T) {
	dir := t.TempDir()
	store, err := storage.Open(storage.DefaultConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var broken []error
	g := &guard{Store: store, broken: func(err error) { broken = append(broken, err) }, restored: func() (uint64, uint64) { return 0, 0 }}

	// An entry that is not there is an ordinary answer.
	g.running.Store(true)
	if err := g.GetLog(1, new(raft.Log)); !errors.Is(err, raft.ErrLogNotFound) {
		t.Fatalf("read an entry that is not there: %v", err)
	}

	// A term that cannot be saved is not: Raft would panic.
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan bool)
	go func() {
		returned := false
		defer func() { ended <- !returned }()
		_ = g.SetUint64([]byte(currentTerm), 7)
		returned = true
	}()
	if !<-ended || len(broken) != 1 {
		t.Fatalf("went on after its term could not be saved; reported %v", broken)
	}

	// Nor is a log that is used no more.
	go func() {
		returned := false
		defer func() { ended <- !returned }()
		_ = g.GetLog(1, new(raft.Log))
		returned = true
	}()
	if !<-ended || len(broken) != 2 || !errors.Is(broken[1], storage.ErrUnusable) {
		t.Fatalf("went on without a log; reported %v", broken)
	}

	// While Raft starts, it is our own goroutine that asks.
	g.running.Store(false)
	if err := g.SetUint64([]byte(currentTerm), 7); err == nil || len(broken) != 2 {
		t.Fatalf("save term while starting: %v", err)
	}
}
