package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/trial"
)

// Where nothing is kept but what was printed, that must do to see what was wrong.
// logTail is how many of the last lines of each log are told, longestLine how much
// of each.
const (
	logTail     = 15
	longestLine = 400
)

// tellAll prints all that is known of a trial that did not hold: violations, the
// plan, and how each log ends.
func (a *app) tellAll(result *trial.Result) {
	a.tellViolations(result.Verdict, result.Dir)
	if text, err := os.ReadFile(filepath.Join(result.Dir, history.PlanFile)); err == nil {
		var compact bytes.Buffer
		if json.Compact(&compact, text) == nil {
			fmt.Fprintf(a.out, "  plan: %s\n", compact.Bytes())
		}
	}
	// It is told what can be read.
	logs, _ := filepath.Glob(filepath.Join(result.Dir, history.LogDir, "*.log"))
	for _, log := range logs {
		fmt.Fprintf(a.out, "  end of %s:\n", filepath.Base(log))
		for _, line := range lastLines(log) {
			fmt.Fprintf(a.out, "    %s\n", line)
		}
	}
}

// tellViolations prints each violation with what proves it.
func (a *app) tellViolations(verdict *check.Verdict, dir string) {
	for _, invariant := range slices.Sorted(maps.Keys(verdict.Violations)) {
		r := verdict.Results[invariant]
		for _, violation := range r.Violations {
			fmt.Fprintf(a.out, "  VIOLATED %s: %s\n", invariant, violation.What)
			for _, line := range violation.Evidence {
				fmt.Fprintf(a.out, "    %s\n", line)
			}
		}
		if more := r.Found - int64(len(r.Violations)); more > 0 {
			fmt.Fprintf(a.out, "  VIOLATED %s %d times more, see %s\n", invariant, more, dir)
		}
	}
}

// lastLines are how a log ends; why not, when it cannot be read.
func lastLines(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return []string{err.Error()}
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	lines = lines[max(0, len(lines)-logTail):]
	for i, line := range lines {
		lines[i] = line[:min(len(line), longestLine)]
	}
	return lines
}
