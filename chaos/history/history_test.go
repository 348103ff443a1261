package history

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestWhatIsRecordedIsRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "trial")
	r, err := Create(dir, Meta{Seed: 7, Profile: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	r.Operation(Operation{Client: "b", N: 1, Action: Get, Call: 20, Return: 30, Outcome: Done})
	r.Operation(Operation{Client: "a", N: 1, Action: Apply, Call: 10, Return: 40, Outcome: Unknown, Objects: []string{"x"}, Values: []string{"a-1"}})
	r.Sight(Sight{Watcher: "w", N: 1, At: 5, SnapshotBegin: true, Put: []Object{{Name: "x", Value: "a-1", Revision: 3}}})
	r.LogRun(LogRun{Follower: "f", Stream: 1, From: 1, To: 3})
	r.Fault(Fault{Step: 1, Kind: "kill", Begun: 1, Struck: 2, Quorum: true})
	r.Leadership(Leadership{Server: "server-1", Term: 2, Gained: true, At: 3})
	r.Look(Look{Agent: "agent-1", At: 4, Connected: true})
	r.Line(Line{Process: "server-1", Kind: "panic"})
	r.Replica(Replica{Server: "server-1", Revision: 9})
	r.Sample(Sample{Process: "server-1", At: 9, RSS: 1 << 20})
	r.Standing(Standing{Server: "server-1", At: 9, Index: 7})
	r.Beat(Beat{Workload: "p", What: BeatStart, At: 8})
	if err := os.WriteFile(filepath.Join(r.MessagesDir(), "w-1.jsonl"), []byte(`{"workload":"w","n":1,"what":"hello","at":7}`+"\n"+`{"workl`), 0o644); err != nil {
		t.Fatal(err)
	}
	r.Update(func(m *Meta) { m.Ended = 99 })
	if _, err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, Meta{}); !errors.Is(err, ErrExists) {
		t.Errorf("a second history in one directory: %v", err)
	}
	h, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !h.Meta.Whole || h.Meta.Ended != 99 || len(h.Cut) > 0 {
		t.Errorf("meta %+v, cut %v", h.Meta, h.Cut)
	}
	if len(h.Operations) != 2 || h.Operations[0].Client != "a" || h.Operations[0].Values[0] != "a-1" {
		t.Errorf("operations %+v", h.Operations)
	}
	if len(h.Sights) != 1 || len(h.LogRuns) != 1 || len(h.Faults) != 1 || len(h.Leaderships) != 1 || len(h.Looks) != 1 || len(h.Lines) != 1 || len(h.Replicas) != 1 || len(h.Samples) != 1 || len(h.Standings) != 1 || len(h.Beats) != 1 || len(h.Messages) != 1 || h.Messages[0].What != MessageHello {
		t.Errorf("read %+v", h)
	}
}

func TestAHistoryThatIsNotWholeSaysSo(t *testing.T) {
	for _, tc := range []struct {
		name   string
		damage func(dir string) error
		cut    string
		err    error
	}{
		{name: "the end of a file is missing", cut: operationsFile, damage: func(dir string) error {
			return os.WriteFile(filepath.Join(dir, operationsFile), []byte(`{"client":"a","n":1}`+"\n"+`{"client":"a`), 0o644)
		}},
		{name: "the end of a killed workload's beats is missing", damage: func(dir string) error {
			return os.WriteFile(filepath.Join(dir, beatsDir, "w.jsonl"), []byte(`{"workload":"w"}`+"\n"+`{"work`), 0o644)
		}},
		{name: "the recorder was killed", cut: metaFile, damage: func(dir string) error {
			return os.WriteFile(filepath.Join(dir, metaFile), []byte(`{"version":1,"whole":false}`), 0o644)
		}},
		{name: "a line is damaged", err: ErrDamaged, damage: func(dir string) error {
			return os.WriteFile(filepath.Join(dir, faultsFile), []byte("{]\n{}\n"), 0o644)
		}},
		{name: "another version", err: ErrVersion, damage: func(dir string) error {
			return os.WriteFile(filepath.Join(dir, metaFile), []byte(`{"version":99}`), 0o644)
		}},
		{name: "no history", err: ErrNone, damage: func(dir string) error { return os.Remove(filepath.Join(dir, metaFile)) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "trial")
			r, err := Create(dir, Meta{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if err := tc.damage(dir); err != nil {
				t.Fatal(err)
			}
			h, err := Read(dir)
			if !errors.Is(err, tc.err) {
				t.Fatalf("read: %v", err)
			}
			if err != nil {
				return
			}
			if tc.cut == "" && len(h.Cut) > 0 || tc.cut != "" && (len(h.Cut) != 1 || h.Cut[0] != tc.cut) {
				t.Errorf("cut %v, want %q", h.Cut, tc.cut)
			}
		})
	}
}
