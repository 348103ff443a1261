package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

// Apart simulates in a process of its own: one that panics takes nothing with it
// but itself.
type Apart struct {
	// Program has the command that is named Command. Default: the running program.
	Program string
	// Environment is added to that of the process.
	Environment []string
}

// OutputFile is what the process of a simulation printed, below its directory.
const OutputFile = "output.txt"

// Command is the name of the command of a program that simulates one plan. Its
// arguments are the file of the plan, the directory of the simulation, and a flag
// "--scratch" with one for files that are removed in the end.
const Command = "simulate-one"

// Simulate is Simulate in such a process.
func (a Apart) Simulate(ctx context.Context, p *plan.Plan, dir string) (_ *Summary, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("simulate: make directory: %w", err)
	}
	file := filepath.Join(dir, history.PlanFile)
	if err := p.Write(file); err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	program := a.Program
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("simulate: find own program: %w", err)
		}
	}
	output, err := os.Create(filepath.Join(dir, OutputFile))
	if err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	defer func() { err = errors.Join(err, output.Close()) }()
	// However that process ends, nothing of it stays.
	files, err := newScratch("")
	if err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	defer func() { err = errors.Join(err, files.remove()) }()
	cmd := exec.CommandContext(ctx, program, Command, file, dir, "--scratch", files.dir)
	// It holds what it uses, too, should it outlive this process.
	cmd.ExtraFiles = []*os.File{files.lock}
	cmd.Stdout, cmd.Stderr = output, output
	// A bubble seldom has two things to do at once, and there are more of them.
	cmd.Env = append(append(os.Environ(), "GOMAXPROCS=1", "GOGC=400"), a.Environment...)
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(output.Name())
		return nil, fmt.Errorf("simulate: its process ended: %w: %s", err, bytes.TrimSpace(said[:min(len(said), 2000)]))
	}
	return ReadSummary(dir)
}
