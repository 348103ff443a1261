package autopilot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/membership"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
)

// world is the other servers: what Raft and gossip would say of them.
type world struct {
	mu       sync.Mutex
	overview consensus.Overview
	deposed  bool
	// frozen are servers that hear the leader and take in nothing, silent those
	// that nobody hears.
	frozen, silent map[string]bool
	problems       map[string]string
	settings       *argosyv1.AutopilotSettings
	done           []string
	watcher        chan struct{}
}

func newWorld(ids ...string) *world {
	w := &world{
		frozen: map[string]bool{}, silent: map[string]bool{}, problems: map[string]string{},
		watcher: make(chan struct{}, 1),
	}
	w.overview = consensus.Overview{Term: 7, Last: 100, Configuration: 1}
	for _, id := range ids {
		w.overview.Servers = append(w.overview.Servers, consensus.Follower{Server: consensus.Server{ID: id, Voter: true}, Match: 100})
	}
	return w
}

func (w *world) change(f func(w *world)) {
	w.mu.Lock()
	f(w)
	w.mu.Unlock()
	select {
	case w.watcher <- struct{}{}:
	default:
	}
}

func (w *world) join(id string) {
	w.change(func(w *world) {
		w.overview.Servers = append(w.overview.Servers, consensus.Follower{Server: consensus.Server{ID: id}})
		w.overview.Configuration++
	})
}

func (w *world) Overview() (consensus.Overview, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deposed {
		return consensus.Overview{}, consensus.ErrNotLeader
	}
	w.overview.Last += 10
	for i := range w.overview.Servers {
		f := &w.overview.Servers[i]
		if w.silent[f.ID] {
			continue
		}
		f.Heard = time.Now()
		if !w.frozen[f.ID] {
			f.Match = w.overview.Last
		}
	}
	o := w.overview
	o.Servers = slices.Clone(o.Servers)
	return o, nil
}

func (w *world) find(id string, configuration uint64) (int, error) {
	if configuration != 0 && configuration != w.overview.Configuration {
		return 0, consensus.ErrChanged
	}
	i := slices.IndexFunc(w.overview.Servers, func(f consensus.Follower) bool { return f.ID == id })
	if i < 0 {
		return 0, consensus.ErrUnknownServer
	}
	w.overview.Configuration++
	return i, nil
}

func (w *world) PromoteServer(_ context.Context, id string, configuration uint64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	i, err := w.find(id, configuration)
	if err != nil {
		return err
	}
	w.overview.Servers[i].Voter = true
	w.done = append(w.done, "promote "+id)
	return nil
}

func (w *world) RemoveServerAt(_ context.Context, id string, configuration uint64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	i, err := w.find(id, configuration)
	if err != nil {
		return err
	}
	w.overview.Servers = slices.Delete(w.overview.Servers, i, i+1)
	w.done = append(w.done, "remove "+id)
	return nil
}

func (w *world) Members() []membership.Member {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []membership.Member
	for _, f := range w.overview.Servers {
		all = append(all, membership.Member{ID: f.ID, Name: "name-" + f.ID, Role: membership.RoleServer, Alive: !w.silent[f.ID]})
	}
	return all
}

func (w *world) Watch() (<-chan struct{}, func()) { return w.watcher, func() {} }

func (w *world) did() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.done, ", ")
}

// mustLead runs an autopilot in a world until the test ends.
func mustLead(t *testing.T, w *world) (*Autopilot, <-chan error) {
	t.Helper()
	a, err := New(Deps{
		Self: "a", Raft: w,
		Gossip: func() Gossip { return w },
		Describe: func(_ context.Context, id string) (*argosyv1.ServerStatus, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.silent[id] {
				return nil, errors.New("no answer")
			}
			return &argosyv1.ServerStatus{Id: id, Problem: w.problems[id]}, nil
		},
		Settings: func() *argosyv1.AutopilotSettings {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.settings
		},
		HandOn: func(_ context.Context, id string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.done = append(w.done, "hand on to "+id)
			return nil
		},
	}, DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var work sync.WaitGroup
	work.Go(func() { _ = a.Listen(ctx) })
	work.Go(func() { ended <- a.Lead(ctx) })
	t.Cleanup(func() { cancel(); work.Wait() })
	synctest.Wait()
	return a, ended
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestANewServerGetsItsVoteOnceItHasProvenItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("a", "b", "c")
		a, _ := mustLead(t, w)
		pass(5 * time.Second)
		w.change(func(w *world) { w.frozen["d"] = true })
		w.join("d")
		pass(time.Minute)
		if got := w.did(); got != "" {
			t.Fatalf("a server that lags: %s", got)
		}
		if _, err := a.Promote(t.Context(), "name-d"); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_CONFLICT {
			t.Errorf("by hand: %v", err)
		}
		w.change(func(w *world) { w.frozen["d"] = false })
		pass(900 * time.Millisecond)
		if got := w.did(); got != "" {
			t.Fatalf("a server that has only just caught up: %s", got)
		}
		pass(2 * time.Second)
		if got := w.did(); got != "promote d" {
			t.Fatalf("a server that is stable: %q", got)
		}
		if h, ok := a.Table().Find("d"); !ok || !h.Voter || !h.Healthy || h.Name != "name-d" {
			t.Errorf("table says %+v", h)
		}
	})
}

