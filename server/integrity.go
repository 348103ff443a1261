package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/audit"
	"github.com/argosy-cluster/argosy/server/rebuild"
	"github.com/argosy-cluster/argosy/server/writer"
)

// openAudit makes what compares the state of this server with that of the
// others.
func (s *Server) openAudit() (err error) {
	if s.rebuilds, err = rebuild.History(s.cfg.DataDir); err != nil {
		return err
	}
	s.auditor, err = audit.New(audit.Deps{
		ServerID: s.node.ID(),
		Machine:  s.machine,
		Peers:    witnesses{s},
		Leads:    func() bool { return s.reign.Load() != nil },
		StepAside: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, stepAsideTimeout)
			defer cancel()
			return s.stepAside(ctx, "")
		},
		Reread: s.node.Reread,
		Logger: s.log.With("part", "audit"),
	}, s.cfg.Audit)
	return err
}

// witnesses are the other servers, who tell what their states were.
type witnesses struct{ *Server }

func (w witnesses) Voters() []string {
	servers, err := w.node.Configuration()
	if err != nil {
		return nil
	}
	var voters []string
	for _, server := range servers {
		if server.Voter {
			voters = append(voters, server.ID)
		}
	}
	return voters
}

func (w witnesses) StateHash(ctx context.Context, id string, revision uint64) (audit.Hash, bool, error) {
	peer, ok := w.peers.Get(id)
	if !ok {
		return audit.Hash{}, false, fmt.Errorf("ask server %s for its state: it is not heard of by gossip", id)
	}
	response, err := peer.StateHash(ctx, &argosyv1.StateHashRequest{Handshake: w.handshake(), Revision: revision})
	if err != nil {
		return audit.Hash{}, false, fmt.Errorf("ask server %s for its state: %w", id, err)
	}
	hash := response.GetStateHash()
	if !response.GetKnown() || len(hash) != len(audit.Hash{}) {
		return audit.Hash{}, false, nil
	}
	return audit.Hash(hash), true, nil
}

// hashWait is how long a server that is asked for its state at a revision waits
// until it has come there.
const hashWait = time.Second

// StateHash tells what the state of this server was at a revision.
func (p *peerService) StateHash(ctx context.Context, req *argosyv1.StateHashRequest) (*argosyv1.StateHashResponse, error) {
	if err := p.checkPeer(req.GetHandshake()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	// When it does not come there it does not know, and says so.
	_ = p.machine.WaitApplied(ctx, req.GetRevision())
	hash, known := p.machine.HashAt(req.GetRevision())
	if !known {
		return &argosyv1.StateHashResponse{}, nil
	}
	return &argosyv1.StateHashResponse{Known: true, StateHash: hash[:]}, nil
}

// proposeBeacon puts the hash of the leader's state into the log.
func (s *Server) proposeBeacon(ctx context.Context, r *reign) error {
	w, ok := r.writes()
	if !ok {
		return nil
	}
	return w.Mutate(ctx, func(c *writer.Working) error {
		c.Beacon()
		return nil
	})
}

// blame finds out whose fault it is that the state machine failed at an entry:
// if a majority has applied it, the data of this server is wrong.
func (s *Server) blame(ctx context.Context, failure error) error {
	if !errors.Is(failure, fsm.ErrMalformed) && !errors.Is(failure, fsm.ErrOutOfOrder) {
		return failure
	}
	if !s.auditor.GotPast(ctx, s.machine.FailedAt()) {
		return failure
	}
	return fmt.Errorf("%w: %w", audit.ErrDiverged, failure)
}

// rebuilding tells that this server has taken the place of one whose data was
// damaged and does not stand in for it yet, "" when that is not so.
func (s *Server) rebuilding() string {
	former := s.node.Replaces()
	if len(former) == 0 {
		return ""
	}
	why := ""
	if n := len(s.rebuilds); n > 0 {
		why = ": " + s.rebuilds[n-1].Reason
	}
	return fmt.Sprintf("is being rebuilt from the leader, in the place of server %s whose data was damaged%s", former[len(former)-1], why)
}

// rebuildNotice is for how long after it a rebuild is spoken of: a disk that
// has damaged data may do so again.
const rebuildNotice = 7 * 24 * time.Hour

func (s *Server) integrityWarnings() []string {
	var warnings []string
	if rebuilding := s.rebuilding(); rebuilding != "" {
		return []string{rebuilding}
	}
	if problem := s.auditor.Problem(); problem != "" {
		warnings = append(warnings, problem)
	}
	if n := len(s.rebuilds); n > 0 && time.Since(s.rebuilds[n-1].Time) < rebuildNotice {
		last := s.rebuilds[n-1]
		warnings = append(warnings, fmt.Sprintf("its data was found damaged at %s and was rebuilt from the others: check disk and memory of its machine; what was found: %s",
			last.Time.UTC().Format(time.RFC3339), last.Reason))
	}
	return warnings
}
