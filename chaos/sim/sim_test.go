package sim_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/sim"
)

// TestTheSystemHoldsUnderFaults: a few minutes of each of two seeds, one with either
// store of the log, which do most kinds of faults between them, judged like a trial
// with real processes. SIM_SEEDS and SIM_MINUTES make it more, SIM_LOG
// names a file for what the processes log.
func TestTheSystemHoldsUnderFaults(t *testing.T) {
	seeds, minutes := []uint64{9, 16}, 3
	if text := os.Getenv("SIM_SEEDS"); text != "" {
		seeds = nil
		for _, each := range strings.Fields(text) {
			seeds = append(seeds, mustNumber(t, each))
		}
	}
	if text := os.Getenv("SIM_MINUTES"); text != "" {
		minutes = int(mustNumber(t, text))
	}
	for _, seed := range seeds {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			cfg := sim.Config{Plan: sim.MakePlan(seed, time.Duration(minutes)*time.Minute), Log: mustLog(t)}
			result, err := sim.Run(cfg)
			if err != nil {
				t.Fatal(err)
			}
			faults := int64(0)
			for _, n := range result.Faults {
				faults += n
			}
			v := check.Judge(result.History)
			t.Logf("%v in %v: %d faults, %d operations checked, settings %+v", result.Virtual.Round(time.Second), result.Real.Round(time.Millisecond), faults, v.Operations, cfg.Plan.Settings)
			for invariant, r := range v.Results {
				for _, violation := range r.Violations {
					t.Errorf("%s: %s\n\t%s", invariant, violation.What, strings.Join(violation.Evidence, "\n\t"))
				}
			}
			if faults == 0 || v.Operations == 0 {
				t.Errorf("%d faults were done and %d operations checked", faults, v.Operations)
			}
			for invariant, why := range v.Unjudged {
				t.Logf("%s was not judged: %s", invariant, why)
			}
		})
	}
}

func mustNumber(t *testing.T, text string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func mustLog(t *testing.T) slog.Handler {
	t.Helper()
	path := os.Getenv("SIM_LOG")
	if path == "" {
		return nil
	}
	file, err := os.Create(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return slog.NewTextHandler(file, nil)
}

func TestASeedMakesTheSamePlan(t *testing.T) {
	one, other := sim.MakePlan(7, time.Hour), sim.MakePlan(7, time.Hour)
	if len(one.Steps) < 300 || len(one.Steps) != len(other.Steps) {
		t.Fatalf("%d and %d steps", len(one.Steps), len(other.Steps))
	}
	for i := range one.Steps {
		if one.Steps[i] != other.Steps[i] {
			t.Fatalf("step %d is %+v and %+v", i, one.Steps[i], other.Steps[i])
		}
	}
	if err := one.Validate(); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeSimulatedIsRefused(t *testing.T) {
	p := sim.MakePlan(1, time.Minute)
	p.Steps = []plan.Step{{N: 1, Fault: plan.FillDisk}}
	if _, err := sim.Run(sim.Config{Plan: p}); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("a disk was filled: %v", err)
	}
	p.Steps[0].Fault = "no-such-fault"
	if _, err := sim.Run(sim.Config{Plan: p}); !errors.Is(err, plan.ErrInvalid) {
		t.Errorf("a plan that says nothing: %v", err)
	}
}
