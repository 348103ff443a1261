package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/cmd/argosy/cli"
)

// TestMain makes the test binary behave as the program when it is called like
// it: every server, agent, keeper and command of these tests is this binary.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "argosy" || len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		os.Exit(cli.Main("v0.0.0-test"))
	}
	os.Exit(runTests(m))
}

// runTests runs the tests with the program on the PATH, and takes down what
// they share.
func runTests(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "argosy-cli-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	shared.dir = dir
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, filepath.Join(dir, "argosy"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code = m.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// programEnvironment is what a process of these tests gets beside the rest.
func programEnvironment() []string {
	// A program under the race detector waits a second at its end by default.
	race := strings.TrimSpace(os.Getenv("GORACE") + " atexit_sleep_ms=0")
	return []string{"GORACE=" + race}
}
