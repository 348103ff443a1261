// Package audit finds out whether the replicas hold the same state, and which
// of them is wrong when they do not.
//
// The invariant it protects: a replica is condemned only when a strict majority
// of the voters agrees on another state than its own at the same revision; the
// leader is one voice among them. What a majority holds is the state of the
// cluster by definition, whoever wrote it down wrongly.
//
// The leader puts a beacon into the log now and then: the hash of its state at
// a revision. Each replica compares its own (fsm). A replica that differs asks
// the others what they had there; the leader asks them at each beacon, since
// its own beacons never differ from its own state. Between the beacons each
// replica hashes its whole state once in a while, so that a row that has
// changed in memory without an entry is found.
package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/fsm"
	"github.com/argosy-cluster/argosy/planted"
)

var (
	// ErrDiverged is returned when the state of this server is not that of the
	// majority. The server must not serve it, nor take part under its id.
	ErrDiverged = errors.New("state of this server is not the one that the majority has")
	// errUndecided is returned when too few servers tell their hash.
	errUndecided = errors.New("no majority says which state is right")
)

// Hash is the hash of a state.
type Hash = [32]byte

// Machine is the state machine, as much of it as is needed here.
type Machine interface {
	View() *fsm.View
	Applied() uint64
	WaitApplied(ctx context.Context, index uint64) error
	HashAt(revision uint64) (Hash, bool)
	Beacons(ctx context.Context, after uint64) ([]fsm.Beacon, error)
	LastBeacon() (fsm.Beacon, bool)
}

var _ Machine = (*fsm.Machine)(nil)

// Peers are the other servers.
type Peers interface {
	// Voters returns the ids of all servers that vote.
	Voters() []string
	// StateHash asks a server which hash its state had at a revision; false when
	// it does not remember, or has not been there.
	StateHash(ctx context.Context, serverID string, revision uint64) (Hash, bool, error)
}

// Deps is what an auditor needs of others.
type Deps struct {
	// ServerID is the id of this server.
	ServerID string
	// Machine is its state machine.
	Machine Machine
	// Peers are the other servers.
	Peers Peers
	// Leads tells whether this server leads.
	Leads func() bool
	// StepAside gives leadership away; nothing happens when it does not lead.
	StepAside func(ctx context.Context) error
	// Reread reads the whole log of this server, calling rest now and then, and
	// fails when it is damaged. Default nil: nobody does.
	Reread func(rest func() error) error
	// Logger gets one line per event. Default: none.
	Logger *slog.Logger
}

// Config says how often to look.
type Config struct {
	// Entries is after how many entries the leader proposes a beacon. Default
	// 4096: less finds a difference sooner, at the price of an entry each.
	Entries uint64
	// Interval is after how long it proposes one when anything has changed.
	// Default 5 minutes.
	Interval time.Duration
	// Patience is for how long the others are asked who cannot answer yet.
	// Default 10 s.
	Patience time.Duration
	// Rehash is how often a replica hashes its whole state and reads its whole log.
	// Default 10 minutes.
	Rehash time.Duration
	// Rest is how long that rests after every some hundred rows. Default 1 ms:
	// less is done sooner and is in the way more.
	Rest time.Duration
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Entries: 4096, Interval: 5 * time.Minute, Patience: 10 * time.Second, Rehash: 10 * time.Minute, Rest: time.Millisecond}
}

// Validate checks the configuration.
func (c Config) Validate() error {
	if c.Entries == 0 || c.Interval <= 0 || c.Patience <= 0 || c.Rehash <= 0 || c.Rest < 0 {
		return fmt.Errorf("configure audit: beacons after %d entries or %v, patience %v, hashing every %v with rests of %v: all must be positive",
			c.Entries, c.Interval, c.Patience, c.Rehash, c.Rest)
	}
	return nil
}

// Auditor watches over the state of one replica.
type Auditor struct {
	deps Deps
	cfg  Config
	log  *slog.Logger

	mu      sync.Mutex
	problem string
}

