package demo_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/chaos/demo"
	"github.com/argosy-cluster/argosy/chaos/podmand"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "argosy-program-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	builds = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

var builds string

// program builds the program once, static, for an image is made of it. The
// variable ARGOSY_BINARY names one that is built already.
var program = sync.OnceValues(func() (string, error) {
	if given := os.Getenv("ARGOSY_BINARY"); given != "" {
		return filepath.Abs(given)
	}
	path := filepath.Join(builds, "argosy")
	build := exec.Command("go", "build", "-o", path, "github.com/argosy-cluster/argosy/cmd/argosy")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

// mustPlay gives the demonstration and returns what it printed.
func mustPlay(t *testing.T, config demo.Config) string {
	t.Helper()
	var err error
	if config.Binary, err = program(); err != nil {
		t.Fatal(err)
	}
	// A short path: sockets lie below it.
	if config.Dir, err = os.MkdirTemp("", "demo-"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	config.Out, config.Load = &out, 500*time.Millisecond
	err = demo.Run(t.Context(), config)
	t.Log(out.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(config.Dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", config.Dir, err)
	}
	last := strings.TrimSpace(out.String())
	last = last[strings.LastIndex(last, "\n")+1:]
	if !regexp.MustCompile(`^[1-9]\d* passed, 0 failed$`).MatchString(last) {
		t.Errorf("the last line is %q", last)
	}
	return out.String()
}

func TestTheLeaderIsKilledAndNothingIsLost(t *testing.T) {
	out := mustPlay(t, demo.Config{NoPodman: true})
	for _, promise := range []string{
		`ok     the job ran to its end`,
		`ok     writes go on: the longest pause after the kill was \S+`,
		`ok     writes acknowledged before the kill [1-9]\d*, after it [1-9]\d*, lost 0`,
		`ok     requests to the workload [1-9]\d*, failed 0`,
		`ok     restarts of workloads 0`,
		`ok     the job that had finished ran 1 time`,
		`all three have the same state`,
		`ok     the service answers while its agent is dead`,
	} {
		if !regexp.MustCompile(promise).MatchString(out) {
			t.Errorf("nothing was said of: %s", promise)
		}
	}
}

// TestItRunsContainersOfItsOwnProgram is the way of the command line to real
// podman. In CI a missing podman is a failure.
func TestItRunsContainersOfItsOwnProgram(t *testing.T) {
	missing := t.Skip
	if os.Getenv("CI") != "" {
		missing = t.Fatal
	}
	if _, err := podmand.Find(""); err != nil {
		missing(err)
	}
	out := mustPlay(t, demo.Config{})
	if strings.Contains(out, "going on with plain processes alone") {
		missing("podman cannot work here; see above")
	}
	if !strings.Contains(out, "hello    podman    on agent-1: Running(Ok)") {
		t.Error("no container ran")
	}
}
