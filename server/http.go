package server

import (
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/health"
)

// openHTTP makes the HTTP server, if one is wanted.
func (s *Server) openHTTP() error {
	if s.listeners.http != nil {
		s.http = health.NewServer(health.Handler(s.healthState))
	}
	return nil
}

func (s *Server) healthState() health.State {
	status := s.node.Status()
	view := s.machine.View()
	now := health.State{
		Leads:     status.GetRole() == argosyv1.ServerRole_SERVER_ROLE_LEADER,
		HasLeader: s.outlook().leaderID != "",
		Term:      status.GetTerm(),
		Applied:   view.Revision(),
		Last:      status.GetLastIndex(),
		Workloads: view.Count(argosyv1.RowKind_ROW_KIND_WORKLOAD),
		Agents:    view.Count(argosyv1.RowKind_ROW_KIND_AGENT),
		Connected: s.store.Connected(),
	}
	if err := s.node.Err(); err != nil {
		now.Failed = err.Error()
	}
	now.NotReady, _ = s.absence()
	return now
}
