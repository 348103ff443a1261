package podman_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod/libpodtest"
	"github.com/argosy-cluster/argosy/agent/runtime/podman"
	"github.com/argosy-cluster/argosy/chaos/podmand"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// patience is how long a condition may take; nothing is measured by it.
const patience = time.Minute

// watching collects events of a runtime for the length of a test.
type watching struct {
	t      testing.TB
	client *podman.Podman
	events chan runtime.Event
}

func watch(t testing.TB, p *podman.Podman) *watching {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watching{t: t, client: p, events: make(chan runtime.Event, 1000)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Watch(ctx, func(e runtime.Event) { w.events <- e })
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return w
}

// await waits for an event of the instance (any, when there is no name) that the
// condition holds for.
func (w *watching) await(name *argosyv1.InstanceName, what string, holds func(runtime.Event) bool) runtime.Event {
	w.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	var seen []string
	for {
		select {
		case e := <-w.events:
			if (name == nil || e.Instance.Name.Key() == name.Key()) && holds(e) {
				return e
			}
			seen = append(seen, fmt.Sprintf("%+v", e))
		case <-limit.C:
			w.t.Fatalf("no event of %s; seen:\n%s", what, strings.Join(seen, "\n"))
		}
	}
}

func resync(e runtime.Event) bool { return e.Resync }

func is(status runtime.Status) func(runtime.Event) bool {
	return func(e runtime.Event) bool { return !e.Resync && !e.Gone && e.Instance.Status == status }
}

func isGone(e runtime.Event) bool { return e.Gone }

func mustPID(t testing.TB, s *podmand.Service, id string) (pid int) {
	t.Helper()
	if _, err := fmt.Sscan(libpodtest.MustPodman(t, s, "inspect", "--format", "{{.State.Pid}}", id), &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// sleeping is the configuration of a container that runs until it is killed.
func sleeping(options ...string) string {
	return config(append([]string{"--network=none", "--stop-timeout=0"}, options...), "sleep", "100000")
}

func TestWhatIsShownCannotBeChanged(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		p := mustOpen(t, s, "shown")
		dir := t.TempDir()
		file, pipes := filepath.Join(dir, "files/etc/a.conf"), filepath.Join(dir, "control_interface")
		err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("kept"), 0o444),
			os.Mkdir(pipes, 0o755), syscall.Mkfifo(filepath.Join(pipes, "output"), 0o666), os.Chmod(dir, 0o700))
		if err != nil {
			t.Fatal(err)
		}
		mounts := []runtime.Mount{
			{Source: file, Target: "/etc/a.conf", ReadOnly: true},
			{Source: pipes, Target: runtime.ControlInterfaceTarget, ReadOnly: true},
		}
		// Each of these must fail.
		script := `echo x >/etc/a.conf || rm -f /etc/a.conf || rm -f $c/output || echo x >$c/more || exit 42`
		for name, options := range map[string][]string{
			"root": nil, "nobody": {"--user=65534:65534"},
		} {
			w := workload(name, "shown", config(append(options, "--network=none", "-e", "c="+runtime.ControlInterfaceTarget), "sh", "-c", script))
			events := watch(t, p)
			instance, err := p.Start(t.Context(), w, runtime.StartOptions{Mounts: mounts})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			t.Cleanup(func() { mustRemove(t, p, argosyv1.InstanceOf(w)) })
			if end := events.await(instance.Name, "its end", is(runtime.StatusExited)); end.Instance.ExitCode != 42 {
				t.Errorf("%s: exit code %d, want that of one that could change nothing", name, end.Instance.ExitCode)
			}
		}
		if content, err := os.ReadFile(file); err != nil || string(content) != "kept" {
			t.Errorf("the file is %q, %v", content, err)
		}
	})
}