func TestADeadServerIsRemovedWhenAnotherTookItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("a", "b", "c")
		w.settings = &argosyv1.AutopilotSettings{DeadAfterMs: 600_000}
		_, _ = mustLead(t, w)
		w.change(func(w *world) { w.silent["c"] = true })
		pass(time.Hour)
		if got := w.did(); got != "" {
			t.Fatalf("of three: %s", got)
		}
		w.join("d")
		pass(time.Minute)
		if got := w.did(); got != "promote d, remove c" {
			t.Errorf("with a fourth one: %q", got)
		}
	})
}

func TestLeadershipIsHandedOnWhenAFollowerIsStarvedForNoReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("a", "b", "c")
		_, _ = mustLead(t, w)
		w.change(func(w *world) { w.frozen["c"], w.problems["c"] = true, "disk is full" })
		pass(10 * time.Minute)
		if got := w.did(); got != "" {
			t.Fatalf("it knows why: %s", got)
		}
		w.change(func(w *world) { w.problems["c"] = "" })
		pass(10 * time.Second)
		if got := w.did(); !strings.HasPrefix(got, "hand on to b") {
			t.Errorf("nobody knows why: %q", got)
		}
	})
}

func TestTheAutopilotEndsWithLeadershipAndForgetsItsTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("a", "b", "c")
		a, ended := mustLead(t, w)
		if a.Table() == nil {
			t.Fatal("no table")
		}
		w.change(func(w *world) { w.deposed = true })
		pass(2 * time.Second)
		if err := <-ended; !errors.Is(err, consensus.ErrNotLeader) {
			t.Errorf("ended with %v", err)
		}
		if a.Table() != nil {
			t.Error("it still has a table")
		}
		if _, _, err := a.Removal(t.Context(), "b", false); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER {
			t.Errorf("removal: %v", err)
		}
	})
}

func TestARemovalByHandRestsOnFreshAnswersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("a", "b", "c")
		a, _ := mustLead(t, w)
		pass(10 * time.Second)
		// It has just died: the table still has it as well.
		w.change(func(w *world) { w.silent["c"] = true })
		if h, _ := a.Table().Find("c"); !h.Healthy {
			t.Fatal("the table knows already")
		}
		if _, _, err := a.Removal(t.Context(), "b", false); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_CONFLICT {
			t.Errorf("removal of one that is needed: %v", err)
		}
		h, configuration, err := a.Removal(t.Context(), "name-c", false)
		if err != nil || h.ID != "c" {
			t.Fatalf("removal of the dead one: %v, %v", h, err)
		}
		w.join("d")
		if err := a.Remove(t.Context(), "c", configuration); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_CONFLICT {
			t.Errorf("removal that was decided before another one joined: %v", err)
		}
		for wanted, code := range map[string]argosyv1.ErrorCode{
			"nobody": argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND,
		} {
			if _, _, err := a.Removal(t.Context(), wanted, true); argosyv1.CodeOf(err) != code {
				t.Errorf("removal of %s: %v", wanted, err)
			}
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	for i, spoil := range []func(*Config){
		func(c *Config) { c.Patience = 0 }, func(c *Config) { c.Interval = 0 }, func(c *Config) { c.Eager = 0 }, func(c *Config) { c.Ask = 0 },
	} {
		cfg := DefaultConfig()
		spoil(&cfg)
		if _, err := New(Deps{}, cfg); err == nil {
			t.Error(fmt.Sprint("accepted: ", i))
		}
	}
	if _, err := New(Deps{}, DefaultConfig()); err == nil {
		t.Error("made without what it needs")
	}
}
