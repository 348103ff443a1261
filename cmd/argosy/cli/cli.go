// Package cli is the program: its commands, one file each. It wires the rooms
// together and decides nothing. It is apart from main so that a test binary can
// behave as the program, race detector and all, where processes are needed.
package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Main runs the program with its arguments and returns its exit code.
func Main(version string) int {
	// The first signal asks for an orderly end, which every command does in its
	// own way; a second one ends at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop()
	}()
	a := &app{version: version, in: os.Stdin, out: os.Stdout, err: os.Stderr}
	return a.execute(ctx, os.Args[1:])
}
