package consensus

import (
	"errors"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

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

	// While Raft starts, it is our own goroutine that asks.
	g.running.Store(false)
	if err := g.SetUint64([]byte(currentTerm), 7); err == nil || len(broken) != 1 {
		t.Fatalf("save term while starting: %v", err)
	}
}
