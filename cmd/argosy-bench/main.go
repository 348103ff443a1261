// Command argosy-bench measures a cluster of real processes and writes the
// figures as JSON.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/argosy-cluster/argosy/chaos/bench"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	binary := flag.String("binary", "bin/argosy", "the argosy program")
	out := flag.String("out", "bench/latest.json", "file to write the figures to; those of other measurements in it stay")
	dir := flag.String("dir", "", "directory for the clusters' data, on the disk to measure (default: a temporary one)")
	only := flag.String("only", "", "regular expression: only these measurements, of "+strings.Join(bench.Names(), ", "))
	quick := flag.Bool("quick", false, "a tenth of the repetitions, to try the benchmark itself")
	flag.Parse()
	// The clients' own garbage would take CPU time from the servers, ours and
	// those that they are measured against.
	debug.SetGCPercent(400)
	config := bench.Config{Out: os.Stdout, Quick: *quick}
	var err error
	if config.Binary, err = filepath.Abs(*binary); err != nil {
		return err
	}
	if *only != "" {
		if config.Only, err = regexp.Compile(*only); err != nil {
			return fmt.Errorf("read -only: %w", err)
		}
	}
	if config.Dir = *dir; config.Dir == "" {
		if config.Dir, err = os.MkdirTemp("", "argosy-bench-"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(config.Dir) }()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	results, measured := bench.Run(ctx, config)
	if !*quick {
		if err := bench.Write(*out, results); err != nil {
			return err
		}
	}
	return measured
}
