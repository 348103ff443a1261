package soak

import (
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/chaos/ledger"
	"github.com/argosy-cluster/argosy/chaos/report"
)

// account adds trials up. Percentiles are of the outages of all of them.
type account struct {
	sum     ledger.Soak
	outages map[string][]float64
	trials  int64
	latest  *report.Summary
}

func newAccount(c *Config) *account {
	return &account{
		sum: ledger.Soak{
			Commit: c.Commit, Seed: c.Seed, Profile: c.Profile, Started: time.Now().UTC().Format(time.RFC3339),
			Faults: map[string]int64{}, Violations: map[string]int64{}, OutageMs: map[string]ledger.Outage{},
		},
		outages: map[string][]float64{},
	}
}

func (a *account) add(s *report.Summary) {
	a.trials++
	a.latest = s
	a.sum.Operations += s.Checked
	if s.Simulated {
		a.sum.VirtualHours += s.Seconds / 3600
	}
	for kind, n := range s.Faults {
		a.sum.Faults[kind] += n
	}
	for invariant, n := range s.Violations {
		a.sum.Violations[invariant] += n
	}
	for kind, ms := range s.Outages {
		a.outages[kind] = append(a.outages[kind], ms...)
	}
}

func (a *account) failed() { a.sum.Failed++ }

// last tells what the latest trial added.
func (a *account) last() string {
	var faults int64
	for _, n := range a.latest.Faults {
		faults += n
	}
	return fmt.Sprintf("%d faults, %d operations", faults, a.latest.Checked)
}

func (a *account) line(took time.Duration) *ledger.Soak {
	line := a.sum
	line.Trials, line.Minutes = a.trials, float64(took.Round(6*time.Second))/float64(time.Minute)
	for kind, ms := range a.outages {
		line.OutageMs[kind] = ledger.Percentiles(ms)
	}
	return &line
}
