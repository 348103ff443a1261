package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/chaos/ledger"
	"github.com/argosy-cluster/argosy/chaos/report"
)

const commit = "0123456789ab"

// cluster stands for what trials are done on: each takes a minute and leaves a
// file.
type cluster struct {
	seeds []uint64
	// says what came of the trial of a number, from 1.
	says func(n int) (*report.Summary, error)
}

func (c *cluster) try(ctx context.Context, seed uint64, dir string) (*report.Summary, error) {
	c.seeds = append(c.seeds, seed)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "plan.json"), []byte("{}"), 0o644); err != nil {
		return nil, err
	}
	select {
	case <-time.After(time.Minute):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if c.says == nil {
		return held(), nil
	}
	return c.says(len(c.seeds))
}

func held() *report.Summary {
	return &report.Summary{
		Judgement: report.Held, Checked: 100, Faults: map[string]int64{"kill-leader": 2},
		Outages: map[string][]float64{"kill-leader": {10, 20}},
	}
}

func violated() *report.Summary {
	s := held()
	s.Judgement, s.Violations = report.Violated, map[string]int64{"S1": 1}
	return s
}

// soaked runs a soak of five minutes in virtual time.
func soaked(t *testing.T, c *cluster, change func(*Config)) (line *ledger.Soak, out string, config Config, err error) {
	t.Helper()
	dir := t.TempDir()
	said := &strings.Builder{}
	config = Config{
		For: 5 * time.Minute, Seed: 42, Profile: "ci", Commit: commit, Try: c.try, Dir: filepath.Join(dir, "trials"),
		Ledger: filepath.Join(dir, "ledger.jsonl"), Out: said, Room: 1,
	}
	if change != nil {
		change(&config)
	}
	synctest.Test(t, func(t *testing.T) { line, err = Run(t.Context(), config) })
	return line, said.String(), config, err
}

func mustLedger(t *testing.T, path string) []ledger.Soak {
	t.Helper()
	soaks, err := ledger.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return soaks
}

