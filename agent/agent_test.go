package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/runtimetest/fake"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func workload(name string, revision uint64) *argosyv1.Workload {
	return &argosyv1.Workload{Name: name, Agent: "node1", Runtime: "pods", RuntimeConfig: "image: " + name, CreatedRevision: revision, Revision: revision}
}

func testConfig(dir string, rt *fake.Runtime, servers ...string) Config {
	cfg := DefaultConfig()
	cfg.Name, cfg.DataDir, cfg.Servers, cfg.Version = "node1", dir, servers, "v1"
	cfg.Runtimes = []runtime.Runtime{rt}
	cfg.Session.PaceMax = 50 * time.Millisecond
	return cfg
}

// start runs an agent; the result ends it.
func start(t *testing.T, cfg Config) (stop func()) {
	t.Helper()
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	select {
	case <-a.Ready():
	case <-time.After(patience):
		t.Fatal("the agent is not ready")
	}
	return stop
}

func mustCall(t *testing.T, rt *fake.Runtime, starts, removes int) {
	t.Helper()
	if c := rt.Calls(); c.Starts != starts || c.Removes != removes {
		t.Errorf("runtime was asked for %d starts and %d removals, want %d and %d", c.Starts, c.Removes, starts, removes)
	}
}

func TestAnAgentRunsWhatItIsAssigned(t *testing.T) {
	rt := fake.New("pods")
	web, job := workload("web", 5), workload("job", 6)
	l := startLeader(t, 1, 6, web, job)
	stop := start(t, testConfig(t.TempDir(), rt, l.address))
	l.mustShow(t, web, "Running(Ok)")
	l.mustShow(t, job, "Running(Ok)")
	l.mustConverge(t, 6)
	l.assign(7, nil, "web")
	l.mustShow(t, web, "Removed")
	l.mustConverge(t, 7)
	stop()
	if l.goodbyes != 1 {
		t.Errorf("%d goodbyes", l.goodbyes)
	}
	if _, runs := rt.Get(argosyv1.InstanceOf(job)); !runs {
		t.Error("the workload ended with the agent")
	}
}

func TestANewLeaderThatAssignsTheSameChangesNothing(t *testing.T) {
	rt := fake.New("pods")
	web, job := workload("web", 5), workload("job", 6)
	first, second := startLeader(t, 1, 6, web, job), startLeader(t, 2, 6, web, job)
	start(t, testConfig(t.TempDir(), rt, first.address, second.address))
	// Whichever is asked first; a stale one is not gone back to.
	eventually(t, func() bool { return first.firstReport() != nil || second.firstReport() != nil }, func() string { return "no session" })
	first.grpc.Stop()
	second.mustShow(t, web, "Running(Ok)")
	second.mustConverge(t, 6)
	rt.Exit(argosyv1.InstanceOf(job), 0)
	second.mustShow(t, job, "Succeeded(Ok)")
	third := startLeader(t, 3, 6, web, job)
	second.send <- &argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_Redirect{Redirect: &argosyv1.Redirect{LeaderAddress: third.address, Term: 3}}}
	third.mustShow(t, job, "Succeeded(Ok)")
	third.mustConverge(t, 6)
	mustCall(t, rt, 2, 0)
}

func TestAnAgentThatStartsAgainChangesNothingAndSaysSoAtOnce(t *testing.T) {
	rt, dir := fake.New("pods"), t.TempDir()
	web, job, vanished := workload("web", 5), workload("job", 6), workload("vanished", 6)
	l := startLeader(t, 1, 6, web, job, vanished)
	stop := start(t, testConfig(dir, rt, l.address))
	l.mustConverge(t, 6)
	stop()
	// While it is away, as after a kill.
	rt.Exit(argosyv1.InstanceOf(job), 3)
	rt.Vanish(argosyv1.InstanceOf(vanished))

	again := startLeader(t, 2, 6, web, job, vanished)
	start(t, testConfig(dir, rt, again.address))
	again.mustShow(t, web, "Running(Ok)")
	again.mustShow(t, job, "Failed(ExecFailed)")
	again.mustShow(t, vanished, "Failed(Lost)")
	again.mustConverge(t, 6)
	if hello := again.hello(); hello.GetAssignmentRevision() != 6 || hello.GetClusterId() != "c1" || hello.GetTerm() != 1 || hello.GetInstanceId() == l.hello().GetInstanceId() {
		t.Errorf("hello: %v", hello)
	}
	for _, s := range again.firstReport().GetStates() {
		if s.GetExecution().GetState() == argosyv1.State_STATE_PENDING {
			t.Errorf("the first report was made before the runtime was asked: %v", s)
		}
	}
	mustCall(t, rt, 3, 0)
}

