package server

import (
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/diagnosis"
)

// maxLostTold is how many names of lost agents a status bears.
const maxLostTold = 100

// diagnose adds to a status what follows from it.
func (s *Server) diagnose(response *argosyv1.StatusResponse, view *fsm.View) {
	for name := range view.Agents() {
		if status, ok := s.store.Agent(name.Key); !ok || !status.GetConnected() {
			response.AgentsLost = append(response.AgentsLost, name.Key)
		}
	}
	lost := response.AgentsLost
	response.AgentsLost = lost[:min(len(lost), maxLostTold)]
	response.WorkloadStates = s.store.Tally(func(yield func(name, agent string) bool) {
		for row := range view.Workloads() {
			if !yield(row.Key, row.Group) {
				return
			}
		}
	})
	response.FeatureLevel = argosyv1.ActiveLevel(settingsOf(view))
	hourAgo := time.Now().Add(-time.Hour).UnixNano()
	for _, l := range s.history.Leaderships(0) {
		if l.GetBeganUnixNanos() > hourAgo {
			response.RecentLeaderships++
		}
	}
	addLags(response.GetServers(), response.GetHeader().GetLeaderId())
	response.MayLose = uint32(diagnosis.MayLose(response.GetServers(), int(response.GetQuorum())))
	response.Problems = diagnosis.Facts{
		LeaderID:          response.GetHeader().GetLeaderId(),
		NoLeader:          response.GetNoLeaderReason(),
		Voters:            int(response.GetVoters()),
		Quorum:            int(response.GetQuorum()),
		Servers:           response.GetServers(),
		Agents:            int(response.GetAgents()),
		Lost:              lost,
		StateBytes:        response.GetStateBytes(),
		StateQuota:        response.GetStateQuotaBytes(),
		RecentLeaderships: int(response.GetRecentLeaderships()),
	}.Problems()
}

// addLags tells what followers lack of the leader's log, from what each said of
// itself at about the same time, where the leader did not say it.
func addLags(servers []*argosyv1.ServerStatus, leader string) {
	at := slices.IndexFunc(servers, func(s *argosyv1.ServerStatus) bool { return s.GetId() == leader })
	if at < 0 {
		return
	}
	for _, s := range servers {
		if s.GetLagEntries() == 0 && s.GetAppliedIndex() > 0 && s.GetLastIndex() < servers[at].GetLastIndex() {
			s.LagEntries = servers[at].GetLastIndex() - s.GetLastIndex()
		}
	}
}

// clockAhead returns how far a clock is ahead of this one that was read between
// two times, 0 when the difference may as well be the way of the answer.
func clockAhead(told int64, asked, answered time.Time) time.Duration {
	if told == 0 {
		return 0
	}
	way := answered.Sub(asked)
	ahead := time.Unix(0, told).Sub(asked.Add(way / 2))
	if ahead.Abs() <= way/2 {
		return 0
	}
	return ahead
}
