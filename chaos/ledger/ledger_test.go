package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/plan"
)

func soak(seed uint64, change func(*Soak)) *Soak {
	s := &Soak{
		Commit: "0123456789ab", Seed: seed, Profile: "soak", Operations: 1000,
		Faults:   map[string]int64{"kill-leader": 10, "cut-in": 2},
		OutageMs: map[string]Outage{"kill-leader": {N: 10, P50: 20, P99: 40, Max: 50}},
		Trials:   3, Minutes: 5,
	}
	if change != nil {
		change(s)
	}
	return s
}

func TestWhatIsAppendedIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	if soaks, err := Read(path); err != nil || len(soaks) != 0 {
		t.Fatalf("a ledger that does not exist: %v, %v", soaks, err)
	}
	var all sync.WaitGroup
	for seed := range uint64(8) {
		all.Go(func() {
			if err := Append(path, soak(seed, nil)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	soaks, err := Read(path)
	if err != nil || len(soaks) != 8 {
		t.Fatalf("read %d soaks: %v", len(soaks), err)
	}
	if s := soaks[0]; s.Commit != "0123456789ab" || s.Faults["kill-leader"] != 10 || s.OutageMs["kill-leader"].Max != 50 || s.Violations == nil {
		t.Errorf("read %+v", s)
	}
	text, _ := os.ReadFile(path)
	for _, field := range required {
		if !strings.Contains(string(text), `"`+field+`":`) {
			t.Errorf("a line has no %s: %s", field, text)
		}
	}
}

func TestALedgerThatIsNotUnderstoodIsRefused(t *testing.T) {
	const whole = `{"commit":"0123456","seed":1,"profile":"soak","faults":{},"operations":1,"virtual_hours":0,"violations":{},"outage_ms":{}}` + "\n"
	for _, tc := range []struct{ name, text, says string }{
		{"the last line was cut off", whole + whole[:40], "line 2 was cut off"},
		{"a line is no JSON", "{]\n", "line 1"},
		{"an unknown field", strings.Replace(whole, `"seed"`, `"speed":2,"seed"`, 1), "speed"},
		{"a field is missing", strings.Replace(whole, `"violations":{},`, "", 1), "it has no violations"},
		{"a field is null", strings.Replace(whole, `"violations":{}`, `"violations":null`, 1), "it has no violations"},
		{"an empty line", whole + "\n" + whole, "line 2"},
		{"two on a line", whole[:len(whole)-1] + whole, "line 1"},
		{"no commit", strings.Replace(whole, "0123456", "today", 1), "commit"},
		{"a negative count", strings.Replace(whole, `"faults":{}`, `"faults":{"kill-all":-1}`, 1), "-1 faults"},
		{"no violations that are told", strings.Replace(whole, `"violations":{}`, `"violations":{"S1":0}`, 1), "leave out"},
		{"percentiles that fall", strings.Replace(whole, `"outage_ms":{}`, `"outage_ms":{"kill-all":{"p50":3,"p99":2,"max":4}}`, 1), "no percentiles"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger.jsonl")
			if err := os.WriteFile(path, []byte(tc.text), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := Read(path); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("read: %v", err)
			}
			if err := Append(path, soak(1, nil)); !errors.Is(err, ErrDamaged) {
				t.Errorf("append: %v", err)
			}
			if text, _ := os.ReadFile(path); string(text) != tc.text {
				t.Errorf("the damaged ledger was changed: %s", text)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	if err := Append(path, soak(1, func(s *Soak) { s.Commit = "unknown" })); err == nil {
		t.Error("a soak of an unknown commit was taken in")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a refused soak left a file")
	}
}

func TestTotalsKeepRealAndSimulatedApart(t *testing.T) {
	total := Total([]Soak{
		*soak(1, nil),
		*soak(2, func(s *Soak) { s.OutageMs["kill-leader"] = Outage{N: 5, P50: 10, P99: 90, Max: 95} }),
		*soak(3, func(s *Soak) { s.VirtualHours = 12; s.OutageMs["kill-leader"] = Outage{P50: 1, P99: 1000, Max: 5000} }),
	})
	if total.Real.All() != 24 || total.Simulated.All() != 12 || total.Real.Operations != 2000 || total.VirtualHours != 12 {
		t.Errorf("totals %+v", total)
	}
	if o := total.Outages["kill-leader"]; o != (Outage{N: 15, P50: 20, P99: 90, Max: 95}) {
		t.Errorf("worst outages %+v", o)
	}
	if n := total.Real.Of(partitions...); n != 4 {
		t.Errorf("%d partitions", n)
	}
}

func TestOnlySoaksAfterTheLastViolationCount(t *testing.T) {
	broken := func(s *Soak) { s.Violations = map[string]int64{"S1": 2} }
	soaks := []Soak{*soak(1, nil), *soak(2, broken), *soak(3, nil), *soak(4, nil)}
	if since := SinceViolation(soaks); len(since) != 2 || since[0].Seed != 3 {
		t.Errorf("since the violation: %+v", since)
	}
	if since := SinceViolation(soaks[:2]); len(since) != 0 {
		t.Errorf("after the violation there is nothing: %+v", since)
	}
	if since := SinceViolation(soaks[2:]); len(since) != 2 {
		t.Errorf("without one all count: %+v", since)
	}
	out := &strings.Builder{}
	if err := Write(out, soaks); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 violations were found: S1 2", "the leader killed", "40", "20", "600", "not reached", "kill-leader", "p50 30, p99 150, max 1000"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}

func TestGoals(t *testing.T) {
	reached := Total([]Soak{
		{Commit: "0123456", Profile: "soak", Operations: 2_000_000, Faults: map[string]int64{
			string(plan.KillLeader): 2500, string(plan.CutIn): 100, string(plan.Ring): 200,
			string(plan.PowerAll): 50, string(plan.PowerServer): 100, string(plan.StallDisk): 100, string(plan.FlipBits): 60,
		}},
		{Commit: "0123456", Profile: "simulate", VirtualHours: 200, Faults: map[string]int64{string(plan.KillLeader): 9}},
	})
	for _, g := range reached.Goals() {
		if !g.Reached() {
			t.Errorf("not reached: %+v", g)
		}
	}
	nothing := Total(nil)
	for _, g := range nothing.Goals() {
		if g.Reached() != g.AtMost {
			t.Errorf("of nothing: %+v", g)
		}
	}
}

func TestPercentilesAreFiguresThatWereMeasured(t *testing.T) {
	for _, tc := range []struct {
		ms   []float64
		want Outage
	}{
		{[]float64{7}, Outage{N: 1, P50: 7, P99: 7, Max: 7}},
		{[]float64{4, 1, 3, 2}, Outage{N: 4, P50: 2, P99: 4, Max: 4}},
	} {
		if got := Percentiles(tc.ms); got != tc.want {
			t.Errorf("of %v: %+v, want %+v", tc.ms, got, tc.want)
		}
	}
}

// What is committed must be readable, and of faults that there are.
func TestTheCommittedLedgerIsWhole(t *testing.T) {
	soaks, err := Read(filepath.Join("..", filepath.Base(File)))
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range soaks {
		if strings.HasSuffix(s.Commit, "-dirty") {
			t.Errorf("line %d is of a source that nobody has", i+1)
		}
	}
}
