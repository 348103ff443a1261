package diagnosis

import (
	"fmt"
	"strings"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// well are the facts of a cluster of three in which nothing is wrong.
func well() Facts {
	var servers []*argosyv1.ServerStatus
	for i := 1; i <= 3; i++ {
		role := argosyv1.ServerRole_SERVER_ROLE_FOLLOWER
		if i == 1 {
			role = argosyv1.ServerRole_SERVER_ROLE_LEADER
		}
		servers = append(servers, &argosyv1.ServerStatus{
			Id: fmt.Sprintf("id%d", i), Name: fmt.Sprintf("s%d", i), Role: role, Voter: true, Version: "v1",
			ApiAddress: fmt.Sprintf("10.0.0.%d:25551", i), AppliedIndex: uint64(100 + i), LastIndex: 104, StateHash: fmt.Sprint(i),
		})
	}
	return Facts{LeaderID: "id1", Voters: 3, Quorum: 2, Servers: servers, Agents: 2, StateBytes: 1 << 20, StateQuota: 1 << 30, RecentLeaderships: 1}
}

// down takes a server away.
func down(f *Facts, i int) {
	s := f.Servers[i]
	f.Servers[i] = &argosyv1.ServerStatus{Id: s.GetId(), Name: s.GetName(), Voter: s.GetVoter(), ApiAddress: s.GetApiAddress()}
}

func texts(problems []*argosyv1.Problem) []string {
	var lines []string
	for _, p := range problems {
		lines = append(lines, fmt.Sprintf("%s %s: %s", strings.ToLower(strings.TrimPrefix(p.GetSeverity().String(), "SEVERITY_")), p.GetSubject(), p.GetWhat()))
	}
	return lines
}

func TestProblems(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Facts)
		want   []string
	}{
		"all is well": {func(*Facts) {}, nil},
		"no leader, the cause first": {func(f *Facts) {
			f.LeaderID, f.NoLeader = "", "no leader: 1 of 3 servers reachable, 2 needed"
			down(f, 0)
			down(f, 1)
		}, []string{
			"critical cluster: no leader: 1 of 3 servers reachable, 2 needed",
			"critical s1: not reachable at 10.0.0.1:25551", "critical s2: not reachable at 10.0.0.2:25551",
		}},
		"one of three down": {func(f *Facts) { down(f, 2) }, []string{
			"critical cluster: 2 of 3 voters are reachable and 2 are needed: not one more may be lost",
			"critical s3: not reachable at 10.0.0.3:25551",
		}},
		"one without a vote down": {func(f *Facts) {
			f.Servers = append(f.Servers, &argosyv1.ServerStatus{Id: "id4", RaftAddress: "10.0.0.4:25552", Problem: "does not answer"})
		}, []string{"warning id4: not reachable at 10.0.0.4:25552: does not answer; it has no vote"}},
		"a cluster of one": {func(f *Facts) { f.Servers, f.Voters, f.Quorum = f.Servers[:1], 1, 1 }, nil},
		"a cluster of two": {func(f *Facts) { f.Servers, f.Voters = f.Servers[:2], 2 }, []string{
			"warning cluster: with 2 voters the loss of either stops the cluster",
		}},
		"a disk that does not answer": {func(f *Facts) { f.Servers[1].Problem = "disk does not answer" }, []string{
			"critical s2: disk does not answer",
		}},
		"a follower far behind": {func(f *Facts) { f.Servers[1].LagEntries = 20000 }, []string{
			"warning s2: it lacks 20000 entries of the leader's log",
		}},
		"a follower a little behind": {func(f *Facts) { f.Servers[1].LagEntries = 200 }, nil},
		"a follower cut off from the leader": {func(f *Facts) { f.Servers[1].LastContactMs = 8000 }, []string{
			"warning s2: it has not heard from the leader for 8s",
		}},
		"a clock that is wrong": {func(f *Facts) { f.Servers[1].ClockAheadMs, f.Servers[2].ClockAheadMs = -90000, 30 }, []string{
			"warning s2: its clock is 1m30s behind that of the server that was asked",
		}},
		"an upgrade under way": {func(f *Facts) { f.Servers[1].Version = "v2" }, []string{
			"warning cluster: servers run different versions: v1 on s1, s3; v2 on s2",
		}},
		"states that differ": {func(f *Facts) { f.Servers[1].AppliedIndex = f.Servers[0].GetAppliedIndex() }, []string{
			"critical s2: its state at revision 101 is not that of server s1",
		}},
		"what a server says of itself": {func(f *Facts) { f.Servers[2].Warnings = []string{"its certificate expires"} }, []string{
			"warning s3: its certificate expires",
		}},
		"a state near its quota": {func(f *Facts) { f.StateBytes = 900 << 20 }, []string{
			"warning cluster: the desired state takes 900.0 MiB of the 1.0 GiB that it may: beyond that writes are refused",
		}},
		"too many leaders": {func(f *Facts) { f.RecentLeaderships = 40 }, []string{
			"warning cluster: the leader changed 40 times in the last hour",
		}},
		"agents lost": {func(f *Facts) { f.Agents, f.Lost = 9, []string{"a", "b", "c", "d", "e", "f", "g"} }, []string{
			"warning agents: 7 of 9 are not connected: a, b, c, d, e and 2 more",
		}},
		"the worst first": {func(f *Facts) {
			f.Lost = []string{"a"}
			f.Servers[2].Problem = "disk does not answer"
		}, []string{"critical s3: disk does not answer", "warning agents: 1 of 2 are not connected: a"}},
	} {
		t.Run(name, func(t *testing.T) {
			facts := well()
			c.change(&facts)
			got, want := strings.Join(texts(facts.Problems()), "\n"), strings.Join(c.want, "\n")
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestMayLose(t *testing.T) {
	facts := well()
	for _, want := range []int{1, 0, 0} {
		if got := MayLose(facts.Servers, facts.Quorum); got != want {
			t.Errorf("may lose %d of %d reachable, want %d", got, Reachable(facts.Servers), want)
		}
		down(&facts, want+1)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 1 << 30: "1.0 GiB", 1 << 60: "1024.0 PiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
