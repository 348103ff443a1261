package server

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/fsm"
	"github.com/argosy-cluster/argosy/membership"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
)

// describeTimeout is how long the status waits for the other servers.
const describeTimeout = 300 * time.Millisecond

// describe tells what this server knows of itself.
func (s *Server) describe() *argosyv1.ServerStatus {
	status := s.node.Status()
	status.Name = s.cfg.name()
	status.ApiAddress = s.apiAddress()
	status.Alive = true
	status.Version, status.FeatureLevel = s.cfg.Version, s.cfg.FeatureLevel
	view := s.machine.View()
	hash := view.Hash()
	status.AppliedIndex, status.StateHash = view.Revision(), hex.EncodeToString(hash[:])
	disk := s.space.Usage()
	status.DiskFreeBytes, status.DiskSizeBytes = disk.Free, disk.Size
	status.Problem = cmp.Or(status.Problem, s.space.Problem())
	if err := s.machine.Failed(); err != nil {
		status.Problem = err.Error()
	}
	if status.GetProblem() != "" {
		// Once the leader fills it, it is well enough to be given its vote.
		status.Problem = cmp.Or(s.rebuilding(), status.Problem)
	}
	status.Warnings = s.warnings()
	status.ClockUnixNanos = time.Now().UnixNano()
	return status
}

// Status describes the cluster as this server sees it, with or without a leader.
func (s self) Status(ctx context.Context) (*argosyv1.StatusResponse, error) {
	servers, err := s.servers()
	if err != nil {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_STOPPING, "describe cluster: %v", err)
	}
	s.askAll(ctx, servers)
	s.addHealth(servers)
	view := s.machine.View()
	header := s.Header()
	header.Revision = view.Revision()
	response := &argosyv1.StatusResponse{
		Header:          header,
		Workloads:       uint64(view.Count(argosyv1.RowKind_ROW_KIND_WORKLOAD)),
		Agents:          uint64(view.Count(argosyv1.RowKind_ROW_KIND_AGENT)),
		AgentsConnected: uint64(s.store.Connected()),
		Version:         s.cfg.Version,
		Protocol:        argosyv1.SupportedProtocol(),
		StateBytes:      uint64(view.Bytes()),
		StateQuotaBytes: argosyv1.StateQuota(settingsOf(view)),
	}
	for _, server := range servers {
		if server.Voter {
			response.Voters++
		}
		response.Servers = append(response.Servers, server)
	}
	response.Quorum = response.Voters/2 + 1
	if response.Voters == 0 {
		response.Quorum = 0
	}
	response.NoLeaderReason, _ = s.absence()
	slices.SortFunc(response.Servers, func(a, b *argosyv1.ServerStatus) int {
		return cmp.Or(cmp.Compare(a.GetName(), b.GetName()), cmp.Compare(a.GetId(), b.GetId()))
	})
	s.diagnose(response, view)
	return response, nil
}

// settingsOf returns the settings of the cluster, nil when there are none yet.
func settingsOf(view *fsm.View) *argosyv1.ClusterSettings {
	settings, _ := view.Cluster()
	return settings
}

// servers returns what is known here of all servers: those of the cluster and
// those that gossip has heard of.
func (s *Server) servers() (map[string]*argosyv1.ServerStatus, error) {
	known := map[string]*argosyv1.ServerStatus{}
	of := func(id string) *argosyv1.ServerStatus {
		if known[id] == nil {
			known[id] = &argosyv1.ServerStatus{Id: id}
		}
		return known[id]
	}
	configured, err := s.node.Configuration()
	if err != nil {
		return nil, err
	}
	for _, server := range configured {
		status := of(server.ID)
		status.RaftAddress, status.Voter = server.RaftAddress, server.Voter
	}
	for _, m := range s.members.Load().Members() {
		if m.Role != membership.RoleServer || (known[m.ID] == nil && !m.Alive) {
			continue
		}
		status := of(m.ID)
		status.Name, status.ApiAddress, status.Version, status.Alive = m.Name, m.APIAddress, m.Version, m.Alive
		status.RaftAddress = cmp.Or(m.RaftAddress, status.RaftAddress)
		if !among(configured, m.ID) && len(configured) > 0 {
			status.Problem = "not in the cluster: only gossip has heard of it"
		}
	}
	own := s.describe()
	own.Voter = of(s.node.ID()).GetVoter()
	known[s.node.ID()] = own
	return known, nil
}

func among(servers []consensus.Server, id string) bool {
	return slices.ContainsFunc(servers, func(s consensus.Server) bool { return s.ID == id })
}

// askAll asks all other servers for their status, at once and not for long.
func (s *Server) askAll(ctx context.Context, servers map[string]*argosyv1.ServerStatus) {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	answers := make([]*argosyv1.ServerStatus, len(servers))
	next := 0
	var asked sync.WaitGroup
	for id, known := range servers {
		if id == s.node.ID() {
			continue
		}
		peer, ok := s.peers.Get(id)
		if !ok {
			known.Problem = cmp.Or(known.GetProblem(), "not heard of by gossip")
			continue
		}
		answer := &answers[next]
		next++
		asked.Go(func() {
			asked := time.Now()
			response, err := peer.Describe(ctx, &argosyv1.DescribeRequest{Handshake: s.handshake()})
			if err != nil {
				known.Problem = cmp.Or(known.GetProblem(), "does not answer")
				return
			}
			*answer = response.GetServer()
			(*answer).ClockAheadMs = clockAhead((*answer).GetClockUnixNanos(), asked, time.Now()).Milliseconds()
			// Who may vote is the cluster's to say, not the server's.
			(*answer).Voter = known.GetVoter()
		})
	}
	asked.Wait()
	for _, answer := range answers {
		if answer != nil {
			servers[answer.GetId()] = answer
		}
	}
}

// StalenessMillis returns how old what this server has may be, at least 1.
func (s self) StalenessMillis() uint64 {
	age, known := s.reader.Age()
	if !known {
		return argosyv1.StalenessUnknown
	}
	return uint64(age.Milliseconds()) + 1
}
