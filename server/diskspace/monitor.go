// Package diskspace watches the free space below a server's data directory. It
// protects one invariant: users' writes stop, with a reason, before the disks of
// a quorum are full. Raft on a full disk cannot even save its term.
//
// A leader that has too little lets a voter lead that has enough; only when there
// is none, or when so many disks are low that no quorum of good ones is left, are
// writes refused. Deletes and what the cluster writes for itself are taken as long
// as the disk takes them: without them nobody could make room.
package diskspace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Config says what is too little.
type Config struct {
	// Floor is how many bytes must stay free, or a twentieth of the file system
	// where that is less. Default 256 MiB: some snapshots and the log between
	// them. 0 lets the disk become full.
	Floor uint64
	// Interval is how often the free space is looked at. Default 1 s.
	Interval time.Duration
	// VotersInterval is how often a leader asks the other voters for theirs while
	// all is well. Default 10 s.
	VotersInterval time.Duration
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Floor: 256 << 20, Interval: time.Second, VotersInterval: 10 * time.Second}
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if c.Interval <= 0 || c.VotersInterval <= 0 {
		return errors.New("the intervals (Interval, VotersInterval) must be positive")
	}
	return nil
}

// Voter is another server that may lead.
type Voter struct {
	// ID and Name are its own.
	ID, Name string
	// Usage is that of its disk.
	Usage Usage
}

// Deps are what a Monitor works with.
type Deps struct {
	// Measure returns the usage of this server's disk.
	Measure func() (Usage, error)
	// Leads tells whether this server leads.
	Leads func() bool
	// Voters asks the other voters. It returns those that answered, and how many
	// voters there are in all, this server included.
	Voters func(ctx context.Context) (answered []Voter, all int)
	// HandOver makes another server lead.
	HandOver func(ctx context.Context, id string) error
	// Logger gets one line per event; nil discards.
	Logger *slog.Logger
}

// Monitor watches one server's disk.
type Monitor struct {
	cfg  Config
	deps Deps
	log  *slog.Logger

	usage   atomic.Pointer[Usage]
	low     atomic.Bool
	refusal atomic.Pointer[argosyv1.Error]

	// Owned by Run's goroutine.
	asked   time.Time // when the voters were
	failing bool      // the disk could not be measured
}

// New makes a Monitor that has measured once.
func New(deps Deps, cfg Config) (*Monitor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure disk space: %w", err)
	}
	if deps.Measure == nil || deps.Leads == nil || deps.Voters == nil || deps.HandOver == nil {
		return nil, errors.New("make monitor of disk space: all dependencies are needed")
	}
	m := &Monitor{cfg: cfg, deps: deps, log: deps.Logger}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	m.usage.Store(&Usage{})
	m.measure()
	return m, nil
}

// Usage returns what was measured last; zero when nothing could be.
func (m *Monitor) Usage() Usage { return *m.usage.Load() }

// Problem says that there is too little, "" when there is enough.
func (m *Monitor) Problem() string {
	if !m.low.Load() {
		return ""
	}
	u := m.Usage()
	return fmt.Sprintf("disk is nearly full: %s of %s free, below the floor of %s; make room", Text(u.Free), Text(u.Size), Text(m.cfg.floor(u.Size)))
}

// Full returns why users may not add to the state at the moment, nil when they
// may.
func (m *Monitor) Full() error {
	if refusal := m.refusal.Load(); refusal != nil {
		return refusal
	}
	return nil
}

// Run watches until the context ends.
func (m *Monitor) Run(ctx context.Context) error {
	if m.cfg.Floor == 0 {
		m.log.Warn("free space is not watched: writes will go on until the disk is full")
	}
	ticker := time.NewTicker(m.cfg.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		m.measure()
		m.act(ctx)
	}
}

func (m *Monitor) measure() {
	u, err := m.deps.Measure()
	if err != nil {
		if !m.failing {
			m.log.Error("free space is not known", "err", err)
		}
		m.failing = true
		return
	}
	m.failing = false
	m.usage.Store(&u)
	before := m.low.Load()
	low := m.cfg.low(u, before)
	m.low.Store(low)
	switch {
	case low && !before:
		m.log.Error("disk is nearly full", "free", u.Free, "size", u.Size, "floor", m.cfg.floor(u.Size))
	case before && !low:
		m.log.Info("disk has room again", "free", u.Free, "size", u.Size)
	}
}

// act does what a leader does about it.
func (m *Monitor) act(ctx context.Context) {
	if !m.deps.Leads() {
		m.refuse(nil)
		m.asked = time.Time{}
		return
	}
	wrong := m.low.Load() || m.refusal.Load() != nil
	if !wrong && time.Since(m.asked) < m.cfg.VotersInterval {
		return
	}
	m.asked = time.Now()
	asking, cancel := context.WithTimeout(ctx, m.cfg.VotersInterval/2)
	answered, all := m.deps.Voters(asking)
	cancel()
	successor, refusal := m.cfg.decide(m.low.Load(), m.Usage(), answered, all)
	if successor != nil {
		m.log.Warn("leadership is given away: the disk is nearly full", "to", successor.ID, "name", successor.Name)
		if err := m.deps.HandOver(ctx, successor.ID); err == nil {
			return
		} else if ctx.Err() == nil {
			m.log.Warn("leadership was not given away", "err", err)
		}
		refusal = lowText(m.Usage(), m.cfg)
	}
	m.refuse(refusal)
}

// decide is what follows from what is known: who shall lead instead, or why
// writes are refused.
func (c Config) decide(low bool, own Usage, answered []Voter, all int) (*Voter, *argosyv1.Error) {
	good := make([]Voter, 0, len(answered))
	var bad []Voter
	for _, v := range answered {
		if c.low(v.Usage, false) {
			bad = append(bad, v)
		} else {
			good = append(good, v)
		}
	}
	if len(bad) == 0 && !low {
		return nil, nil
	}
	full := len(bad)
	if low {
		full++
	}
	// A voter that does not answer may have a full disk or not; it is counted for
	// good, since nothing says otherwise.
	if quorum := all/2 + 1; all-full < quorum {
		if low {
			return nil, lowText(own, c)
		}
		return nil, refused("the disks of %d of %d servers are nearly full (%s: %s free)",
			full, all, cmp.Or(bad[0].Name, bad[0].ID), Text(bad[0].Usage.Free))
	}
	if !low {
		return nil, nil
	}
	// One that did not say how large its disk is is an older version.
	good = slices.DeleteFunc(good, func(v Voter) bool { return v.Usage.Size == 0 })
	if len(good) == 0 {
		return nil, lowText(own, c)
	}
	best := slices.MaxFunc(good, func(a, b Voter) int { return cmp.Compare(a.Usage.Free, b.Usage.Free) })
	return &best, nil
}

func lowText(u Usage, c Config) *argosyv1.Error {
	return refused("the leader's disk has %s of %s free, below the floor of %s, and no other server can take over", Text(u.Free), Text(u.Size), Text(c.floor(u.Size)))
}

func refused(format string, args ...any) *argosyv1.Error {
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_SPACE,
		"write: %s; nothing was changed: make room on the servers' disks (deletes still work)", fmt.Sprintf(format, args...))
}

func (m *Monitor) refuse(refusal *argosyv1.Error) {
	before := m.refusal.Swap(refusal)
	switch {
	case refusal != nil && before == nil:
		m.log.Error("writes are refused", "reason", refusal.Error())
	case refusal == nil && before != nil:
		m.log.Info("writes are taken again")
	}
}