func TestOptionsReachTheContainer(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		p := mustOpen(t, s, "options")
		dir := t.TempDir()
		cidfile := filepath.Join(dir, "cid")
		options := []string{
			"-p", "127.0.0.1::80", "-e", "GREETING=hello world", "--env=TWO=2", "-v", dir + ":/data:ro",
			"--net", "podman", "--memory", "64m", "--cpus=0.5", "--cap-add", "NET_ADMIN", "--cap-drop=CAP_CHOWN",
			"--restart", "on-failure:2", "--user", "7:8", "--workdir=/tmp", "--read-only", "-h", "boat", "--label", "mine=yes",
			"--stop-timeout=3", "--stop-signal", "SIGINT", "--annotation", "a=b", "--ulimit", "nofile=100:100", "--ulimit", "nproc=4096:4096",
			"--add-host", "other:10.1.2.3", "--pids-limit=50", "--init", "--health-cmd", "true", "--tmpfs", "/scratch",
			"--log-opt", "max-size=1mb", "--name", "of-my-own", "--cidfile", cidfile, "--entrypoint", `["sleep"]`,
		}
		w := workload("optioned", "options", config(options, "100000"))
		instance := mustStart(t, p, w)

		var inspected []struct {
			Name          string
			Args          []string
			MountLabel    string
			EffectiveCaps []string
			Config        struct {
				Hostname, User, WorkingDir string
				Env, CreateCommand         []string
				Labels, Annotations        map[string]string
				StopTimeout                uint
				Healthcheck                struct{ Test []string }
			}
			HostConfig struct {
				Memory, NanoCpus, PidsLimit int64
				ReadonlyRootfs, Init        bool
				RestartPolicy               struct {
					Name              string
					MaximumRetryCount int
				}
				CapAdd, CapDrop, ExtraHosts, Binds []string
				PortBindings                       map[string][]struct{ HostIP string }
				Ulimits                            []struct {
					Name       string
					Soft, Hard int64
				}
				NetworkMode string
				Tmpfs       map[string]string
				LogConfig   struct{ Size string }
			}
			NetworkSettings struct{ Networks map[string]any }
		}
		if err := json.Unmarshal([]byte(libpodtest.MustPodman(t, s, "inspect", instance.RuntimeID)), &inspected); err != nil {
			t.Fatal(err)
		}
		c := inspected[0]
		for what, ok := range map[string]bool{
			"--name":         c.Name == "of-my-own",
			"arguments":      slices.Contains(c.Args, "100000"),
			"-e":             slices.Contains(c.Config.Env, "GREETING=hello world") && slices.Contains(c.Config.Env, "TWO=2"),
			"-v":             slices.ContainsFunc(c.HostConfig.Binds, func(b string) bool { return strings.HasPrefix(b, dir+":/data:ro") }),
			"-p":             len(c.HostConfig.PortBindings["80/tcp"]) == 1 && c.HostConfig.PortBindings["80/tcp"][0].HostIP == "127.0.0.1",
			"--net":          c.NetworkSettings.Networks["podman"] != nil,
			"--memory":       c.HostConfig.Memory == 64<<20,
			"--cpus":         c.HostConfig.NanoCpus == 5e8,
			"--cap-add":      slices.Contains(c.HostConfig.CapAdd, "CAP_NET_ADMIN"),
			"--cap-drop":     slices.Contains(c.HostConfig.CapDrop, "CAP_CHOWN"),
			"--restart":      c.HostConfig.RestartPolicy.Name == "on-failure" && c.HostConfig.RestartPolicy.MaximumRetryCount == 2,
			"--user":         c.Config.User == "7:8",
			"--workdir":      c.Config.WorkingDir == "/tmp",
			"--read-only":    c.HostConfig.ReadonlyRootfs,
			"-h":             c.Config.Hostname == "boat",
			"--label":        c.Config.Labels["mine"] == "yes",
			"own labels":     c.Config.Labels["name"] == instance.Name.Key() && c.Config.Labels["agent"] == "options",
			"--stop-timeout": c.Config.StopTimeout == 3,
			"--annotation":   c.Config.Annotations["a"] == "b",
			"--ulimit": slices.ContainsFunc(c.HostConfig.Ulimits, func(u struct {
				Name       string
				Soft, Hard int64
			}) bool {
				return u.Name == "RLIMIT_NOFILE" && u.Soft == 100 && u.Hard == 100
			}),
			"--add-host":     slices.Contains(c.HostConfig.ExtraHosts, "other:10.1.2.3"),
			"--pids-limit":   c.HostConfig.PidsLimit == 50,
			"--init":         c.HostConfig.Init,
			"--health-cmd":   slices.Equal(c.Config.Healthcheck.Test, []string{"CMD-SHELL", "true"}),
			"--tmpfs":        c.HostConfig.Tmpfs["/scratch"] != "",
			"create command": len(c.Config.CreateCommand) > 3 && slices.Equal(c.Config.CreateCommand[:3], []string{"podman", "run", "--detach"}),
		} {
			if !ok {
				t.Errorf("%s did not reach the container: %+v", what, c)
			}
		}
		if id, err := os.ReadFile(cidfile); err != nil || string(id) != instance.RuntimeID {
			t.Errorf("--cidfile holds %q, %v", id, err)
		}
	})
}

