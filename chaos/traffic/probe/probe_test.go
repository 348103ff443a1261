package probe_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/traffic/probe"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// TestMain makes the test binary behave as a probe when it is called like one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == probe.Name {
		os.Exit(probe.Main(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

func TestAProbeSaysWhatBecomesOfIt(t *testing.T) {
	r := mustRecord(t)
	first := mustProbe(t, r, "a-1")
	first.mustPrint(t, 1)
	first.mustPrint(t, 2)

	// Another one of the workload finds it.
	if err := mustProbe(t, r, "a-2").end(); err == nil {
		t.Error("two processes of one workload run")
	}
	// One that is killed gives the lock back, and says nothing any more.
	must(t, first.Process.Kill())
	_ = first.end()
	third := mustProbe(t, r, "a-3")
	third.mustPrint(t, 1)
	must(t, third.Process.Signal(syscall.SIGTERM))
	must(t, third.end())

	if _, err := r.Close(); err != nil {
		t.Fatal(err)
	}
	h, err := history.Read(r.Dir())
	if err != nil {
		t.Fatal(err)
	}
	what := map[string][]string{}
	for _, b := range h.Beats {
		if b.Workload != "probe-0" || b.Agent != "agent-1" || b.PID == 0 || b.At == 0 {
			t.Errorf("beat %+v", b)
		}
		if want := argosyv1.InstanceID(workload(r, b.Value).GetRuntimeConfig()); b.Instance != want {
			t.Errorf("beat of instance %s, want %s", b.Instance, want)
		}
		if n := len(what[b.Value]); b.What != history.BeatOn || n == 0 || what[b.Value][n-1] != b.What {
			what[b.Value] = append(what[b.Value], b.What)
		}
	}
	for value, want := range map[string]string{"a-1": "start beat", "a-2": "clash", "a-3": "start beat stop"} {
		got := strings.Join(what[value], " ")
		// The last one may be told to end before its first beat.
		if got != want && (value != "a-3" || got != "start stop") {
			t.Errorf("%s said %q, want %q", value, got, want)
		}
	}
}

func TestAProbeNeedsAllFlags(t *testing.T) {
	err := probe.Run(t.Context(), probe.Config{Workload: "w", Agent: "a", Value: "v", Out: io.Discard})
	if !errors.Is(err, probe.ErrConfig) || !strings.Contains(err.Error(), "--dir") {
		t.Errorf("without a directory: %v", err)
	}
}

func TestLinesAreRead(t *testing.T) {
	line := probe.Line{Number: 12, PID: 345, Value: "mover-1-7"}
	if got, err := probe.ParseLine([]byte(line.String())); err != nil || got != line {
		t.Errorf("read %+v, %v", got, err)
	}
	whole := line.String()
	for _, text := range []string{"", whole[:len(whole)-1], whole[1:], whole + whole, "line x of y by 3 ."} {
		if got, err := probe.ParseLine([]byte(text)); !errors.Is(err, probe.ErrLine) {
			t.Errorf("%q was read as %+v, %v", text, got, err)
		}
	}
}

func workload(r *history.Recorder, value string) *argosyv1.Workload {
	return probe.Maker(os.Args[0], r.BeatsDir())("probe-0", "agent-1", value)
}

// process is a probe that runs.
type process struct {
	*exec.Cmd
	lines *bufio.Scanner
	out   io.Closer
}

func mustProbe(t *testing.T, r *history.Recorder, value string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], probe.Name, "--workload", "probe-0", "--agent", "agent-1", "--value", value, "--dir", r.BeatsDir())
	out, err := cmd.StdoutPipe()
	must(t, err)
	cmd.Stderr = t.Output()
	must(t, cmd.Start())
	p := &process{cmd, bufio.NewScanner(out), out}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = p.end() })
	return p
}

// end waits for the end.
func (p *process) end() error {
	for p.lines.Scan() {
	}
	return p.Wait()
}

// mustPrint waits for the next line, which must be of this number.
func (p *process) mustPrint(t *testing.T, number int64) {
	t.Helper()
	stuck := time.AfterFunc(time.Minute, func() { _ = p.Process.Kill() })
	defer stuck.Stop()
	if !p.lines.Scan() {
		t.Fatalf("it ended before line %d", number)
	}
	line, err := probe.ParseLine(p.lines.Bytes())
	if err != nil || line.Number != number || line.PID != p.Process.Pid {
		t.Fatalf("line %+v, %v, want number %d of %d", line, err, number, p.Process.Pid)
	}
}

func mustRecord(t *testing.T) *history.Recorder {
	t.Helper()
	r, err := history.Create(t.TempDir()+"/trial", history.Meta{})
	must(t, err)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
