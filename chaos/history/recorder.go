package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// Names of the files of a history, below its directory.
const (
	metaFile        = "meta.json"
	operationsFile  = "operations.jsonl"
	sightsFile      = "sights.jsonl"
	eventsFile      = "events.jsonl"
	logRunsFile     = "logruns.jsonl"
	faultsFile      = "faults.jsonl"
	leadershipsFile = "leaderships.jsonl"
	looksFile       = "looks.jsonl"
	linesFile       = "lines.jsonl"
	replicasFile    = "replicas.jsonl"
	samplesFile     = "samples.jsonl"
	standingsFile   = "standings.jsonl"
	levelsFile      = "levels.jsonl"
	stallsFile      = "stalls.jsonl"
	beatsDir        = "beats"
	messagesDir     = "messages"
	// PlanFile is the plan of the trial, LogDir what its processes printed.
	PlanFile = "plan.json"
	LogDir   = "logs"
)

// Recorder writes a history, to a directory or to memory. It may be used by many
// goroutines.
type Recorder struct {
	dir string

	mu     sync.Mutex
	meta   Meta
	files  map[string]*file
	memory History
	err    error
}

type file struct {
	file   *os.File
	buffer *bufio.Writer
}

// Create begins a history in a directory, which is made; one that has a history
// already is refused.
func Create(dir string, meta Meta) (*Recorder, error) {
	if _, err := os.Stat(filepath.Join(dir, metaFile)); err == nil {
		return nil, fmt.Errorf("record history in %s: %w", dir, ErrExists)
	}
	for _, below := range []string{beatsDir, messagesDir} {
		if err := os.MkdirAll(filepath.Join(dir, below), 0o755); err != nil {
			return nil, fmt.Errorf("record history: %w", err)
		}
	}
	meta.Version, meta.Whole = Version, false
	r := &Recorder{dir: dir, meta: meta, files: map[string]*file{}}
	if err := r.writeMeta(); err != nil {
		return nil, err
	}
	return r, nil
}

// InMemory begins a history that is kept in memory.
func InMemory(meta Meta) *Recorder {
	meta.Version = Version
	return &Recorder{meta: meta}
}

// Dir is where it is written, empty for memory.
func (r *Recorder) Dir() string { return r.dir }

// BeatsDir is where workloads write their beats, a file each.
func (r *Recorder) BeatsDir() string { return filepath.Join(r.dir, beatsDir) }

// MessagesDir is where workloads write what they say to their agents and are told.
func (r *Recorder) MessagesDir() string { return filepath.Join(r.dir, messagesDir) }

// Operation records an operation that has ended.
func (r *Recorder) Operation(o Operation) { record(r, operationsFile, &r.memory.Operations, o) }

// Sight records a message of a watch.
func (r *Recorder) Sight(s Sight) { record(r, sightsFile, &r.memory.Sights, s) }

// Event records an event that a subscriber was told of.
func (r *Recorder) Event(e Event) { record(r, eventsFile, &r.memory.Events, e) }

// LogRun records lines that a follower was shown.
func (r *Recorder) LogRun(l LogRun) { record(r, logRunsFile, &r.memory.LogRuns, l) }

// Fault records a fault that was healed, or never will be.
func (r *Recorder) Fault(f Fault) { record(r, faultsFile, &r.memory.Faults, f) }

// Leadership records that a server led, or did no more.
func (r *Recorder) Leadership(l Leadership) {
	record(r, leadershipsFile, &r.memory.Leaderships, l)
}

// Look records what was seen of an agent.
func (r *Recorder) Look(l Look) { record(r, looksFile, &r.memory.Looks, l) }

// Line records a line of a log that should not be there.
func (r *Recorder) Line(l Line) { record(r, linesFile, &r.memory.Lines, l) }

// Replica records what a server had in the end.
func (r *Recorder) Replica(p Replica) { record(r, replicasFile, &r.memory.Replicas, p) }

// Sample records what a process took of its machine.
func (r *Recorder) Sample(s Sample) { record(r, samplesFile, &r.memory.Samples, s) }

// Standing records what a server said of its state.
func (r *Recorder) Standing(s Standing) { record(r, standingsFile, &r.memory.Standings, s) }

// Level records what a server knows of feature levels, or makes of them.
func (r *Recorder) Level(l Level) { record(r, levelsFile, &r.memory.Levels, l) }

// Stall records that the machine kept somebody waiting.
func (r *Recorder) Stall(s Stall) { record(r, stallsFile, &r.memory.Stalls, s) }

// Beat records a sign of life; real workloads write their own.
func (r *Recorder) Beat(b Beat) {
	record(r, filepath.Join(beatsDir, "recorded.jsonl"), &r.memory.Beats, b)
}

func record[T any](r *Recorder, name string, memory *[]T, v T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dir == "" {
		*memory = append(*memory, v)
		return
	}
	if r.err != nil {
		return
	}
	r.err = r.append(name, v)
}

func (r *Recorder) append(name string, v any) error {
	f := r.files[name]
	if f == nil {
		opened, err := os.OpenFile(filepath.Join(r.dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("record history: %w", err)
		}
		f = &file{opened, bufio.NewWriterSize(opened, 64<<10)}
		r.files[name] = f
	}
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("record history: encode %T: %w", v, err)
	}
	// The writer keeps the first error.
	_, _ = f.buffer.Write(line)
	if err := f.buffer.WriteByte('\n'); err != nil {
		return fmt.Errorf("record history: %w", err)
	}
	return nil
}

// Update changes what is said of the trial as a whole.
func (r *Recorder) Update(change func(*Meta)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.meta)
}

// Close ends the history. It is whole when nothing went wrong. The history in
// memory is returned, nil when it is on disk.
func (r *Recorder) Close() (*History, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	errs := []error{r.err}
	for _, f := range r.files {
		errs = append(errs, f.buffer.Flush(), f.file.Close())
	}
	r.files = nil
	r.err = ErrClosed
	err := errors.Join(errs...)
	r.meta.Whole = err == nil
	if r.dir == "" {
		r.memory.Meta = r.meta
		r.memory.sort()
		return &r.memory, err
	}
	return nil, errors.Join(err, r.writeMeta())
}

func (r *Recorder) writeMeta() error {
	text, err := json.MarshalIndent(r.meta, "", "  ")
	if err != nil {
		return fmt.Errorf("record history: %w", err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, metaFile), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("record history: %w", err)
	}
	return nil
}
