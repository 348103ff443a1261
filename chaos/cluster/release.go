package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// FormerRelease is the commit of the release before this one. Its servers,
// agents and command line work with those of this one, which a test proves. It
// is set anew with each release, here and nowhere else.
const FormerRelease = "fd87414da9067d695a2de4c4153363396a5e4f63"

// ErrNoHistory is returned when the former release is not in the repository,
// which is so in a shallow clone and outside of git.
var ErrNoHistory = errors.New("the former release is not in the history of this repository")

// BuildFormerRelease builds the program of the former release below a directory,
// as its own Makefile does, and returns where it is.
func BuildFormerRelease(ctx context.Context, dir string) (string, error) {
	run := func(where, name string, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = where
		text, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(text))
		}
		return string(text), nil
	}
	if _, err := run("", "git", "cat-file", "-e", FormerRelease+"^{commit}"); err != nil {
		return "", fmt.Errorf("build former release: %w: fetch it with 'git fetch --unshallow' (%w)", ErrNoHistory, err)
	}
	top, err := run("", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return "", fmt.Errorf("build former release: %w", err)
	}
	source, archive := filepath.Join(dir, "source"), filepath.Join(dir, "source.tar")
	if err := os.MkdirAll(source, 0o755); err != nil {
		return "", fmt.Errorf("build former release: %w", err)
	}
	for _, step := range [][]string{
		{strings.TrimSpace(top), "git", "archive", "--output", archive, FormerRelease},
		{source, "tar", "-xf", archive},
		{source, "make", "build", "VERSION=former"},
	} {
		if _, err := run(step[0], step[1], step[2:]...); err != nil {
			return "", fmt.Errorf("build former release: %w", err)
		}
	}
	return filepath.Join(source, "bin", "argosy"), nil
}

// Upgrade makes a process that does not run one of another program; an empty
// path is the running program itself.
func (p *Process) Upgrade(binary string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return fmt.Errorf("upgrade %s: %w", p.Name, ErrRunning)
	}
	if binary == "" {
		own, err := os.Executable()
		if err != nil {
			return fmt.Errorf("upgrade %s: find own program: %w", p.Name, err)
		}
		binary = own
	}
	p.binary = binary
	return nil
}
