package trial_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/report"
	"github.com/argosy-cluster/argosy/chaos/trial"
)

// short is a plan of a few seconds. Its times are stretched: tests share the
// machine, and what they prove hangs on no time.
func short(steps ...plan.Step) *plan.Plan {
	last := int64(1)
	for i := range steps {
		steps[i].N = i + 1
		last = max(last, steps[i].AtMs+steps[i].ForMs)
	}
	return &plan.Plan{
		Version: plan.Version, Seed: 1, Profile: "test", DurationMs: last, Steps: steps,
		Settings: plan.Settings{
			Servers: 3, Agents: 1, SnapshotThreshold: 200, TrailingLogs: 1 << 20, TimingMultiplier: 5, LogStore: plan.BoltDB, TLS: true, DiskMB: 64,
		},
		Load: plan.Load{Writers: 2, Rivals: 1, Makers: 1, Readers: 3, StaleReaders: 1, Watchers: 2, Probes: 2, LogFollowers: 1, Askers: 2, PauseUs: 20_000},
	}
}

// config is that of a trial whose programs are the test binary.
func config(t *testing.T, p *plan.Plan) trial.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return trial.Config{
		Plan: p, Dir: filepath.Join(t.TempDir(), "trial"), Binary: self, Quiet: time.Second, Out: t.Output(),
		Environment: []string{"GORACE=" + strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0")},
		// Tests share the machine.
		Patience: 4 * time.Minute,
	}
}

// mustLab skips a test that needs a lab for a user who cannot have one.
func mustLab(t *testing.T) {
	t.Helper()
	l, err := lab.New(t.TempDir())
	if errors.Is(err, lab.ErrUnable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestTrialDoesItsPlanAndIsJudged(t *testing.T) {
	mustLab(t)
	c := config(t, short(
		plan.Step{AtMs: 500, Fault: plan.KillLeader, ForMs: 300},
		plan.Step{AtMs: 2500, Fault: plan.PowerServer, ForMs: 300},
		plan.Step{AtMs: 3000, Fault: plan.KillAgent, ForMs: 200}))
	result, err := trial.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	s := result.Summary
	if result.Err != nil || result.Violated() || s.Checked == 0 || s.Faults["kill-leader"] != 1 || s.Faults["kill-agent"] != 1 {
		t.Errorf("error %v, %+v", result.Err, s)
	}
	h, err := history.Read(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if h.Meta.Quiet == 0 || h.Meta.Ended < h.Meta.Quiet || h.Meta.Error != "" || len(h.Cut) > 0 {
		t.Errorf("%+v, cut are %v", h.Meta, h.Cut)
	}
	for _, f := range h.Faults {
		if f.Healed == 0 && !f.Skipped {
			t.Errorf("never healed: %+v", f)
		}
	}
	if len(h.Replicas) < 3 || len(h.Leaderships) == 0 || len(h.Looks) == 0 || len(h.Samples) == 0 || len(h.Beats) == 0 || len(h.Sights) == 0 || len(h.Messages) == 0 {
		t.Errorf("%d replicas, %d leaderships, %d looks, %d samples, %d beats, %d sights, %d messages", len(h.Replicas), len(h.Leaderships), len(h.Looks), len(h.Samples), len(h.Beats), len(h.Sights), len(h.Messages))
	}
	for _, stall := range h.Stalls {
		if stall.Who == "" || stall.Micros <= 0 || stall.To <= stall.From {
			t.Errorf("stalled: %+v", stall)
		}
	}
	goroutines := false
	for _, sample := range h.Samples {
		goroutines = goroutines || sample.Goroutines > 0
	}
	if !goroutines {
		t.Error("no sample tells how many goroutines a server has")
	}
	if result.Held() {
		for _, gone := range []string{"machines", "certs", "data"} {
			if _, err := os.Stat(filepath.Join(c.Dir, gone)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s was left: %v", gone, err)
			}
		}
	}
	again, err := trial.Judge(c.Dir)
	if err != nil || again.Summary.Judgement != s.Judgement || again.Summary.Checked != s.Checked {
		t.Errorf("judged again: %+v, error %v", again, err)
	}
	var verdict check.Verdict
	text, err := os.ReadFile(filepath.Join(c.Dir, trial.VerdictFile))
	if err := errors.Join(err, json.Unmarshal(text, &verdict)); err != nil || verdict.Operations != s.Checked {
		t.Errorf("verdict is %.200s, error %v", text, err)
	}
	if _, err := trial.Run(t.Context(), c); !errors.Is(err, history.ErrExists) {
		t.Errorf("a second trial in the same directory: %v", err)
	}
}

func TestTrialThatIsBrokenOffIsNotCalledRight(t *testing.T) {
	mustLab(t)
	c := config(t, short(plan.Step{AtMs: 0, Fault: plan.KillServer, ForMs: 60_000}, plan.Step{AtMs: 70_000, Fault: plan.KillAll}))
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("somebody had enough")
	// It is broken off as soon as the cluster stands.
	c.Out = writer(func() { cancel(why) })
	result, err := trial.Run(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(result.Err, trial.ErrFailed) || !errors.Is(result.Err, why) || result.Held() {
		t.Errorf("error %v, %+v", result.Err, result.Summary)
	}
	if result.Summary.Judgement == report.Held {
		t.Errorf("%+v", result.Summary)
	}
	h, err := history.Read(c.Dir)
	if err != nil || !strings.Contains(h.Meta.Error, why.Error()) {
		t.Errorf("%+v, error %v", h.Meta, err)
	}
	if _, err := os.Stat(filepath.Join(c.Dir, "data", "server-1")); err != nil {
		t.Errorf("the data of a trial that failed was not kept: %v", err)
	}
	again, err := trial.Judge(c.Dir)
	if err != nil || again.Held() || !errors.Is(again.Err, trial.ErrFailed) {
		t.Errorf("judged again: %+v, error %v", again, err)
	}
}

// writer calls a function at each write.
type writer func()

func (w writer) Write(p []byte) (int, error) { w(); return len(p), nil }

var _ io.Writer = writer(nil)

func TestTrialRefusesWhatItCannotDo(t *testing.T) {
	whole := config(t, short())
	for _, tc := range []struct {
		name   string
		change func(*trial.Config)
		says   string
	}{
		{"no plan", func(c *trial.Config) { c.Plan = nil }, "no plan"},
		{"no directory", func(c *trial.Config) { c.Dir = "" }, "no directory"},
		{"no program", func(c *trial.Config) { c.Binary = "" }, "make build"},
		{"a program that is not there", func(c *trial.Config) { c.Binary = filepath.Join(t.TempDir(), "argosy") }, "make build"},
		{"a plan that is not valid", func(c *trial.Config) { c.Plan = &plan.Plan{Version: 7} }, "it has 7"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := whole
			tc.change(&c)
			if _, err := trial.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v", err)
			}
			if _, err := os.Stat(whole.Dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("something was begun: %v", err)
			}
		})
	}
	if _, err := trial.Judge(t.TempDir()); !errors.Is(err, history.ErrNone) {
		t.Errorf("judge an empty directory: %v", err)
	}
}
