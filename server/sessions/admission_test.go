package sessions

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestThousandsOfAgentsAreToldToSpread(t *testing.T) {
	cfg := DefaultConfig()
	for agents, want := range map[int]time.Duration{
		0: 0, 10: 0, 50: 0, 510: 300 * time.Millisecond, 5100: 3 * time.Second, 100_000: 3 * time.Second,
	} {
		if spread := cfg.spread(agents); spread != want {
			t.Errorf("%d agents spread over %v, want %v", agents, spread, want)
		}
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.lead(1)
		var last *agent
		for i := range 100 {
			last = w.agent(fmt.Sprintf("a%d", i))
			last.connect()
		}
		if spread := last.welcome().GetReconnectSpreadMs(); spread != 58 {
			t.Errorf("the hundredth agent is told to spread over %d ms, want 58", spread)
		}
	})
}

func TestOnlyAFewSessionsBeginAtATimeAndNoneWaitsForLong(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lead(1)
		m, _ := w.service.current()
		for range m.cfg.BeginAtOnce {
			if err := m.admission.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		first, second := w.agent("a1"), w.agent("a2")
		first.open()
		w.pass(m.cfg.BeginWait - time.Second)
		second.open()
		w.settle()
		if first.welcome() != nil || second.welcome() != nil {
			t.Fatal("a session began out of its turn")
		}
		w.pass(time.Second)
		e, ok := argosyv1.AsError(first.ended())
		if !ok || e.Code() != argosyv1.ErrorCode_ERROR_CODE_OVERLOADED || e.Detail.GetRetryAfterMs() == 0 {
			t.Fatalf("an agent that has waited for long was answered %v", first.ended())
		}
		m.admission.leave()
		w.settle()
		if second.welcome() == nil {
			t.Fatalf("the next in turn was not welcomed: %v", second.stream.err)
		}
		first.connect()
		for range m.cfg.BeginAtOnce - 1 {
			m.admission.leave()
		}
	})
}

// An agent that loses its session while it waits must leave its place in the
// line.
func TestAnAgentThatGoesAwayWhileItWaitsHoldsUpNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lead(1)
		m, _ := w.service.current()
		for range m.cfg.BeginAtOnce {
			_ = m.admission.enter(t.Context())
		}
		gone, stays := w.agent("a1"), w.agent("a2")
		gone.open()
		w.settle()
		stays.open()
		w.settle()
		gone.lose()
		m.admission.leave()
		w.settle()
		if stays.welcome() == nil {
			t.Fatalf("the next in turn was not welcomed: %v", stays.stream.err)
		}
		for range m.cfg.BeginAtOnce - 1 {
			m.admission.leave()
		}
	})
}

func TestManyEventsOfAKindAreCountedInsteadOfWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := &tally{log: slog.New(slog.NewTextHandler(&out, nil)), summary: "more of them"}
		for range 5000 {
			c.info("one of them")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if lines := strings.Count(out.String(), "one of them"); lines != talkative {
			t.Errorf("%d lines", lines)
		}
		if !strings.Contains(out.String(), `msg="more of them" count=4980`) {
			t.Errorf("no summary in %q", out.String())
		}
		out.Reset()
		c.info("one of them")
		if !strings.Contains(out.String(), "one of them") {
			t.Error("a single event after that is not written")
		}
	})
}
