package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	"github.com/argosy-cluster/argosy/membership"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/autopilot"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/leaderships"
	"github.com/argosy-cluster/argosy/server/operator"
	"github.com/argosy-cluster/argosy/server/writer"
)

// operators is the server as those see it who run the cluster.
type operators struct{ *Server }

var (
	_ operator.Replica  = self{}
	_ operator.Servers  = operators{}
	_ operator.Settings = operators{}
)

// openAutopilot makes what looks after the servers of the cluster, and remembers
// who led it.
func (s *Server) openAutopilot() error {
	timing, err := consensus.TimingProfile(s.cfg.Timing, s.cfg.TimingMultiplier)
	if err != nil {
		return err
	}
	looks := autopilot.DefaultConfig()
	// Servers that are far apart hear of each other less often.
	looks.Patience = max(looks.Patience, timing.Heartbeat)
	s.autopilot, err = autopilot.New(autopilot.Deps{
		Self: s.node.ID(),
		Raft: s.node,
		Gossip: func() autopilot.Gossip {
			if members := s.members.Load(); members != nil {
				return members
			}
			return nil
		},
		Describe: s.askStatus,
		Settings: func() *argosyv1.AutopilotSettings {
			settings, _ := s.machine.View().Cluster()
			return settings.GetAutopilot()
		},
		HandOn: s.stepAside,
		Logger: s.log.With("part", "autopilot"),
	}, looks)
	if err != nil {
		return err
	}
	cfg := leaderships.DefaultConfig(filepath.Join(s.cfg.DataDir, "leaderships"))
	cfg.Name = s.nameOf
	cfg.Logger = s.log.With("part", "leaderships")
	s.history, err = leaderships.New(s.node, cfg)
	return err
}

// nameOf returns the name of a server as gossip knows it.
func (s *Server) nameOf(id string) string {
	if id == s.node.ID() {
		return s.cfg.name()
	}
	if members := s.members.Load(); members != nil {
		for _, m := range members.Members() {
			if m.ID == id && m.Role == membership.RoleServer {
				return m.Name
			}
		}
	}
	return ""
}

func (s *Server) askStatus(ctx context.Context, id string) (*argosyv1.ServerStatus, error) {
	peer, ok := s.peers.Get(id)
	if !ok {
		return nil, fmt.Errorf("ask server %s for its status: its API address is not known", id)
	}
	response, err := peer.Describe(ctx, &argosyv1.DescribeRequest{Handshake: s.handshake()})
	if err != nil {
		return nil, err
	}
	return response.GetServer(), nil
}

// openOperator makes the service for those who run the cluster.
func (s *Server) openOperator() (*operator.Service, error) {
	backups, err := s.openBackups()
	if err != nil {
		return nil, err
	}
	return operator.New(operator.Deps{
		Replica:  self{s},
		Servers:  operators{s},
		Settings: operators{s},
		Backups:  backups,
		History:  s.history,
	})
}

// Revision returns the revision that this server's state has reached.
func (s self) Revision() uint64 { return s.machine.Applied() }

// Leader returns where a call goes that only the leader can carry out; nil when
// this server leads.
func (s self) Leader(ctx context.Context, what string) (argosyv1.OperatorServiceClient, context.Context, error) {
	if s.node.Leadership().Leader {
		return nil, ctx, nil
	}
	peer, err := s.leaderPeer(ctx, what)
	if err != nil {
		return nil, nil, err
	}
	return argosyv1.NewOperatorServiceClient(peer.Conn), passOn(ctx), nil
}

// RemoveServer takes a server out. A leader that shall go lets another one lead
// first, and that one removes it.
func (o operators) RemoveServer(ctx context.Context, server string, force bool) (string, error) {
	h, configuration, err := o.autopilot.Removal(ctx, server, force)
	if err != nil {
		return "", err
	}
	if h.Leader {
		next, passed, err := o.leaveLead(ctx, h.ID)
		if err == nil {
			_, err = next.RemoveServer(passed, &argosyv1.RemoveServerRequest{Server: h.ID, Force: force})
		}
		if err == nil || !force {
			return h.ID, err
		}
	}
	if err := o.autopilot.Remove(ctx, h.ID, configuration); err != nil {
		return "", err
	}
	o.log.Info("server removed", "removed", h.ID, "name", h.Name, "force", force)
	return h.ID, nil
}

