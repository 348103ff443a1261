package keeper

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAKeeperEndsWhenNobodyNeedsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Bool
		i := newIdle(time.Minute, func() { ended.Store(true) })
		defer i.stop()
		pass := func(d time.Duration, want bool) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if ended.Load() != want {
				t.Fatalf("ended is %v, want %v", ended.Load(), want)
			}
		}
		pass(59*time.Second, false)
		if !i.addClient() {
			t.Fatal("client was refused")
		}
		pass(time.Hour, false)
		i.setRunning(1)
		i.dropClient()
		pass(time.Hour, false)
		i.setRunning(0)
		pass(59*time.Second, false)
		pass(2*time.Second, true)
		if i.addClient() {
			t.Fatal("client was let in after the end")
		}
	})
}

func TestASlowWatcherIsToldToListAgain(t *testing.T) {
	opened := &table{watchers: make(map[*watcher]struct{})}
	w, stop := opened.watch()
	defer stop()
	instance := wire.Instance{Name: nameOf("w")}
	for range watcherMost + 10 {
		opened.publish(wire.Response{Instance: &instance})
	}
	events := opened.take(w)
	if len(events) != 11 || !events[0].Resync || events[10].Instance == nil {
		t.Fatalf("%d events, the first is %+v", len(events), events[0])
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"relative directory": func(c *Config) { c.Dir = "here" },
		"no idle time":       func(c *Config) { c.Idle = 0 },
		"tiny segments":      func(c *Config) { c.SegmentBytes = 1 },
	} {
		cfg := DefaultConfig()
		cfg.Dir = "/dir"
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&cfg)
		if cfg.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
