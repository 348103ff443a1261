package sim

import (
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestWhatHeldLeavesASummaryAndWhatDidNotTheWholeHistory(t *testing.T) {
	p := MakePlan(5, 10*time.Second)
	p.Settings.OldLevel = argosyv1.FeatureBase
	dir := t.TempDir()
	s, err := Simulate(Config{Plan: p}, dir)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Held() || s.VirtualHours <= 0 || s.FaultCount() != int64(len(p.Steps)) {
		t.Fatalf("summary %+v of %d steps", s, len(p.Steps))
	}
	read, err := ReadSummary(dir)
	if err != nil || read.Operations != s.Operations || !read.Held() {
		t.Errorf("read %+v: %v", read, err)
	}
	if _, err := history.Read(dir); err == nil {
		t.Error("a history was kept of what held")
	}

	result, err := Run(Config{Plan: p})
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := save(dir, p, result.History); err != nil {
		t.Fatal(err)
	}
	kept, err := history.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if before, after := check.Judge(result.History), check.Judge(kept); !after.Held() || after.Operations != before.Operations {
		t.Errorf("judged %+v before it was kept and %+v after", before, after)
	}
	if again, err := plan.Read(dir + "/" + history.PlanFile); err != nil || len(again.Steps) != len(p.Steps) {
		t.Errorf("kept plan: %v", err)
	}
}
