package plan

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestPlanIsReadAsItWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan.json")
	p := mustMake(t, 3, CI)
	if err := p.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, p) {
		t.Errorf("wrote %+v, read %+v", p, got)
	}
}

func TestReadRefusesWhatItDoesNotKnow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan.json")
	if err := mustMake(t, 3, Smoke).Write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	change := func(old, with string) func(string) string {
		return func(text string) string { return strings.Replace(text, old, with, 1) }
	}
	for _, tc := range []struct {
		name   string
		change func(string) string
		err    error
		says   string
	}{
		{"another version", change(`"version": 1`, `"version": 2`), ErrVersion, "it has 2, this program reads 1"},
		{"no version", change(`"version": 1,`, ``), ErrInvalid, "no version"},
		{"an unknown field", change(`"seed"`, `"sneed"`), ErrInvalid, `unknown field "sneed"`},
		{"an unknown fault", change(`"fault": "kill-leader"`, `"fault": "bribe-leader"`), ErrInvalid, `no fault "bribe-leader"`},
		{"something after its end", func(text string) string { return text + "{}" }, ErrInvalid, "after top-level"},
		{"half of it", func(text string) string { return text[:len(text)/2] }, ErrInvalid, ""},
		{"times out of order", change(`"at_ms": 0`, `"at_ms": 19999`), ErrInvalid, "order"},
		{"a number twice", change(`"n": 2`, `"n": 1`), ErrInvalid, "number 1"},
		{"no time at all", change(`"duration_ms": 20000`, `"duration_ms": 0`), ErrInvalid, "duration_ms 0"},
		{"too long a time", change(`"for_ms": `, `"for_ms": 9999999`), ErrInvalid, "for_ms"},
		{"a store there is not", change(`"log_store": "`, `"log_store": "x`), ErrInvalid, "log_store"},
		{"too many clients", change(`"writers": `, `"writers": 99999`), ErrInvalid, "clients"},
		{"no servers", change(`"servers": `, `"servers": -`), ErrInvalid, "servers"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			changed := tc.change(string(text))
			if changed == string(text) {
				t.Fatal("nothing was changed")
			}
			_, err := Decode([]byte(changed))
			if !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestWriteLeavesNothingOfWhatIsNotValid(t *testing.T) {
	dir := t.TempDir()
	p := mustMake(t, 3, Smoke)
	p.Steps[0].Fault = "nonsense"
	if err := p.Write(filepath.Join(dir, "plan.json")); !errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left %v, error %v", entries, err)
	}
}
