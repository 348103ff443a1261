package server

import (
	"cmp"

	"github.com/argosy-cluster/argosy/membership"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/health"
	"github.com/argosy-cluster/argosy/server/metrics"
)

// openHTTP makes the HTTP server, if one is wanted.
func (s *Server) openHTTP() error {
	if s.listeners.http == nil {
		return nil
	}
	handler := health.Handler(s.checks)
	handler.Handle("GET /metrics", s.metrics.Handler(s.measure))
	s.http = health.NewServer(handler)
	return nil
}

// checks looks at everything that this server needs to serve.
func (s *Server) checks() []health.Check {
	raft := health.Check{Name: "raft", Fatal: true}
	if err := s.node.Err(); err != nil {
		raft.Problem = err.Error()
	}
	machine := health.Check{Name: "state", Fatal: true}
	if err := s.machine.Failed(); err != nil {
		machine.Problem = err.Error()
	}
	disk := health.Check{Name: "disk"}
	if s.node.Stalled() {
		disk.Problem = "a write to the log does not come back: the disk does not answer"
	}
	leader := health.Check{Name: "leader"}
	leader.Problem, _ = s.absence()
	stopping := health.Check{Name: "serving"}
	if s.serving.Err() != nil {
		stopping.Problem = "the server is stopping"
	}
	whole := health.Check{Name: "integrity", Problem: s.rebuilding()}
	checks := []health.Check{raft, machine, disk, whole, leader, stopping}
	if low := s.space.Problem(); low != "" {
		checks = append(checks, health.Check{Name: "space", Problem: low, Warning: true})
	}
	for _, warning := range s.warnings() {
		checks = append(checks, health.Check{Name: "warning", Problem: warning, Warning: true})
	}
	return checks
}

// measure reads what is not counted as it happens.
func (s *Server) measure() metrics.State {
	view := s.machine.View()
	o := s.outlook()
	absence, _ := s.absence()
	settings := settingsOf(view)
	outcomes, outcomeBytes, _, _ := view.OutcomeStats()
	now := metrics.State{
		Server:         s.describe(),
		HasLeader:      o.leaderID != "",
		Serves:         absence == "" && s.serving.Err() == nil,
		Voters:         len(o.voters),
		DiskStalled:    s.node.Stalled(),
		Campaigns:      map[string]uint64{},
		Workloads:      view.Count(argosyv1.RowKind_ROW_KIND_WORKLOAD),
		Agents:         view.Count(argosyv1.RowKind_ROW_KIND_AGENT),
		Connected:      s.store.Connected(),
		StateHash:      view.Hash(),
		Outcomes:       outcomes,
		OutcomeBytes:   outcomeBytes,
		StateBytes:     uint64(view.Bytes()),
		StateQuota:     argosyv1.StateQuota(settings),
		FeatureLevel:   argosyv1.ActiveLevel(settings),
		Backups:        s.measureBackups(),
		ForwardWaiting: s.router.Waiting(),
		ReadsWaiting:   s.reader.Waiting(),
		Sessions:       s.sessions.Sessions(),
		MembersAlive:   map[string]int{},
		MembersDead:    map[string]int{},
		Rebuilds:       s.rebuilds.Total(),
	}
	beacons := s.machine.BeaconCounts()
	now.BeaconsSame, now.BeaconsDifferent = beacons.Same, beacons.Different
	now.Server.AppliedIndex = view.Revision()
	if now.Voters > 0 {
		now.Quorum = now.Voters/2 + 1
	}
	for cause, n := range s.node.Campaigns() {
		now.Campaigns[string(cause)] = n
	}
	now.LeadershipsEnded = s.history.Counts()
	if t := s.autopilot.Table(); t != nil {
		now.Lags = make(map[string]uint64, len(t.Servers))
		for _, h := range t.Servers {
			if !h.Leader {
				now.Lags[cmp.Or(h.Name, h.ID)] = h.Lag
			}
		}
	}
	if b := s.backups.Health(); b.Enabled {
		now.Backups = &metrics.Backups{Last: b.Current, Failed: b.Problem != ""}
	}
	if r := s.reign.Load(); r != nil {
		if w, ok := r.writes(); ok {
			now.WriterWaiting = w.Waiting()
		}
	}
	if members := s.members.Load(); members != nil {
		countMembers(members.Members(), &now)
	}
	if s.identity != nil {
		now.CertificateExpires = s.identity.Certificate().NotAfter
	}
	return now
}

func countMembers(members []membership.Member, now *metrics.State) {
	for _, m := range members {
		if m.Alive {
			now.MembersAlive[m.Role.String()]++
		} else {
			now.MembersDead[m.Role.String()]++
		}
	}
}