// leaveLead makes another server lead and returns it.
func (o operators) leaveLead(ctx context.Context, id string) (argosyv1.OperatorServiceClient, context.Context, error) {
	aside, cancel := context.WithTimeout(ctx, stepAsideTimeout)
	defer cancel()
	if err := o.stepAside(aside, ""); err != nil {
		return nil, nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "remove server %s: it leads, and no other server took over: %v; try again", id, err)
	}
	return self(o).Leader(ctx, "remove server "+id)
}

// PromoteServer gives a server its vote.
func (o operators) PromoteServer(ctx context.Context, server string) (string, error) {
	return o.autopilot.Promote(ctx, server)
}

// Settings reads the settings of the cluster.
func (o operators) Settings(ctx context.Context) (*argosyv1.ClusterSettings, uint64, error) {
	if err := o.reader.Await(ctx); err != nil {
		return nil, 0, err
	}
	view := o.machine.View()
	settings, ok := view.Cluster()
	if !ok {
		return nil, 0, errNoSettings("read settings")
	}
	return settings, view.Revision(), nil
}

func errNoSettings(what string) error {
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "%s: the cluster has only just begun; try again", what)
}

// leastQuota is the smallest quota of the state that can be set: less would shut
// out what every cluster has.
const leastQuota = 1 << 20

// UpdateSettings changes the settings of the cluster.
func (o operators) UpdateSettings(ctx context.Context, req *argosyv1.UpdateSettingsRequest) (*argosyv1.ClusterSettings, error) {
	if err := autopilot.Check(req.GetAutopilot()); err != nil {
		return nil, err
	}
	if quota := req.GetStateQuotaBytes(); quota != 0 && quota < leastQuota {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "update settings: a quota of %d bytes is less than %d", quota, leastQuota)
	}
	r := o.reign.Load()
	if r == nil {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "update settings: this server leads no more")
	}
	w, ok := r.writes()
	if !ok {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "update settings: leadership is being given away")
	}
	err := w.Mutate(ctx, func(c *writer.Working) error { return changeSettings(c, req) })
	_, spoken := argosyv1.AsError(err)
	switch {
	case err == nil:
	case spoken:
		return nil, err
	case errors.Is(err, writer.ErrFateUnknown):
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN, "update settings: %v", err)
	default:
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "update settings: %v", err)
	}
	o.autopilot.Wake()
	settings, ok := o.machine.View().Cluster()
	if !ok {
		return nil, errNoSettings("update settings")
	}
	return settings, nil
}

// changeSettings lays what is set in the request over the settings that there
// are.
func changeSettings(c *writer.Working, req *argosyv1.UpdateSettingsRequest) error {
	row := c.Row(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey)
	if !row.Exists {
		return errNoSettings("update settings")
	}
	if expected := req.GetExpectedRevision(); expected != 0 {
		if revision, known := row.Revision(); !known || revision != expected {
			refusal := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT,
				"update settings: expected revision %d, but they are at revision %d; read them again and decide anew", expected, revision)
			refusal.Detail.CurrentRevision = revision
			return refusal
		}
	}
	settings := &argosyv1.ClusterSettings{}
	if err := proto.Unmarshal(row.Value, settings); err != nil {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INTERNAL, "update settings: read those that there are: %v", err)
	}
	if req.GetAutopilot() != nil {
		settings.Autopilot = req.GetAutopilot()
	}
	if req.StateQuotaBytes != nil {
		settings.StateQuotaBytes = req.GetStateQuotaBytes()
	}
	return c.PutMessage(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey, "", settings)
}

// addHealth adds to the status of the servers what only the leader knows of them.
func (s *Server) addHealth(servers map[string]*argosyv1.ServerStatus) {
	t := s.autopilot.Table()
	if t == nil {
		return
	}
	for _, h := range t.Servers {
		status := servers[h.ID]
		if status == nil {
			continue
		}
		status.LagEntries, status.Healthy = h.Lag, h.Healthy
		status.HealthyChangedUnixNanos = h.HealthySince.UnixNano()
	}
}
