package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

func mustPage(t *testing.T, h *history.History, v *check.Verdict) string {
	t.Helper()
	out := &strings.Builder{}
	if err := Page(out, h, v, nil); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWriteLeavesAPageAndASummary(t *testing.T) {
	dir := t.TempDir()
	h := made(7, 75*time.Second, 5000, 40)
	p, err := plan.MakeFor(7, plan.CI, 75*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(filepath.Join(dir, history.PlanFile)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s, err := Write(dir, h, held(h))
		if err != nil {
			t.Fatal(err)
		}
		if s.Judgement != Held || s.Checked != 5000 || sum(s.Faults) != 38 || sum(s.Skipped) != 2 || len(s.OutageMs) == 0 {
			t.Errorf("summary %+v", s)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, SummaryFile))
	if err != nil {
		t.Fatal(err)
	}
	var s Summary
	if err := json.Unmarshal(text, &s); err != nil || s.Judgement != Held || s.Replay != "argosy-chaos run --profile ci --seed 7 --for 1m15s" {
		t.Errorf("summary on disk: %+v, %v", s, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 3 {
		t.Errorf("left in the directory: %v", entries)
	}
}

func TestAPlanThatNoSeedMakesIsReplayedFromItsFile(t *testing.T) {
	p, err := plan.Make(7, plan.Smoke)
	if err != nil {
		t.Fatal(err)
	}
	p.Steps = p.Steps[:1]
	h := made(7, 20*time.Second, 500, 4)
	if s := Summarize(h, held(h), p); s.Replay != "argosy-chaos run --plan plan.json" {
		t.Errorf("replayed by %q", s.Replay)
	}
	out := &strings.Builder{}
	if err := Page(out, h, held(h), p); err != nil || !strings.Contains(out.String(), "&#34;steps&#34;: [") {
		t.Errorf("the page does not have the plan: %v", err)
	}
}

func TestHeldHasToBeEarned(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(h *history.History, v *check.Verdict) *check.Verdict
		want   Judgement
		says   string
	}{
		{"everything is well", func(_ *history.History, v *check.Verdict) *check.Verdict { return v }, Held, "nothing was wrong"},
		{"no checker has run", func(*history.History, *check.Verdict) *check.Verdict { return nil }, NotJudged, "no checker has run"},
		{"no operation was judged", func(_ *history.History, v *check.Verdict) *check.Verdict { v.Operations = 0; return v }, NotJudged, "no operation was judged"},
		{"a checker gave up", func(_ *history.History, v *check.Verdict) *check.Verdict {
			v.Unjudged = map[string]string{"S4": "it took too long"}
			return v
		}, NotJudged, "S4 could not be judged: it took too long"},
		{"the history was cut off", func(h *history.History, v *check.Verdict) *check.Verdict {
			h.Cut = []string{"operations.jsonl"}
			return v
		}, NotJudged, "operations.jsonl was cut off"},
		{"the trial failed", func(h *history.History, v *check.Verdict) *check.Verdict {
			h.Meta.Error = "no server came up"
			return v
		}, NotJudged, "no server came up"},
		{"a fault was never healed", func(h *history.History, v *check.Verdict) *check.Verdict {
			h.Faults[3].Healed, h.Faults[3].Error = 0, "still frozen"
			return v
		}, NotJudged, "was never healed: still frozen"},
		{"something was wrong, and something was not judged", func(h *history.History, _ *check.Verdict) *check.Verdict {
			h.Cut = []string{"operations.jsonl"}
			return violated(h)
		}, Violated, "S1 was violated 3 times"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := made(1, 20*time.Second, 500, 10)
			v := tc.change(h, held(h))
			if s := Summarize(h, v, nil); s.Judgement != tc.want {
				t.Errorf("judged %q for %q", s.Judgement, s.Reasons)
			}
			page := mustPage(t, h, v)
			if !strings.Contains(page, tc.says) {
				t.Errorf("the page does not say %q", tc.says)
			}
			if strings.Contains(page, "✓ Held") != (tc.want == Held) {
				t.Errorf("the page of a trial that was %s", tc.want)
			}
		})
	}
}

func TestThePageNeedsNoNetwork(t *testing.T) {
	h := made(3, 75*time.Second, 2000, 30)
	page := mustPage(t, h, violated(h))
	if found := regexp.MustCompile(`(?i)(src|href)=|https?://|@import|url\(`).FindString(page); found != "" {
		t.Errorf("the page refers to something else: %s", found)
	}
	// What a history says is text, whatever it contains.
	h.Faults[0].Detail = `</script><script>alert(1)</script>`
	if page := mustPage(t, h, nil); strings.Contains(page, "<script>alert") {
		t.Error("text of a history became part of the page")
	}
}

func TestThePageIsWellFormedAndSaysTheVerdictFirst(t *testing.T) {
	h := made(3, 75*time.Second, 2000, 30)
	page := mustPage(t, h, violated(h))
	var open []string
	single := []string{"meta", "br", "path", "circle"}
	body := regexp.MustCompile(`(?s)<(style|script)>.*?</(style|script)>`).ReplaceAllString(page, "")
	for _, tag := range regexp.MustCompile(`<(/?)([a-z0-9]+)[^>]*>`).FindAllStringSubmatch(body, -1) {
		switch end, name := tag[1] != "", tag[2]; {
		case slices.Contains(single, name):
		case !end:
			open = append(open, name)
		case len(open) == 0 || open[len(open)-1] != name:
			t.Fatalf("</%s> ends none of %v", name, open)
		default:
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("never ended: %v", open)
	}
	last := -1
	for _, part := range []string{"✗ Violated", "What was wrong", "is in no replica &lt;&amp;&gt;", "What happened around it", "Timeline", "Outages of writes", "What was checked", "argosy-chaos replay DIR"} {
		at := strings.Index(page, part)
		if at <= last {
			t.Errorf("%q is at %d, after what is at %d", part, at, last)
		}
		last = at
	}
	for _, name := range []string{"server-1", "server-2", "server-3", "agent-1", "agent-2"} {
		if !strings.Contains(page, `<div class="name">`+name) {
			t.Errorf("%s has no row", name)
		}
	}
}

func TestALargeTrialMakesNoLargePage(t *testing.T) {
	for _, tc := range []struct {
		name               string
		length             time.Duration
		operations, faults int
	}{
		{"of a hundred thousand operations", 5 * time.Minute, 100_000, 250},
		{"of a virtual day", 24 * time.Hour, 100_000, 13_000},
	} {
		h := made(9, tc.length, tc.operations, tc.faults)
		if page := mustPage(t, h, held(h)); len(page) > 2<<20 {
			t.Errorf("a trial %s makes a page of %d bytes", tc.name, len(page))
		}
	}
}

func TestATrialOfNothingHasAPage(t *testing.T) {
	page := mustPage(t, &history.History{}, nil)
	for _, want := range []string{"? Not judged", "no checker has run", "no faults were done"} {
		if !strings.Contains(page, want) {
			t.Errorf("it does not say %q", want)
		}
	}
}

func TestEveryKindHasAFamily(t *testing.T) {
	for _, kind := range plan.Kinds() {
		if classes[string(kind)] == "" {
			t.Errorf("%s has none", kind)
		}
	}
}

func TestAnOutageIsWhatReachesIntoAFault(t *testing.T) {
	const ms = 1000
	for _, tc := range []struct {
		name   string
		acks   []history.Micros
		faults []history.Fault
		want   []float64
	}{
		{"nothing was missing", []history.Micros{0, 1 * ms, 2 * ms, 3 * ms}, []history.Fault{{Begun: 1 * ms, Healed: 2 * ms, Quorum: true}}, []float64{1}},
		{"the gap is around it", []history.Micros{0, 100 * ms, 600 * ms}, []history.Fault{{Begun: 200 * ms, Healed: 300 * ms, Quorum: true}}, []float64{500}},
		{"the gap begins in it", []history.Micros{0, 250 * ms, 600 * ms}, []history.Fault{{Begun: 200 * ms, Healed: 300 * ms, Quorum: true}}, []float64{350}},
		{"the gap begins soon after it", []history.Micros{0, 400 * ms, 900 * ms}, []history.Fault{{Begun: 200 * ms, Healed: 300 * ms, Quorum: true}}, []float64{500}},
		{"the gap begins long after it", []history.Micros{0, 210 * ms, 1400 * ms, 9000 * ms}, []history.Fault{{Begun: 200 * ms, Healed: 300 * ms, Quorum: true}}, []float64{1190}},
		{"the gap is the next one's", []history.Micros{0, 200 * ms, 399 * ms, 800 * ms}, []history.Fault{
			{Begun: 200 * ms, Healed: 300 * ms, Quorum: true}, {Begun: 400 * ms, Healed: 500 * ms, Quorum: true},
		}, []float64{200, 401}},
		{"there was no quorum", []history.Micros{0, 200 * ms, 5000 * ms}, []history.Fault{{Begun: 200 * ms, Healing: 4500 * ms, Healed: 4900 * ms}}, []float64{500}},
		{"several took the quorum", []history.Micros{0, 200 * ms, 5000 * ms}, []history.Fault{
			{Begun: 200 * ms, Healing: 4500 * ms, Healed: 4900 * ms}, {Begun: 300 * ms, Healing: 400 * ms, Healed: 500 * ms},
		}, nil},
		{"it was not done", []history.Micros{0, 200 * ms, 5000 * ms}, []history.Fault{
			{Begun: 200 * ms, Healed: 300 * ms, Quorum: true, Skipped: true}, {Begun: 200 * ms, Healed: 300 * ms, Quorum: true, Error: "no leader"},
		}, nil},
		{"nothing was written", []history.Micros{0}, []history.Fault{{Begun: 200 * ms, Healed: 300 * ms, Quorum: true}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &history.History{Faults: tc.faults}
			for i := range h.Faults {
				h.Faults[i].Struck = h.Faults[i].Begun
			}
			for _, at := range tc.acks {
				h.Operations = append(h.Operations, history.Operation{Action: history.Apply, Outcome: history.Done, Return: at})
			}
			var got []float64
			for _, o := range outages(h) {
				got = append(got, o.ms)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

func TestConvergenceCountsFromTheEndOfAFaultAlone(t *testing.T) {
	look := func(ms int64, good bool) history.Look {
		return history.Look{Agent: "a", At: history.Micros(ms * 1000), Connected: good}
	}
	h := &history.History{
		Looks: []history.Look{look(0, true), look(100, false), look(200, false), look(300, true), look(500, false), look(700, true)},
		Faults: []history.Fault{
			{Kind: "a", Begun: 50_000, Struck: 50_000, Healed: 150_000},
			{Kind: "another one begins meanwhile", Begun: 400_000, Struck: 400_000, Healed: 510_000},
			{Kind: "b", Begun: 600_000, Struck: 600_000, Healed: 610_000},
		},
	}
	if ms := convergences(h); !slices.Equal(ms, []float64{150, 90}) {
		t.Errorf("%v", ms)
	}
}

func TestLeadersThatWereKilledLeadUntilTheNext(t *testing.T) {
	h := &history.History{Meta: history.Meta{Began: 0, Ended: 1000}, Leaderships: []history.Leadership{
		{Server: "a", Term: 1, Gained: true, At: 10}, {Server: "b", Term: 2, Gained: true, At: 50},
		{Server: "b", Term: 2, At: 80}, {Server: "a", Term: 3, Gained: true, At: 90},
	}}
	tl := newTimeline(h)
	if got := tl.leads("a"); len(got) != 2 || got[0].to != 50 || got[1].to != 1000 {
		t.Errorf("a led %+v", got)
	}
	if got := tl.leads("b"); len(got) != 1 || got[0].to != 80 {
		t.Errorf("b led %+v", got)
	}
}

func TestWhatTheMachineDidIsToldBesideAFinding(t *testing.T) {
	h := &history.History{Meta: history.Meta{Ended: 10_000_000}, Stalls: []history.Stall{
		{Who: "server-1", From: 4_000_000, To: 4_100_000, Micros: 60_000}, {Who: "server-2", From: 4_000_000, To: 4_100_000, Micros: 1000},
		{Who: "server-3", From: 8_000_000, To: 8_100_000, Micros: 60_000},
	}}
	var told []string
	for _, e := range newTimeline(h).around(5_000_000) {
		told = append(told, e.What)
	}
	if len(told) != 2 || !strings.Contains(told[0], "kept server-1 waiting") {
		t.Errorf("%q", told)
	}
}