func TestContainersOfOtherClientsAreAdopted(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		p := mustOpen(t, s, "adopt")
		watcher := watch(t, p)
		watcher.await(nil, "first resync", resync)
		w := workload("short", "adopt", sleeping())
		name := argosyv1.InstanceOf(w)
		// As newer versions of Ankaios name them: the labels tell, not the name.
		id := libpodtest.MustPodman(t, s, "run", "-d", "--network=none", "--stop-timeout=0", "--name", "short."+name.GetId()[:7]+".adopt",
			"--label=name="+name.Key(), "--label=agent=adopt", image, "sleep", "100000")
		event := watcher.await(name, "another client's start", is(runtime.StatusRunning))
		if event.Instance.RuntimeID != id {
			t.Errorf("told of %s, want %s", event.Instance.RuntimeID, id)
		}
		instance, err := p.Start(t.Context(), w, runtime.StartOptions{})
		if err != nil || instance.RuntimeID != id {
			t.Errorf("start returns %+v, %v; want it left alone", instance, err)
		}
		libpodtest.MustPodman(t, s, "pause", id)
		watcher.await(name, "pause", is(runtime.StatusUnknown))
		libpodtest.MustPodman(t, s, "unpause", id)
		watcher.await(name, "unpause", is(runtime.StatusRunning))
		mustRemove(t, p, name)
		watcher.await(name, "removal", isGone)
		if left := libpodtest.MustPodman(t, s, "ps", "-a", "--quiet", "--no-trunc", "--filter", "label=agent=adopt"); left != "" {
			t.Errorf("left: %s", left)
		}
	})
}

func TestPausedContainerIsRemoved(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		p := mustOpen(t, s, "paused")
		w := workload("paused", "paused", sleeping())
		instance := mustStart(t, p, w)
		libpodtest.MustPodman(t, s, "pause", instance.RuntimeID)
		if err := p.Remove(t.Context(), instance.Name); err != nil {
			t.Fatal(err)
		}
		if all, err := p.List(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("left: %+v, %v", all, err)
		}
	})
}

func TestHalfMadeContainerIsMadeAnew(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		p := mustOpen(t, s, "half")
		w := workload("half", "half", sleeping("-v", "/anonymous"))
		name := argosyv1.InstanceOf(w)
		id := libpodtest.MustPodman(t, s, "create", "--network=none", "--name", name.Key(), "-v", "/anonymous",
			"--label=name="+name.Key(), "--label=agent=half", image, "sleep", "1")
		volumes := strings.Fields(libpodtest.MustPodman(t, s, "volume", "ls", "-q"))
		instance := mustStart(t, p, w)
		if instance.RuntimeID == id || instance.Status != runtime.StatusRunning {
			t.Errorf("started %+v over the half-made %s", instance, id)
		}
		if now := strings.Fields(libpodtest.MustPodman(t, s, "volume", "ls", "-q")); len(now) != len(volumes) {
			t.Errorf("volumes were %q, are %q: that of the half-made one is left", volumes, now)
		}
		// A name taken by somebody else is an error that may go away.
		libpodtest.MustPodman(t, s, "create", "--name", "taken", image, "true")
		other := workload("other", "half", sleeping("--name=taken"))
		_, err := p.Start(t.Context(), other, runtime.StartOptions{})
		if err == nil || errors.Is(err, runtime.ErrInvalidConfig) || !strings.Contains(err.Error(), "taken") {
			t.Errorf("start under a name that is taken: %v", err)
		}
		replacing := workload("other", "half", sleeping("--name=taken", "--replace"))
		mustStart(t, p, replacing)
	})
}

func TestMissingImageMayComeLater(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		p := mustOpen(t, s, "missing")
		w := workload("missing", "missing", "image: localhost/nowhere:latest\ncommandOptions: [--pull=never]")
		_, err := p.Start(t.Context(), w, runtime.StartOptions{})
		if err == nil || errors.Is(err, runtime.ErrInvalidConfig) || errors.Is(err, runtime.ErrUnavailable) || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("error is %v", err)
		}
	})
}

