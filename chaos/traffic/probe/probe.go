package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/chaos/history"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

var (
	// ErrClash is returned when another process of the same workload runs.
	ErrClash = errors.New("another process of this workload runs")
	// ErrConfig is returned for a probe without what it needs to know.
	ErrConfig = errors.New("probe lacks a flag")
)

// Interval is the time between two signs of life, and LineEvery how many of them
// there are for each line that is printed.
const (
	Interval  = 50 * time.Millisecond
	LineEvery = 4
)

// Config says what a probe was started as.
type Config struct {
	// Workload, Agent and Value are what it runs as.
	Workload, Agent, Value string
	// Dir is where its file is, and the lock of its workload.
	Dir string
	// Object is the name of what it reads and writes by its control interface, empty for
	// a probe that asks for nothing; Messages is where the file of that is.
	Object, Messages string
	// Binary is the program as it was called.
	Binary string
	// Image is that of the container that it runs in, empty for none.
	Image string
	// Clock tells the time. Default: that of the machine.
	Clock history.Clock
	// Out is where it prints.
	Out io.Writer
}

// Validate checks the configuration.
func (c Config) Validate() error {
	for flag, value := range map[string]string{"workload": c.Workload, "agent": c.Agent, "value": c.Value, "dir": c.Dir} {
		if value == "" {
			return fmt.Errorf("run probe: %w: --%s is needed", ErrConfig, flag)
		}
	}
	if c.Object != "" && c.Messages == "" {
		return fmt.Errorf("run probe: %w: --messages is needed beside --object", ErrConfig)
	}
	return nil
}

// Run gives signs of life until the context ends.
func Run(ctx context.Context, config Config) error {
	if err := config.Validate(); err != nil {
		return err
	}
	if config.Clock == nil {
		var err error
		if config.Clock, err = history.MachineClock(); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(filepath.Join(config.Dir, fmt.Sprintf("%s-%d.jsonl", config.Workload, os.Getpid())), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("run probe: %w", err)
	}
	// Every line is written at once: there is nothing left to lose.
	defer func() { _ = file.Close() }()
	p := &probe{config: config, file: file, instance: argosyv1.InstanceID(config.runtimeConfig())}
	lock, err := p.lock()
	if errors.Is(err, ErrClash) {
		return errors.Join(fmt.Errorf("run probe %s: %w", config.Workload, err), p.beat(history.BeatClash))
	}
	if err != nil {
		return err
	}
	// The end of the process gives it back, too.
	defer func() { _ = lock.Close() }()
	if config.Object == "" {
		return p.run(ctx)
	}
	return p.runAsking(ctx)
}

// runAsking asks beside the signs of life.
func (p *probe) runAsking(ctx context.Context) error {
	a, err := newAsker(p.config, p.instance)
	if err != nil {
		return err
	}
	var asking sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	asking.Go(func() { a.run(ctx) })
	err = p.run(ctx)
	cancel()
	asking.Wait()
	return errors.Join(err, a.transcript.close())
}

type probe struct {
	config   Config
	file     *os.File
	instance string
	lines    int64
}

// lock takes the lock of the workload. It belongs to the open file: whatever ends
// the process gives it back, and nothing else does.
func (p *probe) lock() (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(p.config.Dir, p.config.Workload+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("run probe: %w", err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return file, nil
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrClash
	} else {
		err = fmt.Errorf("run probe: lock %s: %w", file.Name(), err)
	}
	return nil, errors.Join(err, file.Close())
}

func (p *probe) run(ctx context.Context) error {
	if err := p.beat(history.BeatStart); err != nil {
		return err
	}
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	for n := 0; ; n++ {
		if n%LineEvery == 0 {
			p.lines++
			if _, err := fmt.Fprintln(p.config.Out, Line{Number: p.lines, PID: os.Getpid(), Value: p.config.Value}); err != nil {
				return fmt.Errorf("run probe: %w", err)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return p.beat(history.BeatStop)
		}
		if err := p.beat(history.BeatOn); err != nil {
			return err
		}
	}
}

// beat writes a sign of life, in one piece.
func (p *probe) beat(what string) error {
	line, err := json.Marshal(history.Beat{
		Workload: p.config.Workload, Instance: p.instance, Agent: p.config.Agent, Value: p.config.Value,
		PID: os.Getpid(), What: what, Lines: p.lines, At: p.config.Clock(),
	})
	if err != nil {
		return fmt.Errorf("run probe: %w", err)
	}
	if _, err := p.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("run probe: %w", err)
	}
	return nil
}
