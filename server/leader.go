package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/argosy-cluster/argosy/manifest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/sessions"
	"github.com/argosy-cluster/argosy/server/writer"
)

// reign is one leadership of this server and what exists only for it.
type reign struct {
	term   uint64
	cancel context.CancelCauseFunc
	done   chan struct{}

	mu     sync.Mutex
	writer *writer.Writer
	// aside is closed when a transfer that drained the writer has failed; nil
	// while none is under way.
	aside chan struct{}
	// intermissions takes one for which the leader's services shall end.
	intermissions chan *intermission
}

// confirmTimeout is how long a majority may take to confirm that this server
// leads.
const confirmTimeout = 10 * time.Second

// ruleAgainAfter is the pause after which a leader begins again of which a part
// failed.
const ruleAgainAfter = 200 * time.Millisecond

var errDeposed = errors.New("this server leads no more")

// writes returns the writer that takes writes now; false while leadership is
// being given away.
func (r *reign) writes() (*writer.Writer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.writer, r.aside == nil && r.writer != nil
}

// lead builds and drops what exists only while this server leads.
func (s *Server) lead(ctx context.Context) error {
	events := s.node.LeadershipEvents()
	var current *reign
	drop := func() {
		if current == nil {
			return
		}
		s.reign.Store(nil)
		s.kick()
		current.cancel(errDeposed)
		<-current.done
		current = nil
	}
	defer drop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case event, ok := <-events:
			if !ok {
				drop()
				<-ctx.Done()
				return context.Cause(ctx)
			}
			drop()
			if event.Gained {
				var err error
				if current, err = s.begin(ctx, event.Term); err != nil {
					return err
				}
			}
		}
	}
}

// begin starts a reign. Its writer takes writes at once, and carries them out
// as soon as everything of earlier terms was applied.
func (s *Server) begin(ctx context.Context, term uint64) (*reign, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := &reign{term: term, cancel: cancel, done: make(chan struct{}), intermissions: make(chan *intermission)}
	if err := s.renew(r); err != nil {
		cancel(err)
		return nil, err
	}
	s.reign.Store(r)
	s.kick()
	go func() {
		defer close(r.done)
		s.reignOver(ctx, r)
	}()
	return r, nil
}

// reignOver rules until this server is deposed. A leader of which a part has
// failed must not go on as if it were whole: it lets another server lead, and
// when there is none it begins again.
func (s *Server) reignOver(ctx context.Context, r *reign) {
	for {
		err := s.rule(ctx, r)
		if takeIntermission(ctx, err) && ctx.Err() == nil {
			if err := s.renew(r); err != nil {
				s.log.Error("writer was not made", "err", err)
			}
			s.kick()
			continue
		}
		if errors.Is(err, consensus.ErrNotLeader) {
			// The loss is on its way here.
			s.awaitDeposed(ctx)
		}
		if ctx.Err() != nil {
			s.log.Info("leadership ended", "term", r.term, "reason", context.Cause(ctx))
			return
		}
		s.log.Error("a part of the leader failed", "term", r.term, "err", err)
		aside, cancel := context.WithTimeout(ctx, stepAsideTimeout)
		if err := s.node.TransferLeadership(aside, ""); err != nil {
			s.log.Warn("leadership was not given away", "err", err)
		}
		cancel()
		select {
		case <-ctx.Done():
			continue
		case <-time.After(ruleAgainAfter):
		}
		if err := s.renew(r); err != nil {
			s.log.Error("writer was not made", "err", err)
		}
		s.kick()
	}
}

// awaitDeposed waits for the end of a reign while Raft says that this server
// does not lead.
func (s *Server) awaitDeposed(ctx context.Context) {
	changed, cancel := s.node.WatchLeadership()
	defer cancel()
	for !s.node.Leadership().Leader {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// renew gives a reign a new writer.
func (s *Server) renew(r *reign) error {
	w, err := writer.New(writer.Deps{
		Log:            raftLog{s.node, r.term},
		State:          s.machine,
		Validate:       manifest.Validate,
		ValidateConfig: manifest.ValidateConfig,
		Render:         manifest.Render,
		Full:           s.space.Full,
		Elsewhere:      s.sessions.MayBeElsewhere,
		Agent:          s.store.On,
		Logger:         s.log.With("part", "writer", "term", r.term),
		Meter:          s.metrics,
	}, s.cfg.Writer)
	if err != nil {
		return err
	}
	if _, begun := s.machine.View().Cluster(); !begun {
		// Before anything that a user writes: it is judged by the level in them.
		change, tell := s.firstChange()
		w.Submit(&writer.Request{Change: change, Done: func(o writer.Outcome) { tell(o.Err) }})
	}
	r.mu.Lock()
	r.writer = w
	r.aside = nil
	r.mu.Unlock()
	return nil
}

// rule does what a leader does until it is deposed or a part fails.
func (s *Server) rule(ctx context.Context, r *reign) error {
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.writer.Discard()
	}()
	if err := s.node.Barrier(ctx); err != nil {
		return fmt.Errorf("apply what was committed before: %w", err)
	}
	// What is proposed is judged by the level, which is known now.
	if _, err := s.checkLevel(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.write(ctx, r) })
	members := s.members.Load()
	members.SetLeading(r.term)
	defer members.SetLeading(0)
	group.Go(func() error {
		return s.sessions.Lead(ctx, sessions.Leadership{Term: r.term, Registrar: registrar{r}})
	})
	group.Go(func() error { return s.autopilot.Lead(ctx) })
	group.Go(func() error { return s.firstWrites(ctx, r) })
	group.Go(func() error { return r.awaitIntermission(ctx) })
	group.Go(func() error {
		return s.auditor.Lead(ctx, func(ctx context.Context) error { return s.proposeBeacon(ctx, r) })
	})
	group.Go(func() error { return s.keepSettings(ctx, r) })
	s.log.Info("leadership began", "term", r.term)
	return group.Wait()
}

