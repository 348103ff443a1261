package trial

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/argosy-cluster/argosy/chaos/plan"
)

var (
	// ErrFailed is returned when a trial could not be carried out as planned; it
	// says nothing of the cluster.
	ErrFailed = errors.New("the trial itself failed")
	// ErrSlow is the cause when a trial takes longer than it may.
	ErrSlow = errors.New("the trial takes too long")
)

// Config says what to try, and where.
type Config struct {
	// Plan is what is done. Required.
	Plan *plan.Plan
	// Dir is where the trial's record is kept: a directory without another one.
	// Required.
	Dir string
	// Binary is the argosy program. Required.
	Binary string
	// Prober is the program that has the command "probe". Default: the running
	// program.
	Prober string
	// Environment is added to that of the cluster's processes.
	Environment []string
	// Planted is the name of the bug that was planted in the program, if any.
	Planted string
	// Commit is that of the source.
	Commit string
	// Patience is for how long anything is waited for that must happen. Default
	// DefaultPatience.
	Patience time.Duration
	// Quiet is for how long the cluster is watched under load after the last fault
	// was healed. Default DefaultQuiet.
	Quiet time.Duration
	// Keep keeps data directories and whole logs also of a trial that held.
	Keep bool
	// Out is told, for people, what happens. Default: nobody.
	Out io.Writer
	// Logger is told every step. Default: nobody.
	Logger *slog.Logger
}

// Defaults of a Config.
const (
	DefaultPatience = 90 * time.Second
	DefaultQuiet    = 3 * time.Second
)

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Plan == nil:
		return c, errors.New("no plan was given")
	case c.Dir == "":
		return c, errors.New("no directory was given")
	case c.Binary == "":
		return c, errors.New("no program was given: name that of argosy, 'make build' makes bin/argosy")
	}
	if err := c.Plan.Validate(); err != nil {
		return c, err
	}
	var err error
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return c, err
	}
	if c.Binary, err = filepath.Abs(c.Binary); err != nil {
		return c, err
	}
	if c.Prober == "" {
		if c.Prober, err = os.Executable(); err != nil {
			return c, fmt.Errorf("find own program: %w", err)
		}
	}
	if c.Patience == 0 {
		c.Patience = DefaultPatience
	}
	if c.Quiet == 0 {
		c.Quiet = DefaultQuiet
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// sum is the SHA-256 of a program.
func sum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read program: %w: build it with 'make build'", err)
	}
	defer func() { _ = file.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", fmt.Errorf("read program: %w", err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