func TestALeaderOfALowerTermCannotTakeAnythingAway(t *testing.T) {
	rt, dir := fake.New("pods"), t.TempDir()
	web := workload("web", 5)
	l := startLeader(t, 5, 6, web)
	stop := start(t, testConfig(dir, rt, l.address))
	l.mustConverge(t, 6)
	stop()
	empty := startLeader(t, 4, 2)
	start(t, testConfig(dir, rt, empty.address))
	eventually(t, func() bool {
		empty.mu.Lock()
		defer empty.mu.Unlock()
		return len(empty.hellos) > 2
	}, func() string { return "the stale leader is not asked" })
	mustCall(t, rt, 1, 0)
}

func TestWithoutServersWorkloadsAreSupervised(t *testing.T) {
	rt, dir := fake.New("pods"), t.TempDir()
	web := workload("web", 5)
	web.RestartPolicy = argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS
	l := startLeader(t, 1, 6, web)
	stop := start(t, testConfig(dir, rt, l.address))
	l.mustConverge(t, 6)
	stop()
	l.grpc.Stop()
	start(t, testConfig(dir, rt, l.address))
	rt.Exit(argosyv1.InstanceOf(web), 1)
	eventually(t, func() bool { return rt.Calls().Starts == 2 }, func() string { return "it was not started again" })
}

func TestAHangingRuntimeHoldsTheSessionUpForAMomentOnly(t *testing.T) {
	rt := &hanging{Runtime: fake.New("pods")}
	l := startLeader(t, 1, 6, workload("web", 5))
	cfg := testConfig(t.TempDir(), rt.Runtime, l.address)
	cfg.Runtimes = []runtime.Runtime{rt}
	cfg.StartupPatience = 10 * time.Millisecond
	start(t, cfg)
	eventually(t, func() bool { return l.firstReport() != nil }, func() string { return "no session" })
}

// hanging is a runtime that does not tell what it has.
type hanging struct{ *fake.Runtime }

func (h *hanging) List(ctx context.Context) ([]runtime.Instance, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func TestADataDirectoryIsForOneAgentAndOneProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	l := startLeader(t, 1, 1)
	stop := start(t, testConfig(dir, fake.New("pods"), l.address))
	run := func(name string) error {
		cfg := testConfig(dir, fake.New("pods"), l.address)
		cfg.Name = name
		a, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return a.Run(t.Context())
	}
	if err := run("node1"); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second process: %v", err)
	}
	stop()
	if err := run("node2"); !errors.Is(err, ErrOtherAgent) || !strings.Contains(err.Error(), "node1") {
		t.Errorf("another agent: %v", err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the directory: %v, %v", info.Mode(), err)
	}
}

func TestAFullDiskKeepsNoAgentFromStarting(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, nameFile), []byte("node1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", filepath.Join(dir, lockFile)); err != nil {
		t.Fatal(err)
	}
	l := startLeader(t, 1, 1)
	start(t, testConfig(dir, fake.New("pods"), l.address))()
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no name":          func(c *Config) { c.Name = "" },
		"bad name":         func(c *Config) { c.Name = "a b" },
		"long name":        func(c *Config) { c.Name = strings.Repeat("a", 64) },
		"no directory":     func(c *Config) { c.DataDir = "" },
		"nobody to ask":    func(c *Config) { c.Servers = nil },
		"no port":          func(c *Config) { c.Servers = []string{"host"} },
		"no runtime":       func(c *Config) { c.Runtimes = nil },
		"tag without key":  func(c *Config) { c.Tags = map[string]string{"": "x"} },
		"tag not in UTF-8": func(c *Config) { c.Tags = map[string]string{"a": "\xff"} },
	} {
		cfg := testConfig(t.TempDir(), fake.New("pods"), "127.0.0.1:1")
		change(&cfg)
		if _, err := New(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