// write runs the writer, and a new one when it ended though this server still
// leads.
func (s *Server) write(ctx context.Context, r *reign) error {
	for {
		r.mu.Lock()
		w := r.writer
		r.mu.Unlock()
		err := w.Run(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.mu.Lock()
		aside := r.aside
		r.mu.Unlock()
		if aside != nil {
			select {
			case <-aside:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		} else {
			s.awaitDeposed(ctx)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			s.log.Warn("writer is made anew", "term", r.term, "reason", err)
		}
		if err := w.Settle(ctx); err != nil {
			return err
		}
		if err := s.renew(r); err != nil {
			return err
		}
		s.kick()
	}
}

// stepAside makes another server lead, one of an id or any. Nothing is in flight
// while leadership changes hands: writes wait for the next leader.
func (s *Server) stepAside(ctx context.Context, id string) error {
	r := s.reign.Load()
	if r == nil || id == s.node.ID() || !s.hasSuccessor() {
		return nil
	}
	r.mu.Lock()
	if r.aside != nil {
		r.mu.Unlock()
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_OVERLOADED, "transfer leadership: another transfer is under way")
	}
	failed := make(chan struct{})
	r.aside = failed
	w := r.writer
	r.mu.Unlock()
	s.kick()
	if err := s.handOver(ctx, w, id); err != nil {
		// If this server leads on, it writes on.
		close(failed)
		return err
	}
	return nil
}

func (s *Server) handOver(ctx context.Context, w *writer.Writer, id string) error {
	w.Drain()
	select {
	case <-w.Stopped():
	case <-ctx.Done():
		return fmt.Errorf("wait for writes in flight: %w", context.Cause(ctx))
	}
	if err := s.node.TransferLeadership(ctx, id); err != nil {
		return fmt.Errorf("transfer leadership: %w", err)
	}
	return s.awaitSuccessor(ctx)
}

// hasSuccessor tells whether there is another voter.
func (s *Server) hasSuccessor() bool {
	servers, err := s.node.Configuration()
	if err != nil {
		return false
	}
	for _, server := range servers {
		if server.ID != s.node.ID() && server.Voter {
			return true
		}
	}
	return false
}

// awaitSuccessor waits until this server knows another one that leads.
func (s *Server) awaitSuccessor(ctx context.Context) error {
	changed, cancel := s.node.WatchLeadership()
	defer cancel()
	for {
		if l := s.node.Leadership(); l.LeaderID != "" && l.LeaderID != s.node.ID() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the next leader: %w", context.Cause(ctx))
		}
	}
}

// registrar registers agents with whatever writer the reign has.
type registrar struct{ reign *reign }

func (g registrar) RegisterAgent(ctx context.Context, agent *argosyv1.Agent) error {
	w, ok := g.reign.writes()
	if !ok {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "register agent %q: leadership is being given away", agent.GetName())
	}
	return w.RegisterAgent(ctx, agent)
}

func (g registrar) NoteOwing(ctx context.Context, owing map[string]*argosyv1.Owing) error {
	w, ok := g.reign.writes()
	if !ok {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "note what %d agents owe: leadership is being given away", len(owing))
	}
	return w.NoteOwing(ctx, owing)
}

// raftLog is the node as the writer sees it.
type raftLog struct {
	node *consensus.Node
	term uint64
}

func (l raftLog) Propose(entry []byte) writer.Pending {
	return proposal{l.node.ProposeIn(l.term, entry)}
}

func (l raftLog) Confirm() writer.Pending {
	c := &confirmation{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		ctx, cancel := context.WithTimeout(context.Background(), confirmTimeout)
		defer cancel()
		if err := l.node.VerifyLeader(ctx); err != nil {
			c.err = fmt.Errorf("%w: %w", writer.ErrNotDone, err)
		}
	}()
	return c
}

type confirmation struct {
	done chan struct{}
	err  error
}

func (c *confirmation) Done() <-chan struct{}   { return c.done }
func (c *confirmation) Result() (uint64, error) { return 0, c.err }

type proposal struct{ *consensus.Proposal }

func (p proposal) Result() (uint64, error) {
	index, response, err := p.Wait(context.Background())
	switch {
	case errors.Is(err, consensus.ErrNotLeader):
		return 0, fmt.Errorf("%w: %w", writer.ErrNotDone, err)
	case err != nil:
		return 0, fmt.Errorf("%w: %w", writer.ErrFateUnknown, err)
	}
	// What the state machine could not apply is committed all the same.
	if failure, ok := response.(error); ok {
		return 0, fmt.Errorf("%w: %w", writer.ErrFateUnknown, failure)
	}
	return index, nil
}
