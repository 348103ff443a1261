// Package leaderships remembers who led the cluster when, and why each leadership
// ended, as this server saw it: the first thing to look at when a cluster changes
// its leader more often than it should.
//
// The invariant it protects: it costs the cluster nothing. It writes its small
// file a while after a change, never in the middle of an election, and nothing
// when nothing changes; what it could not read or write it does without.
package leaderships

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// Source knows who leads; consensus.Node does.
type Source interface {
	// Leadership returns who leads.
	Leadership() consensus.Leadership
	// WatchLeadership returns a channel that gets a value after a change.
	WatchLeadership() (<-chan struct{}, func())
	// Ending tells why a leadership ended.
	Ending(term uint64, leader string) consensus.Ending
}

// Config says where and how much to remember.
type Config struct {
	// Path is the file; empty means none.
	Path string
	// Limit is how many leaderships are remembered. Default 100.
	Limit int
	// Settle is how long after a change the file is written. Default 2 s: an
	// election is over by then.
	Settle time.Duration
	// Name returns the name of a server, empty when it is not known.
	Name func(id string) string
	// Logger takes the log. Default: none.
	Logger *slog.Logger
}

// DefaultConfig returns the defaults for a file.
func DefaultConfig(path string) Config {
	return Config{Path: path, Limit: 100, Settle: 2 * time.Second, Name: func(string) string { return "" }}
}

// Validate checks the configuration.
func (c Config) Validate() error {
	switch {
	case c.Limit < 1:
		return fmt.Errorf("configure history of leaderships: limit %d, use 1 or more", c.Limit)
	case c.Settle <= 0:
		return fmt.Errorf("configure history of leaderships: settle time %v, use more than 0", c.Settle)
	case c.Name == nil:
		return errors.New("configure history of leaderships: names are needed")
	}
	return nil
}

// Recorder remembers leaderships.
type Recorder struct {
	cfg    Config
	log    *slog.Logger
	source Source

	mu      sync.Mutex
	history history
}

// New makes a recorder, which knows what the file says. A file that cannot be
// read is passed over: it is of use to people only.
func New(source Source, cfg Config) (*Recorder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Recorder{cfg: cfg, log: cfg.Logger, source: source}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.history = history{limit: cfg.Limit, counts: map[argosyv1.LeadershipEnd]uint64{}}
	if cfg.Path == "" {
		return r, nil
	}
	records, err := load(cfg.Path)
	if err != nil {
		r.log.Warn("history of leaderships begins anew", "err", err)
	}
	r.history.records = records[max(0, len(records)-cfg.Limit):]
	r.history.read = len(records) > 0
	r.history.counted = len(records) > 0 && r.history.last().GetEndedUnixNanos() != 0
	return r, nil
}

func load(path string) ([]*argosyv1.Leadership, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read history of leaderships: %w", err)
	}
	// The message of the API is the format of the file.
	var all argosyv1.ListLeadershipsResponse
	if err := proto.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("read history of leaderships from %s: %w", path, err)
	}
	return all.GetLeaderships(), nil
}

// Leaderships returns the newest leaderships, the oldest of them first; 0 means
// all that are remembered.
func (r *Recorder) Leaderships(limit int) []*argosyv1.Leadership {
	r.mu.Lock()
	defer r.mu.Unlock()
	records := r.history.records
	if limit > 0 {
		records = records[max(0, len(records)-limit):]
	}
	all := make([]*argosyv1.Leadership, 0, len(records))
	for _, record := range records {
		all = append(all, proto.CloneOf(record))
	}
	return all
}

// Counts returns how many leaderships this process has seen end, by reason.
func (r *Recorder) Counts() map[argosyv1.LeadershipEnd]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.history.counts)
}

// Run remembers until the context ends.
func (r *Recorder) Run(ctx context.Context) error {
	changes, stop := r.source.WatchLeadership()
	defer stop()
	var write <-chan time.Time
	dirty := false
	defer func() {
		if dirty {
			r.save()
		}
	}()
	for {
		if r.look(time.Now()) {
			dirty = true
			write = time.After(r.cfg.Settle)
		}
		select {
		case <-changes:
		case <-write:
			// The reason may have been learned since.
			r.look(time.Now())
			r.save()
			write, dirty = nil, false
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r *Recorder) look(now time.Time) bool {
	at := r.source.Leadership()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.history.observe(at, observer{now: now, ending: r.source.Ending, name: r.cfg.Name})
}

func (r *Recorder) save() {
	if r.cfg.Path == "" {
		return
	}
	r.mu.Lock()
	data, err := proto.Marshal(&argosyv1.ListLeadershipsResponse{Leaderships: slices.Clone(r.history.records)})
	r.mu.Unlock()
	if err == nil {
		err = storage.WriteFile(r.cfg.Path, data, 0o600)
	}
	if err != nil {
		r.log.Warn("history of leaderships was not written", "err", err)
	}
}
