package autopilot

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/membership"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// server builds a row of a table.
func server(id string, change ...func(*Health)) Health {
	h := Health{ID: id, Name: "name-" + id, Voter: true, Answers: true, Gossip: true, Level: true, Healthy: true, HealthySince: epoch.Add(-time.Hour)}
	for _, c := range change {
		c(&h)
	}
	return h
}

func leads(h *Health)    { h.Leader = true }
func nonVoter(h *Health) { h.Voter = false }
func silent(h *Health)   { h.Answers, h.Healthy, h.Level, h.Problem = false, false, false, "is silent" }

func dead(since time.Duration) func(*Health) {
	return func(h *Health) {
		silent(h)
		h.Gossip = false
		h.DeadSince = epoch.Add(-since)
	}
}

func healthyFor(d time.Duration) func(*Health) {
	return func(h *Health) { h.HealthySince = epoch.Add(-d) }
}

func starved(since time.Duration) func(*Health) {
	return func(h *Health) {
		h.Healthy, h.Level, h.Lag, h.StarvedSince = false, false, 7, epoch.Add(-since)
	}
}

func ailing(h *Health) { h.Ailment = "disk does not answer" }

func table(servers ...Health) *Table { return &Table{At: epoch, Servers: servers} }

func TestDecisions(t *testing.T) {
	settings := Resolve(nil)
	soon := Settings{DeadAfter: time.Minute, MinVoters: 1, StableAfter: time.Second}
	keep := soon
	keep.KeepDead = true
	const day = 25 * time.Hour
	for name, c := range map[string]struct {
		table    *Table
		settings Settings
		want     action
		id       string
	}{
		"all is well": {table(server("a", leads), server("b"), server("c")), settings, nothing, ""},
		"a new server that is stable gets a vote":  {table(server("a", leads), server("b", nonVoter, healthyFor(time.Second))), settings, promote, "b"},
		"one that is not stable yet waits":         {table(server("a", leads), server("b", nonVoter, healthyFor(999*time.Millisecond))), settings, nothing, ""},
		"one that lags waits":                      {table(server("a", leads), server("b", nonVoter, starved(time.Second))), settings, nothing, ""},
		"a fourth one votes too":                   {table(server("a", leads), server("b"), server("c"), server("d", nonVoter)), settings, promote, "d"},
		"the replacement of a dead one votes":      {table(server("a", leads), server("b"), server("c", dead(day)), server("d", nonVoter)), settings, promote, "d"},
		"a vote that would cost the quorum waits":  {table(server("a", leads), server("b", silent), server("d", nonVoter), server("c", silent)), settings, nothing, ""},
		"a dead one of four is removed":            {table(server("a", leads), server("b"), server("c", dead(day)), server("d")), settings, remove, "c"},
		"but not before its time":                  {table(server("a", leads), server("b"), server("c", dead(23*time.Hour)), server("d")), settings, nothing, ""},
		"a dead one of three stays":                {table(server("a", leads), server("b"), server("c", dead(day))), settings, nothing, ""},
		"where fewer are enough, it goes":          {table(server("a", leads), server("b"), server("c", dead(day))), soon, remove, "c"},
		"where the dead are kept, it stays":        {table(server("a", leads), server("b"), server("c", dead(day))), keep, nothing, ""},
		"one of two dead of five is removed":       {table(server("a", leads), server("b"), server("c"), server("d", dead(day)), server("e", dead(day))), settings, remove, "d"},
		"of half that is dead, none":               {table(server("a", leads), server("b"), server("c", dead(day)), server("d", dead(day))), soon, nothing, ""},
		"none when the rest is not reachable":      {table(server("a", leads), server("b", silent), server("c", dead(day))), soon, nothing, ""},
		"one without a vote that is dead goes":     {table(server("a", leads), server("b", nonVoter, dead(day))), settings, remove, "b"},
		"a starved one moves leadership":           {table(server("a", leads), server("b"), server("c", starved(time.Minute))), settings, handOn, "b"},
		"after some time only":                     {table(server("a", leads), server("b"), server("c", starved(20*time.Second))), settings, nothing, ""},
		"not when it knows why it takes nothing":   {table(server("a", leads), server("b"), server("c", starved(time.Minute), ailing)), settings, nothing, ""},
		"not when nobody healthy could lead":       {table(server("a", leads), server("b", silent), server("c", starved(time.Minute))), settings, nothing, ""},
		"not to one without a vote":                {table(server("a", leads), server("b", nonVoter, healthyFor(0)), server("c", starved(time.Minute))), settings, nothing, ""},
		"the leader is not removed when gossip is": {table(server("a", leads, dead(day)), server("b"), server("c"), server("d")), soon, nothing, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := decide(c.table, c.settings, epoch.Add(-time.Hour)); got.action != c.want || got.id != c.id {
				t.Errorf("decided %q of %q, want %q of %q", got.action.done(), got.id, c.want.done(), c.id)
			}
		})
	}
	starving := table(server("a", leads), server("b"), server("c", starved(time.Minute)))
	if got := decide(starving, settings, epoch.Add(-time.Minute)); got.action != nothing {
		t.Errorf("a leadership of a minute was handed on: it could go round and round")
	}
}

func TestRemovalsThatWouldStopTheClusterAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		table   *Table
		id      string
		refused bool
	}{
		"a healthy one of three":              {table(server("a", leads), server("b"), server("c")), "b", false},
		"a dead one of three":                 {table(server("a", leads), server("b"), server("c", silent)), "c", false},
		"a healthy one beside a dead one":     {table(server("a", leads), server("b"), server("c", silent)), "b", true},
		"one of two":                          {table(server("a", leads), server("b")), "b", false},
		"one without a vote beside dead ones": {table(server("a", leads), server("b", silent), server("c", nonVoter)), "c", false},
		"a dead one of five with two dead":    {table(server("a", leads), server("b"), server("c"), server("d", silent), server("e", silent)), "d", false},
		"a healthy one of five with two dead": {table(server("a", leads), server("b"), server("c"), server("d", silent), server("e", silent)), "c", true},
	} {
		h, _ := c.table.Find(c.id)
		if got := refuseRemoval(c.table, h); (got != "") != c.refused {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func members(alive bool, ids ...string) map[string]membership.Member {
	all := map[string]membership.Member{}
	for _, id := range ids {
		all[id] = membership.Member{ID: id, Name: "name-" + id, Role: membership.RoleServer, Alive: alive}
	}
	return all
}

func follower(id string, match uint64, heard time.Time) consensus.Follower {
	return consensus.Follower{Server: consensus.Server{ID: id, Voter: true}, Match: match, Heard: heard}
}

func TestHealthIsJudgedByWhatIsSeenOverTime(t *testing.T) {
	l := newLooker("a", time.Second)
	now := epoch
	heard := members(true, "a", "b", "c")
	look := func(last uint64, followers ...consensus.Follower) *Table {
		o := consensus.Overview{Term: 3, Last: last, Servers: append([]consensus.Follower{follower("a", last, now)}, followers...)}
		return l.look(o, heard, now)
	}
	if b, _ := look(100, follower("b", 100, now)).Find("b"); b.Healthy {
		t.Error("healthy at the first look, when nothing is known of how it keeps up")
	}
	now = now.Add(time.Second)
	if b, _ := look(200, follower("b", 100, now)).Find("b"); b.Healthy || b.Lag != 100 {
		// The mark is the log of the look before the last one from now on.
		t.Logf("%+v", b)
	}
	now = now.Add(time.Second)
	b, _ := look(300, follower("b", 200, now)).Find("b")
	if !b.Healthy || b.Lag != 100 || b.Name != "name-b" {
		t.Errorf("it has what there was a moment ago, and is %+v", b)
	}
	since := b.HealthySince
	now = now.Add(time.Millisecond)
	if b, _ = look(400, follower("b", 200, now)).Find("b"); !b.Healthy {
		t.Errorf("a look that followed at once made it ill: %q", b.Problem)
	}
	now = now.Add(time.Second)
	if b, _ = look(400, follower("b", 400, now)).Find("b"); !b.Healthy || !b.HealthySince.Equal(since) {
		t.Errorf("healthy since %v, was %v", b.HealthySince, since)
	}
	l.memories["b"].status = &argosyv1.ServerStatus{Problem: "disk does not answer"}
	now = now.Add(time.Second)
	if b, _ = look(400, follower("b", 400, now)).Find("b"); b.Healthy || b.Problem != "disk does not answer" || !b.HealthySince.Equal(now) {
		t.Errorf("it says that it is ill, and is %+v", b)
	}
	l.memories["b"].status = nil
	silence := now
	now = now.Add(2 * time.Second)
	if b, _ = look(400, follower("b", 400, silence)).Find("b"); b.Answers || b.Healthy || !b.DeadSince.IsZero() {
		t.Errorf("silent to Raft while gossip hears it: %+v", b)
	}
}

func TestOnlyAServerThatNobodyHearsIsDead(t *testing.T) {
	l := newLooker("a", time.Second)
	now := epoch
	died := now
	l.hear(members(false, "b", "c"), now)
	now = now.Add(time.Hour)
	look := func(heard time.Time) Health {
		o := consensus.Overview{Term: 3, Last: 5, Servers: []consensus.Follower{follower("a", 5, now), follower("b", 5, heard), follower("x", 0, time.Time{})}}
		h, _ := l.look(o, members(false, "b"), now).Find("b")
		return h
	}
	if h := look(now); !h.DeadSince.IsZero() {
		t.Errorf("it answers Raft, and is dead since %v", h.DeadSince)
	}
	now = now.Add(time.Hour)
	last := now.Add(-time.Hour)
	if h := look(last); h.DeadSince.Before(last) {
		t.Errorf("it answered Raft at %v, and is dead since %v", last, h.DeadSince)
	}
	// Another leader, who has never heard it, but whom gossip told.
	l = newLooker("a", time.Second)
	l.hear(members(false, "b"), died)
	if h := look(time.Time{}); !h.DeadSince.Equal(died) {
		t.Errorf("gossip lost it at %v, and it is dead since %v", died, h.DeadSince)
	}
	l.hear(members(true, "b"), now)
	l.hear(members(false, "b"), now)
	now = now.Add(time.Minute)
	l.term = 0
	if h := look(time.Time{}); !h.DeadSince.Equal(now.Add(-time.Minute)) {
		t.Errorf("it was back a minute ago, and is dead since %v", h.DeadSince)
	}
}

func TestAFollowerThatTakesInNothingIsStarved(t *testing.T) {
	l := newLooker("a", time.Second)
	now := epoch
	look := func(f consensus.Follower) Health {
		now = now.Add(time.Second)
		f.Heard = now
		o := consensus.Overview{Term: 3, Last: 50, Servers: []consensus.Follower{follower("a", 50, now), f}}
		h, _ := l.look(o, members(true, "a", "b"), now).Find("b")
		return h
	}
	look(follower("b", 10, now))
	began := now
	for range 20 {
		look(follower("b", 10, now))
	}
	if h := look(follower("b", 10, now)); !h.StarvedSince.Equal(began) {
		t.Errorf("starved since %v, want %v", h.StarvedSince, began)
	}
	if h := look(follower("b", 11, now)); !h.StarvedSince.IsZero() {
		t.Errorf("it has moved, and is starved since %v", h.StarvedSince)
	}
	f := follower("b", 11, now)
	f.Installing = true
	if h := look(f); !h.StarvedSince.IsZero() {
		t.Error("it is being sent a snapshot")
	}
	look(follower("b", 50, now))
	if h := look(follower("b", 50, now)); !h.StarvedSince.IsZero() {
		t.Error("it has everything")
	}
}

func TestSettingsAreCheckedAndCompleted(t *testing.T) {
	if got := Resolve(nil); got != (Settings{DeadAfter: 24 * time.Hour, MinVoters: 3, StableAfter: time.Second}) {
		t.Errorf("defaults are %+v", got)
	}
	if got := Resolve(&argosyv1.AutopilotSettings{DeadAfterMs: 1 << 63}); got.DeadAfter <= 0 {
		t.Errorf("a very long time became %v", got.DeadAfter)
	}
	for name, given := range map[string]*argosyv1.AutopilotSettings{
		"dead at once":    {DeadAfterMs: 1},
		"too many voters": {MinVoters: 100},
		"never stable":    {StableAfterMs: 1 << 50},
	} {
		if err := Check(given); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INVALID {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Check(&argosyv1.AutopilotSettings{KeepDeadServers: true, DeadAfterMs: 5000, MinVoters: 5, StableAfterMs: 100}); err != nil {
		t.Error(err)
	}
}
