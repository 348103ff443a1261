package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/report"
)

// mustTrial writes the record of a trial in which two values were acknowledged,
// and one replica has some of them.
func mustTrial(t *testing.T, meta history.Meta, has int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "trial")
	r, err := history.Create(dir, meta)
	if err != nil {
		t.Fatal(err)
	}
	replica := history.Replica{Server: "server-1", ID: "id-1", Revision: 12, Hash: "h", First: 1, Last: 12}
	for n := range 2 {
		at := history.Micros(1000 * (n + 1))
		object := history.Object{Name: []string{"a", "b"}[n], Value: []string{"w-1", "w-2"}[n], Revision: uint64(10 + n), Created: uint64(10 + n)}
		request := strings.Repeat([]string{"01", "02"}[n], 16)
		r.Operation(history.Operation{
			Client: "writer-0", N: int64(n + 1), Action: history.Apply, Request: request, Objects: []string{object.Name}, Values: []string{object.Value},
			Call: at, Return: at + 500, Outcome: history.Done, Revision: object.Revision, AnsweredBy: "id-1", Term: 2, Changes: []string{"created"},
		})
		if n < has {
			replica.Objects = append(replica.Objects, object)
			replica.Entries = append(replica.Entries, history.Entry{
				Index: object.Revision, Term: 2, Sum: object.Value, Requests: []string{request}, Put: []history.Object{object},
			})
		}
	}
	r.Replica(replica)
	if _, err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCheckTellsAViolationFromWhatCannotBeJudged(t *testing.T) {
	lost := mustTrial(t, history.Meta{Seed: 7, Profile: "ci"}, 1)
	failed := mustTrial(t, history.Meta{Seed: 7, Profile: "ci", Error: "somebody had enough"}, 2)
	cut := mustTrial(t, history.Meta{Seed: 7, Profile: "ci"}, 2)
	// What comes last in a trial was never written.
	meta := filepath.Join(cut, "meta.json")
	text, err := os.ReadFile(meta)
	if err == nil {
		err = os.WriteFile(meta, []byte(strings.Replace(string(text), `"whole": true`, `"whole": false`, 1)), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, dir, says string
		code            int
	}{
		{"a write was lost", lost, "VIOLATED", ExitViolated},
		{"the trial failed", failed, "somebody had enough", ExitUnjudged},
		{"the history was cut off", cut, "cut off", ExitUnjudged},
		{"there is no history", t.TempDir(), "no history", ExitUnjudged},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, out, err := say(t, "check", tc.dir)
			if code != tc.code || !strings.Contains(out+err, tc.says) {
				t.Errorf("exit code %d:\n%s%s", code, out, err)
			}
		})
	}
	if code, out, err := say(t, "report", lost); code != ExitHeld || !strings.Contains(out, filepath.Join(lost, report.PageFile)) {
		t.Errorf("report: exit code %d:\n%s%s", code, out, err)
	}
	if _, err := os.Stat(filepath.Join(lost, report.PageFile)); err != nil {
		t.Error(err)
	}
	code, out, _ := say(t, "list", "trials", filepath.Dir(lost))
	if code != ExitHeld || !strings.Contains(out, "violated") || !strings.Contains(out, lost) {
		t.Errorf("list trials: exit code %d:\n%s", code, out)
	}
}

func TestPlansArePrintedAsTheyAreRead(t *testing.T) {
	code, out, err := say(t, "plan", "--seed", "5", "--profile", "smoke")
	if code != ExitHeld {
		t.Fatalf("exit code %d: %s", code, err)
	}
	printed, decoded := plan.Decode([]byte(out))
	if decoded != nil || printed.Seed != 5 || len(printed.Steps) == 0 {
		t.Errorf("%+v, error %v", printed, decoded)
	}
	file := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(file, []byte(out), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, again, err := say(t, "plan", "--plan", file); again != out {
		t.Errorf("printed again as %s%s", again, err)
	}
	for _, kind := range plan.Kinds() {
		if _, out, _ := say(t, "list", "faults"); !strings.Contains(out, string(kind)) {
			t.Errorf("list faults has no %s", kind)
		}
	}
}

func TestTrialsThatCannotBeAreRefused(t *testing.T) {
	old := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(old, []byte(`{"version":99,"unheard":"of"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"a plan of another version":       {[]string{"replay", old}, "it has 99"},
		"a plan that is not there":        {[]string{"replay", old + ".none"}, "name the file of a plan"},
		"no times":                        {[]string{"replay", old, "--times", "0"}, "--times 0"},
		"no plan":                         {[]string{"shrink"}, "--help"},
		"a plan and a seed":               {[]string{"run", "--plan", old, "--seed", "3"}, "contradict"},
		"a program that is not there":     {[]string{"run", "--binary", filepath.Join(t.TempDir(), "argosy"), "--dir", t.TempDir()}, "make build"},
		"a profile that there is not":     {[]string{"run", "--profile", "none"}, "no such profile"},
		"a command that there is not":     {[]string{"break"}, "break"},
		"nothing that is to be listed":    {[]string{"list"}, ""},
		"a directory that is not a trial": {[]string{"report", t.TempDir()}, "no history"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, out, err := say(t, tc.args...); code != ExitUnjudged || !strings.Contains(err, tc.says) {
				t.Errorf("exit code %d:\n%s%s", code, out, err)
			}
		})
	}
}

func TestATrialWithoutPrivilegesSaysWhatItNeeds(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("this user may do everything")
	}
	program := filepath.Join(t.TempDir(), "argosy")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	code, out, err := say(t, "run", "--profile", "smoke", "--binary", program, "--dir", t.TempDir())
	if code != ExitUnjudged || !strings.Contains(err, "run it as root") {
		t.Errorf("exit code %d:\n%s%s", code, out, err)
	}
}