func TestContainerThatRemovesItselfIsGone(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		p := mustOpen(t, s, "rm")
		watcher := watch(t, p)
		watcher.await(nil, "first resync", resync)
		w := workload("brief", "rm", config([]string{"--rm", "--network=none"}, "true"))
		mustStart(t, p, w)
		watcher.await(argosyv1.InstanceOf(w), "removal by itself", isGone)
	})
}

func TestLogsOfATerminal(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		p := mustOpen(t, s, "tty")
		watcher := watch(t, p)
		watcher.await(nil, "first resync", resync)
		w := workload("tty", "tty", config([]string{"-t", "--network=none"}, "sh", "-c", "echo one; echo two"))
		mustStart(t, p, w)
		watcher.await(argosyv1.InstanceOf(w), "end", is(runtime.StatusExited))
		var lines []string
		err := p.Logs(t.Context(), argosyv1.InstanceOf(w), runtime.LogOptions{Tail: -1}, func(line runtime.LogLine) error {
			lines = append(lines, string(line.Line))
			return nil
		})
		if err != nil || !slices.Equal(lines, []string{"one\r", "two\r"}) && !slices.Equal(lines, []string{"one", "two"}) {
			t.Errorf("lines %q, %v", lines, err)
		}
	})
}

// What a workload prints while it is stopped comes last, and its container is
// removed at once.
func TestWhoFollowsALogIsShownItsEndBeforeTheContainerIsRemoved(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		p := mustOpen(t, s, "follow")
		w := workload("follow", "follow", config([]string{"--network=none"},
			"sh", "-c", "trap 'echo bye; exit' TERM; echo hello; while :; do sleep 0.05; done"))
		mustStart(t, p, w)
		lines := make(chan string, 10)
		ended := make(chan error, 1)
		go func() {
			ended <- p.Logs(t.Context(), argosyv1.InstanceOf(w), runtime.LogOptions{Tail: -1, Follow: true}, func(line runtime.LogLine) error {
				lines <- string(line.Line)
				return nil
			})
		}()
		if line := <-lines; line != "hello" {
			t.Errorf("the first line is %q", line)
		}
		if err := p.Remove(t.Context(), argosyv1.InstanceOf(w)); err != nil {
			t.Error(err)
		}
		err := <-ended
		close(lines)
		var rest []string
		for line := range lines {
			rest = append(rest, line)
		}
		if err != nil || !slices.Equal(rest, []string{"bye"}) {
			t.Errorf("after the first line came %q, and %v", rest, err)
		}
	})
}

func TestServiceThatIsKilledIsSurvivedAndReported(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		p := mustOpen(t, s, "killed")
		watcher := watch(t, p)
		watcher.await(nil, "first resync", resync)
		stays := workload("stays", "killed", sleeping())
		ends := workload("ends", "killed", sleeping("--hostname=other"))
		running := mustStart(t, p, stays)
		ending := mustStart(t, p, ends)
		pid := mustPID(t, s, ending.RuntimeID)

		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if _, err := p.List(t.Context()); !errors.Is(err, runtime.ErrUnavailable) {
			t.Errorf("list: %v, want %v", err, runtime.ErrUnavailable)
		}
		if _, err := p.Start(t.Context(), stays, runtime.StartOptions{}); !errors.Is(err, runtime.ErrUnavailable) {
			t.Errorf("start: %v, want %v", err, runtime.ErrUnavailable)
		}
		if info := p.Info(t.Context()); !strings.Contains(info.GetProblem(), s.URL()) {
			t.Errorf("info is %v, want the problem", info)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		resynced, ended := false, false
		watcher.await(nil, "resync and the end while the service was away", func(e runtime.Event) bool {
			resynced = resynced || e.Resync
			ended = ended || e.Instance.Name.Key() == ending.Name.Key() && is(runtime.StatusExited)(e) && e.Instance.ExitCode == 137
			return resynced && ended
		})
		if info := p.Info(t.Context()); info.GetProblem() != "" {
			t.Errorf("info is %v, want no problem", info)
		}
		if instance, err := p.Start(t.Context(), stays, runtime.StartOptions{}); err != nil || instance.RuntimeID != running.RuntimeID {
			t.Errorf("start returns %+v, %v; want it left alone", instance, err)
		}
		// The stream works again.
		libpodtest.MustPodman(t, s, "kill", running.RuntimeID)
		watcher.await(running.Name, "end", is(runtime.StatusExited))
	})
}