func kept(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestASoakFillsItsTimeAndAccountsForIt(t *testing.T) {
	c := &cluster{}
	line, out, config, err := soaked(t, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.seeds) != 5 || line.Trials != 5 || line.Operations != 500 || line.Faults["kill-leader"] != 10 || line.Minutes != 5 {
		t.Errorf("%d trials: %+v", len(c.seeds), line)
	}
	if o := line.OutageMs["kill-leader"]; o != (ledger.Outage{N: 10, P50: 10, P99: 20, Max: 20}) {
		t.Errorf("outages %+v", o)
	}
	if n := kept(t, config.Dir); n != 0 {
		t.Errorf("%d trials that held were kept", n)
	}
	if soaks := mustLedger(t, config.Ledger); len(soaks) != 1 || soaks[0].Seed != 42 || soaks[0].Commit != commit {
		t.Errorf("ledger %+v", soaks)
	}
	for _, seed := range c.seeds {
		if !strings.Contains(out, fmt.Sprint("seed ", seed)) {
			t.Errorf("it does not say seed %d:\n%s", seed, out)
		}
	}
	again := &cluster{}
	if _, _, _, err := soaked(t, again, nil); err != nil || fmt.Sprint(again.seeds) != fmt.Sprint(c.seeds) {
		t.Errorf("the same seed drew %v, then %v: %v", c.seeds, again.seeds, err)
	}
}

func TestASoakEndsAtTheFirstViolation(t *testing.T) {
	says := func(n int) (*report.Summary, error) {
		if n == 2 {
			return violated(), nil
		}
		return held(), nil
	}
	c := &cluster{says: says}
	line, out, config, err := soaked(t, c, nil)
	if !errors.Is(err, ErrViolated) || len(c.seeds) != 2 {
		t.Errorf("%d trials: %v", len(c.seeds), err)
	}
	if line.Violations["S1"] != 1 || len(mustLedger(t, config.Ledger)) != 1 {
		t.Errorf("accounted for as %+v", line)
	}
	if kept(t, config.Dir) != 1 || !strings.Contains(out, "VIOLATED") {
		t.Errorf("kept %d:\n%s", kept(t, config.Dir), out)
	}
	c = &cluster{says: says}
	if _, _, config, err = soaked(t, c, func(c *Config) { c.KeepGoing = true }); !errors.Is(err, ErrViolated) || len(c.seeds) != 5 {
		t.Errorf("told to go on: %d trials: %v", len(c.seeds), err)
	}
	if kept(t, config.Dir) != 1 {
		t.Errorf("kept %d", kept(t, config.Dir))
	}
}

func TestWhatCouldNotBeJudgedIsNoSuccess(t *testing.T) {
	c := &cluster{says: func(n int) (*report.Summary, error) {
		switch n {
		case 1:
			return nil, errors.New("no lab")
		case 3:
			return &report.Summary{Judgement: report.NotJudged, Reasons: []string{"cut off"}, Checked: 1000}, nil
		case 4:
			return held(), errors.New("left a mount behind")
		}
		return held(), nil
	}}
	line, out, config, err := soaked(t, c, nil)
	if !errors.Is(err, ErrUnjudged) || errors.Is(err, ErrViolated) {
		t.Errorf("error %v", err)
	}
	if line.Trials != 2 || line.Failed != 3 || line.Operations != 200 {
		t.Errorf("accounted for as %+v", line)
	}
	if kept(t, config.Dir) != 3 {
		t.Errorf("kept %d", kept(t, config.Dir))
	}
	for _, want := range []string{"no lab", "cut off", "left a mount behind"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	c = &cluster{says: func(int) (*report.Summary, error) { return nil, errors.New("no lab") }}
	line, _, config, err = soaked(t, c, nil)
	if len(c.seeds) != mostUnjudged || !errors.Is(err, ErrUnjudged) || line.Trials != 0 || len(mustLedger(t, config.Ledger)) != 0 {
		t.Errorf("%d trials that could not be done: %+v, %v", len(c.seeds), line, err)
	}
}

func TestASoakThatIsBrokenOffAccountsForWhatWasJudged(t *testing.T) {
	c := &cluster{}
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.jsonl")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
		defer cancel()
		line, err := Run(ctx, Config{For: time.Hour, Seed: 1, Profile: "ci", Commit: commit, Try: c.try, Dir: filepath.Join(dir, "trials"), Ledger: path, Room: 1})
		if !errors.Is(err, context.DeadlineExceeded) || line.Trials != 2 || line.Failed != 0 {
			t.Errorf("%+v, %v", line, err)
		}
	})
	if soaks := mustLedger(t, path); len(soaks) != 1 || soaks[0].Operations != 200 {
		t.Errorf("ledger %+v", soaks)
	}
}

func TestATrialThatDoesNotEndIsBrokenOff(t *testing.T) {
	hung := &cluster{}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := Run(t.Context(), Config{
			For: time.Minute, Overtime: time.Minute, Seed: 1, Profile: "ci", Dir: dir, Room: 1,
			Try: func(ctx context.Context, seed uint64, _ string) (*report.Summary, error) {
				hung.seeds = append(hung.seeds, seed)
				<-ctx.Done()
				return nil, context.Cause(ctx)
			},
		})
		if !errors.Is(err, ErrUnjudged) || len(hung.seeds) != 1 || time.Since(began) != 2*time.Minute {
			t.Errorf("%d trials in %v: %v", len(hung.seeds), time.Since(began), err)
		}
	})
}

func TestASoakStopsBeforeTheDiskIsFull(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"too little is free": func(c *Config) { c.Room = 1 << 60 },
		"too much was kept":  func(c *Config) { c.Kept, c.Keep = 1, true },
	} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{}
			if _, _, _, err := soaked(t, c, change); !errors.Is(err, ErrDisk) || len(c.seeds) > 1 {
				t.Errorf("%d trials: %v", len(c.seeds), err)
			}
		})
	}
}

func TestASoakThatCannotBeAccountedForIsNotBegun(t *testing.T) {
	damaged := filepath.Join(t.TempDir(), "ledger.jsonl")
	if err := os.WriteFile(damaged, []byte("{]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"the commit is not known": func(c *Config) { c.Commit = "unknown" },
		"the ledger is damaged":   func(c *Config) { c.Ledger = damaged },
		"no time":                 func(c *Config) { c.For = 0 },
		"no profile":              func(c *Config) { c.Profile = "" },
	} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{}
			if _, _, _, err := soaked(t, c, change); err == nil || len(c.seeds) > 0 {
				t.Errorf("%d trials: %v", len(c.seeds), err)
			}
		})
	}
}
