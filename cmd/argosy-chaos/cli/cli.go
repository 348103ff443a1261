// Package cli is the program of the chaos suite: its commands, one file each. It
// wires the rooms together and decides nothing. It is apart from main so that a
// test binary can behave as the program.
//
// The invariant it protects: of a command that tries or judges something, exit code
// 0 means that everything was looked at and nothing was wrong, and nothing else
// does. Commands that only tell something (plan, list, ledger, report) end with 0
// when they told it, whatever it is.
package cli

import (
	"os"

	"github.com/argosy-cluster/argosy/cmd/internal/interrupt"
)

// Exit codes of the program.
const (
	// ExitHeld says that everything was checked and held.
	ExitHeld = 0
	// ExitViolated says that an invariant did not hold.
	ExitViolated = 1
	// ExitUnjudged says that this cannot be known: the suite was called wrongly, or
	// could not do what it was to do, or not judge what it saw.
	ExitUnjudged = 2
)

// Main runs the program with its arguments and returns its exit code.
func Main(version string) int {
	// In the orderly end what is broken is healed and everything taken down. A lab
	// is gone with its process, however that went.
	ctx, stop := interrupt.Context()
	defer stop()
	a := &app{version: version, in: os.Stdin, out: os.Stdout, err: os.Stderr}
	return a.execute(ctx, os.Args[1:])
}
