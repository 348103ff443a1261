// Package diagnosis says what is wrong with a cluster, and what to do about it.
//
// It is a function from what one server knows to a list, the worst first. It
// protects one invariant: a cluster in which nothing needs a person has no
// problems. What mends itself within seconds, as a follower that is a few
// entries behind, is none.
package diagnosis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Facts are what a server knows of its cluster.
type Facts struct {
	// LeaderID is empty when there is no leader, NoLeader says why.
	LeaderID, NoLeader string
	// Voters and Quorum are of the configuration.
	Voters, Quorum int
	// Servers are all that are known, with what they said of themselves; one that
	// did not answer has no role.
	Servers []*argosyv1.ServerStatus
	// Agents is how many are registered, Lost are the names of those without a
	// session.
	Agents int
	Lost   []string
	// StateBytes is the size of the desired state, StateQuota how large it may
	// become.
	StateBytes, StateQuota uint64
	// RecentLeaderships is how many there were in the last hour.
	RecentLeaderships int
}

// Limits beyond which something is a problem.
const (
	// maxLag is how many entries a follower may lack: a burst of writes takes it
	// there for a moment.
	maxLag = 5000
	// maxSilence is for how long a follower may not have heard from the leader
	// that others hear.
	maxSilence = 3 * time.Second
	// maxClock is how far clocks may differ: the times in logs and of remembered
	// answers then still make sense.
	maxClock = 2 * time.Second
	// fewLeaderships is how many an hour are no reason to worry.
	fewLeaderships = 6
	// nearlyFull is the part of a quota that is worth a word, in percent.
	nearlyFull = 80
)

// Reachable returns how many voters answered.
func Reachable(servers []*argosyv1.ServerStatus) int {
	n := 0
	for _, s := range servers {
		if s.GetVoter() && answered(s) {
			n++
		}
	}
	return n
}

// MayLose returns how many more voters may be lost without losing the quorum.
func MayLose(servers []*argosyv1.ServerStatus, quorum int) int {
	return max(Reachable(servers)-quorum, 0)
}

func answered(s *argosyv1.ServerStatus) bool {
	return s.GetRole() != argosyv1.ServerRole_SERVER_ROLE_UNSPECIFIED
}

// Problems returns what a person should know of, the worst first.
func (f Facts) Problems() []*argosyv1.Problem {
	var l list
	f.ofCluster(&l)
	f.ofServers(&l)
	f.ofAgents(&l)
	slices.SortStableFunc(l, func(a, b *argosyv1.Problem) int { return -cmp.Compare(a.GetSeverity(), b.GetSeverity()) })
	return l
}

// list collects problems.
type list []*argosyv1.Problem

const cluster = "cluster"

func (l *list) critical(subject, advice, format string, args ...any) {
	l.add(argosyv1.Severity_SEVERITY_CRITICAL, subject, advice, fmt.Sprintf(format, args...))
}

func (l *list) warning(subject, advice, format string, args ...any) {
	l.add(argosyv1.Severity_SEVERITY_WARNING, subject, advice, fmt.Sprintf(format, args...))
}

func (l *list) add(severity argosyv1.Severity, subject, advice, what string) {
	*l = append(*l, &argosyv1.Problem{Severity: severity, Subject: subject, What: what, Advice: advice})
}

func (f Facts) ofCluster(l *list) {
	reachable := Reachable(f.Servers)
	switch {
	case f.LeaderID == "" || f.NoLeader != "":
		what := f.NoLeader
		if what == "" {
			what = "there is no leader"
		}
		l.critical(cluster, "nothing can be written; see which servers are down below, and start them", "%s", what)
	case f.Voters > 2 && reachable <= f.Quorum:
		l.critical(cluster, "start the servers that are down, or replace them",
			"%d of %d voters are reachable and %d are needed: not one more may be lost", reachable, f.Voters, f.Quorum)
	case f.Voters == 2:
		l.warning(cluster, "add a third server: it makes the loss of any one bearable", "with 2 voters the loss of either stops the cluster")
	}
	if f.RecentLeaderships > fewLeaderships {
		l.warning(cluster, "see 'argosy operator raft history' for the reasons, and whether machines or disks are too slow",
			"the leader changed %d times in the last hour", f.RecentLeaderships)
	}
	if f.StateQuota > 0 && f.StateBytes*100 >= f.StateQuota*nearlyFull {
		l.warning(cluster, "delete workloads, or raise the quota with 'argosy operator settings'",
			"the desired state takes %s of the %s that it may: beyond that writes are refused", Bytes(f.StateBytes), Bytes(f.StateQuota))
	}
	f.ofVersions(l)
	f.ofHashes(l)
}

