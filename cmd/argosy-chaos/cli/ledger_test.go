package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// say runs a command line and returns its exit code and what it printed.
func say(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	var outs, errs strings.Builder
	a := &app{version: "test", in: strings.NewReader(""), out: &outs, err: &errs}
	code = a.execute(t.Context(), args)
	return code, outs.String(), errs.String()
}

func TestLedgerAddsUpOrSaysWhyNot(t *testing.T) {
	const whole = `{"commit":"0123456","seed":1,"profile":"soak","faults":{"kill-leader":7},"operations":1000,"virtual_hours":0,"violations":{},"outage_ms":{"kill-leader":{"p50":20,"p99":30,"max":40}}}` + "\n"
	for _, tc := range []struct {
		name, text, says string
		code             int
	}{
		{"two soaks", whole + whole, "14", ExitHeld},
		{"none", "", "0 soaks", ExitHeld},
		{"the last one was cut off", whole + whole[:30], "line 2 was cut off", ExitUnjudged},
		{"one of another program", `{"speed":1}` + "\n", "it has no commit", ExitUnjudged},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "ledger.jsonl")
			if err := os.WriteFile(file, []byte(tc.text), 0o644); err != nil {
				t.Fatal(err)
			}
			code, out, err := say(t, "ledger", "--file", file)
			if code != tc.code || !strings.Contains(out+err, tc.says) {
				t.Errorf("exit code %d:\n%s%s", code, out, err)
			}
		})
	}
	if code, _, err := say(t, "ledger", "--file", filepath.Join(t.TempDir(), "none")); code != ExitUnjudged || !strings.Contains(err, "--file") {
		t.Errorf("of a file that is not there: exit code %d: %s", code, err)
	}
}

func TestASoakThatCannotBeDoneIsNotBegun(t *testing.T) {
	damaged := filepath.Join(t.TempDir(), "ledger.jsonl")
	if err := os.WriteFile(damaged, []byte("{]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "argosy")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"there is no such profile":    {[]string{"--profile", "none"}, "no such profile"},
		"there is no program":         {[]string{"--binary", ""}, "--binary"},
		"it would take no time":       {[]string{"--binary", program, "--for", "0s"}, "say for how long"},
		"the ledger is damaged":       {[]string{"--binary", program, "--ledger", damaged}, "ledger is damaged"},
		"there is no such flag":       {[]string{"--speed", "9"}, "--help"},
		"faults would be done for ms": {[]string{"--each", "1ms"}, "faults are done for"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			code, out, err := say(t, append([]string{"soak", "--dir", dir}, tc.args...)...)
			if code != ExitUnjudged || !strings.Contains(err, tc.says) {
				t.Errorf("exit code %d:\n%s%s", code, out, err)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("it left %v", left)
			}
		})
	}
}