func TestServiceThatHangsIsSurvivedAndReported(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		p := mustOpen(t, s, "hangs", func(c *podman.Config) {
			c.PingInterval, c.PingTimeout = 100*time.Millisecond, 2*time.Second
		})
		watcher := watch(t, p)
		watcher.await(nil, "first resync", resync)
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
		resumed := false
		defer func() {
			if !resumed {
				_ = s.Resume()
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		w := workload("late", "hangs", sleeping())
		if _, err := p.Start(t.Context(), w, runtime.StartOptions{}); !errors.Is(err, runtime.ErrUnavailable) {
			t.Errorf("start: %v, want %v", err, runtime.ErrUnavailable)
		}
		if info := p.Info(t.Context()); info.GetProblem() == "" {
			t.Error("info tells no problem")
		}
		resumed = true
		if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
		watcher.await(nil, "resync", resync)
		// What hung may be done after all, now: a start meets it until then. In the
		// end there must be one.
		var instance runtime.Instance
		for instance.RuntimeID == "" {
			var err error
			if instance, err = p.Start(ctx, w, runtime.StartOptions{}); ctx.Err() != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { mustRemove(t, p, instance.Name) })
		all, err := p.List(t.Context())
		if err != nil || len(all) != 1 || all[0].RuntimeID != instance.RuntimeID || all[0].Status != runtime.StatusRunning {
			t.Errorf("list is %+v, %v; want %+v only", all, err, instance)
		}
		if info := p.Info(t.Context()); info.GetProblem() != "" {
			t.Errorf("info is %v", info)
		}
	})
}

func TestChangesThatNoEventTellsAreFound(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		p := mustOpen(t, s, "quiet", func(c *podman.Config) { c.ResyncInterval = 100 * time.Millisecond })
		watcher := watch(t, p)
		watcher.await(nil, "first resync", resync)
		w := workload("quiet", "quiet", sleeping())
		instance := mustStart(t, p, w)
		watcher.await(instance.Name, "start", is(runtime.StatusRunning))
		// A client without events.
		libpodtest.MustPodman(t, s, "--events-backend=none", "rm", "--force", "--time=0", instance.RuntimeID)
		watcher.await(instance.Name, "removal", isGone)
	})
}

func TestEndWithTheMachineIsNoSuccess(t *testing.T) {
	for _, program := range libpodtest.Programs(t) {
		s := libpodtest.MustStartService(t, program)
		t.Run(s.Version(), func(t *testing.T) {
			defer func() {
				if err := s.Stop(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			libpodtest.ImportBusybox(t, s, image)
			p := mustOpen(t, s, "reboot")
			w := workload("runs", "reboot", sleeping())
			instance, err := p.Start(t.Context(), w, runtime.StartOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.LosePower(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			all, err := p.List(t.Context())
			if err != nil || len(all) != 1 || all[0].Status != runtime.StatusExited || all[0].ExitCode == 0 || all[0].Detail == "" {
				t.Fatalf("list is %+v, %v; want it ended, without success", all, err)
			}
			again, err := p.Start(t.Context(), w, runtime.StartOptions{Reuse: true})
			if err != nil || again.RuntimeID != instance.RuntimeID || again.Status != runtime.StatusRunning {
				t.Errorf("start again: %+v, %v", again, err)
			}
		})
	}
}

func TestANameThatIsTakenKeepsNothingFromRunning(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		p := mustOpen(t, s, "taken")
		options := []string{"--network=none", "--name=mine", "--stop-timeout=0"}
		old := mustStart(t, p, workload("web", "taken", config(options, "sleep", "1000")))
		w := workload("web", "taken", config(options, "sleep", "1001"))
		if _, err := p.Create(t.Context(), w, runtime.StartOptions{}); err == nil || errors.Is(err, runtime.ErrUnavailable) {
			t.Fatalf("create beside one of its name: error %v, want one that says that the name is taken", err)
		}
		all, err := p.List(t.Context())
		if err != nil || len(all) != 1 || all[0].RuntimeID != old.RuntimeID || all[0].Status != runtime.StatusRunning {
			t.Fatalf("there are %+v (%v), want the old alone and running", all, err)
		}
		mustRemove(t, p, old.Name)
		if started := mustStart(t, p, w); started.Status != runtime.StatusRunning {
			t.Fatalf("started instance is %+v, want it running", started)
		}
	})
}