// ofVersions tells of a cluster of several versions: an upgrade that is under
// way, or was forgotten.
func (f Facts) ofVersions(l *list) {
	by := map[string][]string{}
	for _, s := range f.Servers {
		if answered(s) && s.GetVersion() != "" {
			by[s.GetVersion()] = append(by[s.GetVersion()], Name(s))
		}
	}
	if len(by) < 2 {
		return
	}
	var texts []string
	for version, names := range by {
		texts = append(texts, fmt.Sprintf("%s on %s", version, strings.Join(names, ", ")))
	}
	slices.Sort(texts)
	l.warning(cluster, "finish the upgrade", "servers run different versions: %s", strings.Join(texts, "; "))
}

// ofHashes compares states: servers that are at the same revision must have the
// same.
func (f Facts) ofHashes(l *list) {
	type state struct{ hash, server string }
	at := map[uint64]state{}
	for _, s := range f.Servers {
		if !answered(s) || s.GetAppliedIndex() == 0 || s.GetStateHash() == "" {
			continue
		}
		first, ok := at[s.GetAppliedIndex()]
		if !ok {
			at[s.GetAppliedIndex()] = state{s.GetStateHash(), Name(s)}
		} else if first.hash != s.GetStateHash() {
			l.critical(Name(s), "the majority is right; the other server is rebuilt at the next beacon, or when it is started with an empty data directory",
				"its state at revision %d is not that of server %s", s.GetAppliedIndex(), first.server)
		}
	}
}

func (f Facts) ofServers(l *list) {
	for _, s := range f.Servers {
		name := Name(s)
		if !answered(s) {
			f.ofAbsent(l, s)
			continue
		}
		if s.GetProblem() != "" {
			l.critical(name, "", "%s", s.GetProblem())
		}
		if lag := s.GetLagEntries(); lag > maxLag {
			l.warning(name, "see whether its disk or network is too slow; it counts for the quorum only as far as it has come",
				"it lacks %d entries of the leader's log", lag)
		}
		silence := time.Duration(s.GetLastContactMs()) * time.Millisecond
		if f.LeaderID != "" && s.GetId() != f.LeaderID && silence > maxSilence {
			l.warning(name, "see whether it reaches the leader's Raft address", "it has not heard from the leader for %v", silence.Round(time.Second))
		}
		if ahead := time.Duration(s.GetClockAheadMs()) * time.Millisecond; ahead.Abs() > maxClock {
			direction := "ahead of"
			if ahead < 0 {
				direction = "behind"
			}
			l.warning(name, "run a time service on all machines", "its clock is %v %s that of the server that was asked", ahead.Abs(), direction)
		}
		for _, warning := range s.GetWarnings() {
			l.warning(name, "", "%s", warning)
		}
	}
}

func (f Facts) ofAbsent(l *list, s *argosyv1.ServerStatus) {
	what := fmt.Sprintf("not reachable at %s", cmp.Or(s.GetApiAddress(), s.GetRaftAddress(), "any address that is known"))
	if problem := s.GetProblem(); problem != "" {
		what += ": " + problem
	}
	if s.GetVoter() {
		l.critical(Name(s), "start it; if it will not come back, 'argosy operator server remove' it and let a new one join", "%s", what)
	} else {
		l.warning(Name(s), "", "%s; it has no vote", what)
	}
}

// namesTold is how many names one line bears.
const namesTold = 5

func (f Facts) ofAgents(l *list) {
	if len(f.Lost) == 0 {
		return
	}
	names := strings.Join(f.Lost[:min(len(f.Lost), namesTold)], ", ")
	if more := len(f.Lost) - namesTold; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	l.warning("agents", "see 'argosy get agents'", "%d of %d are not connected: %s", len(f.Lost), f.Agents, names)
}

// Name is what people call a server.
func Name(s *argosyv1.ServerStatus) string {
	return cmp.Or(s.GetName(), s.GetId())
}

// Bytes writes a size for people.
func Bytes(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, power := float64(n)/unit, 0
	for value >= unit && power < 4 {
		value /= unit
		power++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[power])
}
