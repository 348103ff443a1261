// Command argosy is all of Argosy in one binary: a server replica, a node's
// agent, a cluster to try it on, and the command line. It wires the rooms
// together and decides nothing.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is stamped in by the linker.
var version = "unknown"

func main() {
	os.Exit(run())
}

// run is main with an exit code, so that tests can call it too.
func run() int {
	// The first signal asks for an orderly end, which every command does in its
	// own way; a second one ends at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop()
	}()
	return execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
