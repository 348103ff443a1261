package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/trial"
)

func TestCIRefusesWhatCannotBeDone(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"no program with bugs":    {[]string{"--planted", program + ".none"}, "make planted"},
		"no program":              {[]string{"--planted", program, "--planted-chaos", program, "--binary", ""}, "make build"},
		"no hours":                {[]string{"--planted", program, "--planted-chaos", program, "--binary", program, "--hours", "0"}, "simulate 0 hours"},
		"not even once":           {[]string{"--times", "0"}, "--times 0"},
		"something that is not":   {[]string{"everything"}, "--help"},
		"a seed that is a letter": {[]string{"--seed", "x"}, "--help"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, out, err := say(t, append([]string{"ci", "--dir", dir}, tc.args...)...); code != ExitUnjudged || !strings.Contains(err, tc.says) {
				t.Errorf("exit code %d:\n%s%s", code, out, err)
			}
		})
	}
}

// Where only the log of a run is kept, it must do.
func TestWhatDidNotHoldIsToldInFull(t *testing.T) {
	dir := mustTrial(t, history.Meta{Seed: 7, Profile: "ci"}, 1)
	p, err := plan.Make(7, plan.CI)
	if err != nil {
		t.Fatal(err)
	}
	logs := filepath.Join(dir, history.LogDir)
	long := strings.Repeat("much ", 200)
	for _, err := range []error{
		p.Write(filepath.Join(dir, history.PlanFile)),
		os.MkdirAll(logs, 0o755),
		os.WriteFile(filepath.Join(logs, "server-1.log"), []byte("the first line\n"+strings.Repeat("another\n", 20)+long+"\nthe last line\n"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	result, err := trial.Judge(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &app{out: &out}
	a.tellAll(result)
	for _, want := range []string{"VIOLATED S1: a write was acknowledged", "writer-0 #2", "end of server-1.log", "the last line"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not tell %q", want)
		}
	}
	if strings.Contains(out.String(), "the first line") || strings.Contains(out.String(), long) {
		t.Error("it tells all that the log has")
	}
	_, told, _ := strings.Cut(out.String(), "  plan: ")
	told, _, _ = strings.Cut(told, "\n")
	again, err := plan.Decode([]byte(told))
	if err != nil {
		t.Fatalf("the plan cannot be read again: %v", err)
	}
	want, _ := json.Marshal(p)
	if got, _ := json.Marshal(again); !bytes.Equal(got, want) {
		t.Errorf("the plan is told as\n%s\nand is\n%s", got, want)
	}
	if t.Failed() {
		t.Logf("it tells\n%s", &out)
	}
}
