package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// ScheduleConfig says where and how often backups are taken by themselves.
type ScheduleConfig struct {
	// Dir is where they go; empty means that none are taken. A directory on
	// another machine's disk outlives this one. Default empty.
	Dir string
	// Interval is how long after one backup the next is taken, when anything has
	// changed by then. More often loses less, and takes more space for the same
	// time. Default 1 h.
	Interval time.Duration
	// Keep is how many are kept; older ones are removed. Default 24.
	Keep int
}

// DefaultScheduleConfig returns the defaults.
func DefaultScheduleConfig() ScheduleConfig {
	return ScheduleConfig{Interval: time.Hour, Keep: 24}
}

// Validate says what is wrong with the configuration.
func (c ScheduleConfig) Validate() error {
	switch {
	case c.Dir == "":
		return nil
	case c.Interval < time.Second:
		return fmt.Errorf("--backup-interval is %v, it must be at least 1s", c.Interval)
	case c.Keep < 1:
		return fmt.Errorf("--backup-keep is %d, at least 1 must be kept", c.Keep)
	}
	return nil
}

// Health tells how the scheduled backups of a server do.
type Health struct {
	// Enabled tells whether there are any.
	Enabled bool
	// Last and Revision are of the newest backup in the directory; zero when
	// there is none.
	Last     time.Time
	Revision uint64
	// Current is when the newest backup was last found to have everything: a
	// state that does not change is not saved again.
	Current time.Time
	// Files is how many there are.
	Files int
	// Taken and Failed count backups and failures since the server began.
	Taken, Failed uint64
	// Problem is why the last try failed, empty when it did not, and Since is
	// when the first of the failures in a row was.
	Problem string
	Since   time.Time
}

// retryAfter is how long after a failure another try is made, if the interval is
// not shorter.
const retryAfter = time.Minute

// Scheduler takes backups by itself.
type Scheduler struct {
	cfg   ScheduleConfig
	deps  SchedulerDeps
	log   *slog.Logger
	dir   *directory
	mu    sync.Mutex
	state Health
}

// SchedulerDeps are what a Scheduler works with.
type SchedulerDeps struct {
	State State
	// Meta returns what this server says of every backup.
	Meta func() Meta
	// Logger may be nil.
	Logger *slog.Logger
}

// NewScheduler makes a Scheduler that does nothing before Run.
func NewScheduler(deps SchedulerDeps, cfg ScheduleConfig) (*Scheduler, error) {
	if deps.State == nil || deps.Meta == nil {
		return nil, errors.New("make backup scheduler: state and meta are needed")
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("make backup scheduler: %w", err)
	}
	s := &Scheduler{cfg: cfg, deps: deps, log: deps.Logger, state: Health{Enabled: cfg.Dir != ""}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s, nil
}

// Health tells how the backups do.
func (s *Scheduler) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Run takes backups until the context ends. A backup that fails is tried again;
// it ends nothing.
func (s *Scheduler) Run(ctx context.Context) error {
	if s.cfg.Dir == "" {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	for {
		next := s.turn(ctx)
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// turn takes a backup if it is time for one, and returns when to look again.
func (s *Scheduler) turn(ctx context.Context) time.Duration {
	next, err := s.save(ctx)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.state.Problem != "" {
			s.log.Info("backups are taken again")
		}
		s.state.Problem, s.state.Since = "", time.Time{}
		return next
	}
	if ctx.Err() != nil {
		return s.cfg.Interval
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Failed++
	if text := err.Error(); s.state.Problem != text {
		// The same failure is told once.
		s.log.Error("backup was not taken", "dir", s.cfg.Dir, "err", err)
		s.state.Problem = text
	}
	if s.state.Since.IsZero() {
		s.state.Since = time.Now()
	}
	return min(retryAfter, s.cfg.Interval)
}

// settleAfter is how long a server waits after its start before it first takes a
// backup, and between two looks while it has no state: until then it may not
// have caught up with the others.
const settleAfter = 10 * time.Second

func (s *Scheduler) save(ctx context.Context) (next time.Duration, err error) {
	meta := s.deps.Meta()
	view := s.deps.State.View()
	if _, begun := view.Cluster(); !begun || meta.ClusterID == "" {
		return min(settleAfter, s.cfg.Interval), nil
	}
	meta = Describe(view, meta)
	if s.dir == nil {
		if err := s.open(meta); err != nil {
			return 0, err
		}
		return min(settleAfter, s.cfg.Interval), nil
	}
	// Other servers may share the directory, and people may tidy it.
	found, err := s.dir.list(meta.ClusterID)
	if err != nil {
		return 0, fmt.Errorf("read backup directory: %w", err)
	}
	now := time.Now()
	if len(found) > 0 {
		newest := found[len(found)-1].Meta
		s.note(newest, len(found))
		// A clock that was put back must not stop the backups for as long.
		if left := newest.SavedAt.Add(s.cfg.Interval).Sub(now); left > 0 && left <= s.cfg.Interval {
			return left, nil
		}
		if unchanged(view, meta, newest) {
			s.current(now)
			return s.cfg.Interval, nil
		}
	}
	meta.SavedAt = now
	if err := s.dir.write(ctx, meta, view); err != nil {
		return 0, fmt.Errorf("take backup: %w", err)
	}
	s.note(meta, len(found)+1)
	s.current(now)
	left, err := s.dir.prune(meta.ClusterID, s.cfg.Keep)
	if err != nil {
		return 0, fmt.Errorf("remove old backups: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Taken++
	s.state.Files = left
	s.log.Info("backup was taken", "dir", s.cfg.Dir, "revision", meta.Revision, "kept", left)
	return s.cfg.Interval, nil
}

// unchanged tells that a state has nothing that the newest backup has not. A
// revision below that of the backup is of a server that lags behind the one that
// took it; one above it may be of an entry that changed no object.
func unchanged(view *fsm.View, meta, newest Meta) bool {
	if newest.Incarnation != meta.Incarnation {
		return argosyv1.IncarnationNumber(newest.Incarnation) > argosyv1.IncarnationNumber(meta.Incarnation)
	}
	return meta.Revision <= newest.Revision || ObjectsHash(view) == newest.ObjectsHash
}

// open begins with the directory.
func (s *Scheduler) open(meta Meta) error {
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("make backup directory: %w", err)
	}
	dir := newDirectory(s.cfg.Dir, meta.ClusterName)
	if err := dir.clean(time.Now().Add(-s.cfg.Interval)); err != nil {
		return fmt.Errorf("clean backup directory: %w", err)
	}
	found, err := dir.list(meta.ClusterID)
	if err != nil {
		return fmt.Errorf("read backup directory: %w", err)
	}
	s.dir = dir
	if len(found) > 0 {
		s.note(found[len(found)-1].Meta, len(found))
	}
	return nil
}

func (s *Scheduler) note(newest Meta, files int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Last, s.state.Revision, s.state.Files = newest.SavedAt, newest.Revision, files
}

func (s *Scheduler) current(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Current = now
}