// New makes an Auditor.
func New(deps Deps, cfg Config) (*Auditor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	a := &Auditor{deps: deps, cfg: cfg, log: deps.Logger}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	return a, nil
}

// Problem says what is wrong with the states of the servers, "" when nothing is
// known to be.
func (a *Auditor) Problem() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.problem
}

func (a *Auditor) setProblem(problem string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.problem = problem
}

// Run compares and hashes until the context ends, and fails with ErrDiverged or
// fsm.ErrDamaged when the state of this server is wrong, and with what Reread says
// when its log is.
func (a *Auditor) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hashing := make(chan error, 1)
	go func() {
		err := a.rehash(ctx)
		cancel(err)
		hashing <- err
	}()
	err := a.compare(ctx)
	cancel(err)
	return errors.Join(wanted(err), wanted(<-hashing))
}

// wanted drops what only says that the other half has ended.
func wanted(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// compare looks at each beacon.
func (a *Auditor) compare(ctx context.Context) error {
	after := uint64(0)
	for {
		beacons, err := a.deps.Machine.Beacons(ctx, after)
		if errors.Is(err, fsm.ErrFailed) {
			// Whoever watches the machine ends the server, and says more.
			<-ctx.Done()
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		// The last one says it all: what differed before it and does not now was
		// replaced by a snapshot of the leader meanwhile.
		last := beacons[len(beacons)-1]
		after = last.Entry
		if !last.Known || !last.Differs() && !a.deps.Leads() || planted.On(planted.FlippedBit) {
			a.noteAgreement(last)
			continue
		}
		if last.Differs() {
			a.log.Error("state differs from the leader's", "revision", last.Revision, "own", short(last.Own), "leader", short(last.Claimed))
		}
		if err := a.settle(ctx, last.Revision, last.Own); err != nil {
			return err
		}
	}
}

func (a *Auditor) noteAgreement(b fsm.Beacon) {
	if b.Known {
		a.setProblem("")
	}
}

// settle finds out who is right about a revision, and returns ErrDiverged when
// this server is not.
func (a *Auditor) settle(ctx context.Context, revision uint64, own Hash) error {
	votes, err := a.poll(ctx, revision, own)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch {
	case err != nil && votes.unanimous(own):
		// Too few answered, but none objects.
		return nil
	case err != nil:
		a.log.Error("servers have different states, and it is not known which is right", "revision", revision, "states", votes.String(), "err", err)
		a.setProblem(fmt.Sprintf("states of the servers differ at revision %d and %v (%s): compare them by their backups ('argosy operator snapshot save --stale'), and remove the server that is wrong", revision, err, votes))
		return nil
	case votes.majority == own && votes.unanimous(own):
		a.setProblem("")
		return nil
	case votes.majority == own:
		a.log.Warn("another server has a different state than the majority; it will notice", "revision", revision, "states", votes.String())
		a.setProblem(fmt.Sprintf("another server had a different state at revision %d (%s)", revision, votes))
		return nil
	}
	a.setProblem(ErrDiverged.Error())
	a.log.Error("state of this server is wrong", "revision", revision, "own", short(own), "majority", short(votes.majority), "states", votes.String())
	if a.deps.Leads() {
		if err := a.deps.StepAside(ctx); err != nil {
			a.log.Warn("leadership was not given away", "err", err)
		}
	}
	return fmt.Errorf("compare states at revision %d: %w (%x, the majority has %x)", revision, ErrDiverged, own[:8], votes.majority[:8])
}

// GotPast asks whether a majority of the servers has applied an entry that this
// one failed at: then the fault is this server's.
func (a *Auditor) GotPast(ctx context.Context, index uint64) bool {
	_, err := a.poll(ctx, index, Hash{})
	return err == nil
}

func short(h Hash) string { return fmt.Sprintf("%x", h[:8]) }
