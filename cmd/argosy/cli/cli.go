// Package cli is the program: its commands, one file each. It wires the rooms
// together and decides nothing. It is apart from main so that a test binary can
// behave as the program, race detector and all, where processes are needed.
package cli

import (
	"os"

	"github.com/argosy-cluster/argosy/cmd/internal/interrupt"
)

// Main runs the program with its arguments and returns its exit code.
func Main(version string) int {
	ctx, stop := interrupt.Context()
	defer stop()
	a := &app{version: version, in: os.Stdin, out: os.Stdout, err: os.Stderr}
	return a.execute(ctx, os.Args[1:])
}
