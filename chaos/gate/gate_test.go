package gate

import (
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/report"
)

// whole is an account in which everything was done.
func whole() *Account {
	return &Account{
		Demand: Demand{Faults: 50, Operations: 30_000, VirtualHours: 6, Bugs: 18},
		Parts: []Part{
			{Kind: Trial, Name: "trial 1", Judgement: report.Held, Faults: 25, Operations: 15_000},
			{Kind: Trial, Name: "trial 2", Judgement: report.Held, Faults: 25, Operations: 15_000},
			{Kind: Simulation, Name: "simulation", Judgement: report.Held, Faults: 3000, Operations: 900_000, VirtualHours: 6},
			{Kind: Bugs, Name: "planted bugs", Judgement: report.Held, Found: 18},
		},
	}
}

func TestHeldIsSaidOfNothingLess(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(a *Account)
		want   report.Judgement
		says   string
	}{
		{"everything was done", func(*Account) {}, report.Held, "50 of 50 faults, 30000 of 30000 operations, 6.0 of 6 virtual hours, 18 of 18 bugs"},
		{"a fault is missing", func(a *Account) { a.Parts[0].Faults-- }, report.NotJudged, "49 faults were done to real processes, not 50"},
		{"those of the simulation do not count", func(a *Account) { a.Parts[1].Operations, a.Parts[2].Operations = 0, 1e6 }, report.NotJudged, "15000 operations"},
		{"an hour is missing", func(a *Account) { a.Parts[2].VirtualHours = 5 }, report.NotJudged, "5.00 hours were simulated, not 6"},
		{"a bug was not found", func(a *Account) { a.Parts[3].Found = 17 }, report.NotJudged, "17 planted bugs were found, not 18"},
		{"a part was left out", func(a *Account) { a.Parts = a.Parts[:3] }, report.NotJudged, "0 planted bugs were found"},
		{"nothing was done", func(a *Account) { *a = Account{} }, report.NotJudged, "not judged"},
		{"a trial could not be judged", func(a *Account) {
			a.Parts[1].Judgement, a.Parts[1].Reasons = report.NotJudged, []string{"somebody had enough"}
			a.Parts[0].Faults = 50
			a.Parts[0].Operations = 30_000
		}, report.NotJudged, "somebody had enough"},
		{"a part says nothing", func(a *Account) { a.Parts[3].Judgement = "" }, report.NotJudged, "planted bugs: "},
		{"something was violated, and more not judged", func(a *Account) {
			a.Parts[0].Judgement = report.NotJudged
			a.Parts[2].Judgement, a.Parts[2].Kept, a.Parts[2].Again = report.Violated, "/here", "argosy-chaos simulate --seed 3"
		}, report.Violated, "simulation: violated\n  kept in /here\n  again: argosy-chaos simulate --seed 3\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := whole()
			tc.change(a)
			var out strings.Builder
			if err := a.Write(&out); err != nil {
				t.Fatal(err)
			}
			if got := a.Judgement(); got != tc.want || !strings.Contains(out.String(), tc.says) {
				t.Errorf("judgement is %q, want %q; it says\n%s", got, tc.want, &out)
			}
		})
	}
}
