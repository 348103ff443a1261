package traffic_test

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/traffic"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestTrafficInABubbleIsRecordedWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		config := mustServe(t, s)
		config.Load.PauseUs = 20_000
		tr, err := traffic.Start(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Stop()
		select {
		case <-time.After(20 * time.Second):
		case <-t.Context().Done():
		}
		h := mustEnd(t, tr, config.Recorder)
		checkSessions(t, h)
		checkValues(t, h)
		checkSights(t, h)
		// The traffic is over, but a call of its may still be about to end.
		s.mu.Lock()
		defer s.mu.Unlock()

		outcomes, actions, codes := map[history.Outcome]int{}, map[history.Action]int{}, map[string]int{}
		replayed := 0
		for _, op := range h.Operations {
			outcomes[op.Outcome]++
			actions[op.Action]++
			codes[op.Code]++
			if op.Replayed {
				replayed++
			}
		}
		t.Logf("%v %v %v, %d replayed, %d silences, %d watches broken off", outcomes, actions, codes, replayed, s.silences, s.broken)
		for _, outcome := range []history.Outcome{history.Done, history.Refused, history.Unknown} {
			if outcomes[outcome] == 0 {
				t.Errorf("nothing was %s", outcome)
			}
		}
		for _, action := range []history.Action{history.Apply, history.Delete, history.Get, history.List} {
			if actions[action] == 0 {
				t.Errorf("nobody called %s", action)
			}
		}
		if replayed == 0 || s.broken == 0 || s.silences == 0 {
			t.Errorf("%d answers were replayed, %d watches broken off, %d calls not answered", replayed, s.broken, s.silences)
		}
		// What was acknowledged was done, and what was refused was not.
		for _, op := range h.Operations {
			if op.Request == "" {
				continue
			}
			id, err := hex.DecodeString(op.Request)
			if err != nil {
				t.Fatal(err)
			}
			done := s.answers[string(id)].GetHeader().GetRevision()
			if op.Outcome == history.Done && done != op.Revision || op.Outcome == history.Refused && done != 0 {
				t.Errorf("%+v: it was done at revision %d", op, done)
			}
		}
	})
}

func TestTrafficThatNobodyAnswersEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := mustServe(t, nil)
		tr, err := traffic.Start(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := tr.Settle(ctx); !errors.Is(err, traffic.ErrUnsettled) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("traffic that nobody answers came to rest: %v", err)
		}
		tr.Stop()
		h, err := config.Recorder.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range h.Operations {
			if op.Outcome == history.Done {
				t.Errorf("%+v was done by nobody", op)
			}
		}
		if len(h.Operations) == 0 || tr.Counts().Failed != int64(len(h.Operations)) {
			t.Errorf("%d operations were recorded, %+v", len(h.Operations), tr.Counts())
		}
	})
}

func TestTrafficThatCannotBeIsRefused(t *testing.T) {
	good := func() traffic.Config {
		return traffic.Config{
			Connect: func(...string) (*client.Client, error) { return nil, errors.New("no client") },
			Servers: []traffic.Server{{Name: "server-1", Endpoint: "192.0.2.1:1"}}, Load: plan.Load{Writers: 1},
			Rand: rand.New(rand.NewPCG(1, 2)), Recorder: history.InMemory(history.Meta{}), Clock: history.ClockSince(time.Now()),
		}
	}
	for name, change := range map[string]func(*traffic.Config){
		"no servers":        func(c *traffic.Config) { c.Servers = nil },
		"a nameless server": func(c *traffic.Config) { c.Servers[0].Name = "" },
		"no recorder":       func(c *traffic.Config) { c.Recorder = nil },
		"a negative number": func(c *traffic.Config) { c.Load.Readers = -1 },
		"probes, no agents": func(c *traffic.Config) {
			c.Load.Probes = 1
			c.Probe = func(_, _, _ string) *argosyv1.Workload { return nil }
		},
		"a negative patience": func(c *traffic.Config) { c.Patience = -1 },
	} {
		c := good()
		change(&c)
		if tr, err := traffic.Start(t.Context(), c); !errors.Is(err, traffic.ErrConfig) {
			tr.Stop()
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := traffic.Start(t.Context(), good()); err == nil || errors.Is(err, traffic.ErrConfig) {
		t.Errorf("without a client: %v", err)
	}
}

// mustServe serves inside the bubble, and returns traffic of every sort that
// goes there. A nil server takes connections and never says anything.
func mustServe(t *testing.T, s *server) traffic.Config {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	if s == nil {
		t.Cleanup(func() { _ = listener.Close() })
	} else {
		served := grpc.NewServer()
		argosyv1.RegisterClusterServiceServer(served, s)
		var group sync.WaitGroup
		group.Go(func() { _ = served.Serve(listener) })
		t.Cleanup(func() { served.Stop(); group.Wait() })
	}
	return traffic.Config{
		Connect: func(endpoints ...string) (*client.Client, error) {
			return client.New(client.Config{
				Endpoints: endpoints,
				Dial:      func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) },
			})
		},
		Servers: slices.Repeat([]traffic.Server{{Name: "server-1", Endpoint: "192.0.2.1:1"}}, 2),
		Load:    everybody, Rand: rand.New(rand.NewPCG(5, 6)), Recorder: history.InMemory(history.Meta{Simulated: true}),
		Clock: history.ClockSince(time.Now()),
	}
}
