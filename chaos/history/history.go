package history

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

var (
	// ErrExists is returned when a directory has a history already.
	ErrExists = errors.New("there is a history already")
	// ErrNone is returned when a directory has none.
	ErrNone = errors.New("there is no history")
	// ErrVersion is returned for a history that another version has written.
	ErrVersion = errors.New("history of another version")
	// ErrDamaged is returned for a history that cannot be read.
	ErrDamaged = errors.New("history is damaged")
	// ErrClosed is the error of a record that comes after the end.
	ErrClosed = errors.New("history is closed")
)

// History is everything that was recorded of one trial.
type History struct {
	Meta Meta
	// Operations by the time of their call, Sights, Events, Beats and Messages by their
	// time, LogRuns and Faults by their beginning, Leaderships and Looks by their time.
	Operations  []Operation
	Sights      []Sight
	Events      []Event
	Beats       []Beat
	Messages    []Message
	LogRuns     []LogRun
	Faults      []Fault
	Leaderships []Leadership
	Looks       []Look
	Lines       []Line
	Replicas    []Replica
	// Samples and Standings by their time.
	Samples   []Sample
	Standings []Standing
	// Levels by their time.
	Levels []Level
	// Stalls by their beginning.
	Stalls []Stall
	// Cut names what is not whole. Nothing may be called right that rests on it.
	Cut []string
}

// Read reads the history of a directory. One that was cut off in the middle is
// read as far as it goes, and says so in Cut.
func Read(dir string) (*History, error) {
	h := &History{}
	text, err := os.ReadFile(filepath.Join(dir, metaFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read history of %s: %w: no %s: name the directory of a trial", dir, ErrNone, metaFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	if err := json.Unmarshal(text, &h.Meta); err != nil {
		return nil, fmt.Errorf("read history of %s: %w: %s: %w", dir, ErrDamaged, metaFile, err)
	}
	if h.Meta.Version != Version {
		return nil, fmt.Errorf("read history of %s: %w: it has %d, this program reads %d: use the program that wrote it", dir, ErrVersion, h.Meta.Version, Version)
	}
	if !h.Meta.Whole {
		h.Cut = append(h.Cut, metaFile)
	}
	err = errors.Join(
		load(h, dir, operationsFile, &h.Operations, false), load(h, dir, sightsFile, &h.Sights, false),
		load(h, dir, eventsFile, &h.Events, false), load(h, dir, logRunsFile, &h.LogRuns, false),
		load(h, dir, faultsFile, &h.Faults, false), load(h, dir, leadershipsFile, &h.Leaderships, false),
		load(h, dir, looksFile, &h.Looks, false), load(h, dir, linesFile, &h.Lines, false),
		load(h, dir, replicasFile, &h.Replicas, false), load(h, dir, samplesFile, &h.Samples, false),
		load(h, dir, standingsFile, &h.Standings, false), load(h, dir, stallsFile, &h.Stalls, false),
		load(h, dir, levelsFile, &h.Levels, false),
		loadAll(h, dir, beatsDir, &h.Beats), loadAll(h, dir, messagesDir, &h.Messages))
	if err != nil {
		return nil, err
	}
	h.sort()
	return h, nil
}

// loadAll reads the files that workloads wrote into a directory below that of the
// history.
func loadAll[T any](h *History, dir, below string, into *[]T) error {
	entries, err := os.ReadDir(filepath.Join(dir, below))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".jsonl") {
			// A workload that was killed may have been in the middle of a line.
			if err := load(h, dir, filepath.Join(below, entry.Name()), into, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// load reads the lines of a file. What follows the last end of a line was cut
// off, which is as it should be when it may end like that.
func load[T any](h *History, dir, name string, into *[]T, mayEnd bool) error {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	for number := 1; len(text) > 0; number++ {
		line, rest, whole := bytes.Cut(text, []byte{'\n'})
		if !whole {
			if !mayEnd {
				h.Cut = append(h.Cut, name)
			}
			return nil
		}
		text = rest
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return fmt.Errorf("read history of %s: %w: %s line %d: %w", dir, ErrDamaged, name, number, err)
		}
		*into = append(*into, v)
	}
	return nil
}

func (h *History) sort() {
	slices.SortStableFunc(h.Operations, func(a, b Operation) int { return cmp.Compare(a.Call, b.Call) })
	slices.SortStableFunc(h.Sights, func(a, b Sight) int { return cmp.Compare(a.At, b.At) })
	slices.SortStableFunc(h.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	slices.SortStableFunc(h.Beats, func(a, b Beat) int { return cmp.Compare(a.At, b.At) })
	slices.SortStableFunc(h.Messages, func(a, b Message) int { return cmp.Compare(a.At, b.At) })
	slices.SortStableFunc(h.LogRuns, func(a, b LogRun) int { return cmp.Compare(a.First, b.First) })
	slices.SortStableFunc(h.Faults, func(a, b Fault) int { return cmp.Compare(a.Begun, b.Begun) })
	slices.SortStableFunc(h.Leaderships, func(a, b Leadership) int { return cmp.Compare(a.At, b.At) })
	slices.SortStableFunc(h.Looks, func(a, b Look) int { return cmp.Compare(a.At, b.At) })
	slices.SortStableFunc(h.Samples, func(a, b Sample) int { return cmp.Compare(a.At, b.At) })
	slices.SortStableFunc(h.Standings, func(a, b Standing) int { return cmp.Compare(a.At, b.At) })
	slices.SortStableFunc(h.Levels, func(a, b Level) int { return cmp.Compare(a.At, b.At) })
	slices.SortStableFunc(h.Stalls, func(a, b Stall) int { return cmp.Compare(a.From, b.From) })
	slices.SortStableFunc(h.Lines, func(a, b Line) int { return cmp.Compare(a.At, b.At) })
}
