package writer

import (
	"fmt"
	"testing"
)

// agents stands for what is known of the agents: which workloads one may have
// elsewhere, and up to which revision deletions have been heard of.
type agents struct {
	have  map[string]string // agent by workload
	heard uint64
}

func (a *agents) elsewhere(workload, agent string, deleted uint64) bool {
	other, has := a.have[workload]
	return deleted > a.heard || has && other != agent
}

func displacingHarness(t *testing.T, manual bool) (*harness, *agents) {
	t.Helper()
	known := &agents{have: map[string]string{}, heard: 1 << 40}
	h := prepareHarness(t, newLedger(t, manual), func(_ *Config, d *Deps) { d.Elsewhere = known.elsewhere })
	return h, known
}

func (h *harness) marked(t *testing.T, name string) bool {
	t.Helper()
	row, ok := h.log.View().Workload(name)
	if !ok {
		t.Fatalf("workload %q is not there", name)
	}
	w, err := row.Workload()
	if err != nil {
		t.Fatal(err)
	}
	return w.GetDisplacing()
}

func TestANewWorkloadSaysThatAnotherAgentMayHaveOneOfItsName(t *testing.T) {
	h, known := displacingHarness(t, false)
	known.have["old"], known.have["here"] = "another", "a1"
	h.run(t)
	h.must(t, apply(workload("old", "1"), workload("here", "1"), workload("new", "1")))
	for name, want := range map[string]bool{"old": true, "here": false, "new": false} {
		if got := h.marked(t, name); got != want {
			t.Errorf("workload %q is marked: %v, want %v", name, got, want)
		}
	}

	// The mark is not the user's: it neither makes a difference nor can be set.
	again := workload("old", "1")
	again.Displacing = true
	if o := h.must(t, apply(again)); o.Result.GetChanges()[0].GetKind() != unchanged {
		t.Errorf("the same workload is %s", o.Result.GetChanges()[0].GetKind())
	}
	set := workload("another", "1")
	set.Displacing = true
	h.must(t, apply(set))
	if h.marked(t, "another") {
		t.Error("a user marked a workload")
	}
	// One that was changed needs no mark.
	h.must(t, apply(workload("old", "2")))
	if h.marked(t, "old") {
		t.Error("a changed workload is marked")
	}
}

func TestADeletionThatWasNotHeardOfMarksWhatIsMadeAnew(t *testing.T) {
	h, known := displacingHarness(t, false)
	known.heard = h.log.View().Revision()
	h.run(t)
	h.must(t, apply(workload("w", "1"), workload("v", "1")))
	h.must(t, remove("w"))
	h.must(t, apply(workload("w", "1"), workload("new", "1")))
	if !h.marked(t, "w") || h.marked(t, "new") {
		t.Error("want the mark at what was deleted, and only there")
	}
	known.heard = h.must(t, remove("w", "v")).Revision
	h.must(t, apply(workload("w", "1"), workload("v", "1")))
	if h.marked(t, "w") || h.marked(t, "v") {
		t.Error("want no mark once the deletion was heard of")
	}
}

func TestADeletionInFlightMarksWhatIsMadeAnew(t *testing.T) {
	h, _ := displacingHarness(t, true)
	h.run(t)
	end := func(done <-chan Outcome) {
		t.Helper()
		h.log.commit(nil)
		if o := <-done; o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	first := h.send(apply(workload("w", "1")))
	<-h.log.arrived
	end(first)
	removal := h.send(remove("w"))
	<-h.log.arrived
	second := h.send(apply(workload("w", "1")))
	<-h.log.arrived
	end(removal)
	end(second)
	if !h.marked(t, "w") {
		t.Error("want a mark: nobody has heard of the deletion yet")
	}
}

func TestDeletionsAreRememberedInLittleRoom(t *testing.T) {
	d := newDeparted(10)
	open := &batch{}
	d.note("open", open)
	for n := range 3 * maxDeparted {
		b := &batch{}
		name := fmt.Sprint("w", n)
		d.note(name, b)
		b.revision = uint64(20 + n)
		d.committed(name, b)
	}
	if len(d.names) > maxDeparted {
		t.Errorf("%d names are remembered, want at most %d", len(d.names), maxDeparted)
	}
	if _, ok := d.names["open"]; !ok {
		t.Error("a deletion in flight was forgotten")
	}
	for n := range 3 * maxDeparted {
		revision := d.before
		if end, ok := d.names[fmt.Sprint("w", n)]; ok {
			revision = end.revision
		}
		if revision < uint64(20+n) {
			t.Fatalf("deletion of revision %d is remembered as of revision %d", 20+n, revision)
		}
	}
}
