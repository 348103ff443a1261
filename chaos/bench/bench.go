// Package bench measures a cluster of real processes: outages, throughput, start
// times, what it costs to keep. Each figure stands beside the goal it has and,
// where there is one, the figure of etcd on the same disk in the same run.
//
// The invariant it protects: a figure that is reported was measured in this run.
// A measurement that failed is reported as failed, never left out.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
)

// Result is one figure.
type Result struct {
	// Group is the name of the measurement that it is of.
	Group string `json:"group"`
	// Name says what was measured.
	Name string `json:"name"`
	// Value is the figure; null when the measurement failed.
	Value *float64 `json:"value"`
	// Unit of the value and the goal.
	Unit string `json:"unit"`
	// Goal is what is aimed at; null when there is none.
	Goal *float64 `json:"goal"`
	// Met says whether the goal is reached; null without a goal.
	Met *bool `json:"met"`
}

// Config says what to measure.
type Config struct {
	// Binary is the argosy program.
	Binary string
	// Dir is where clusters keep their data: on the disk that is measured.
	Dir string
	// Out is told the figures as they come.
	Out io.Writer
	// Only picks measurements by name; nil means all.
	Only *regexp.Regexp
	// Quick measures with a tenth of the repetitions, to try the benchmark
	// itself.
	Quick bool
}

// goal compares a figure with what is aimed at.
type goal struct {
	value float64
	// atLeast is set when more is better.
	atLeast bool
}

func atMost(value float64) *goal  { return &goal{value: value} }
func atLeast(value float64) *goal { return &goal{value: value, atLeast: true} }

// suite is one run.
type suite struct {
	config  Config
	group   string
	results []Result
	dirs    int
}

// measurement is one group of figures.
type measurement struct {
	name string
	run  func(context.Context, *suite) error
}

// measurements are all there are, in the order in which they are made.
var measurements = []measurement{
	{"start", measureStart},
	{"outage", measureOutages},
	{"busy", measureBusy},
	{"faults", measureFaults},
	{"writes", measureWrites},
	{"cost", measureCost},
	{"reads", measureReads},
	{"apply", measureApply},
	{"manifests", measureManifests},
	{"sight", measureSight},
	{"podman", measurePodman},
	{"containers", measureContainers},
	{"processes", measureProcesses},
	{"idle", measureIdle},
	{"size", measureSize},
	{"quiet", measureQuiet},
	{"steady", measureSteady},
	{"swarm", measureSwarm},
}

// Names returns the names of all measurements.
func Names() []string {
	var names []string
	for _, m := range measurements {
		names = append(names, m.name)
	}
	return names
}

// Run measures, prints a table and returns the figures. The error joins those of
// measurements that failed.
func Run(ctx context.Context, config Config) ([]Result, error) {
	s := &suite{config: config}
	var failures []error
	for _, m := range measurements {
		if config.Only != nil && !config.Only.MatchString(m.name) {
			continue
		}
		fmt.Fprintf(config.Out, "== %s\n", m.name)
		begin := time.Now()
		s.group = m.name
		if err := m.run(ctx, s); err != nil {
			failures = append(failures, fmt.Errorf("measure %s: %w", m.name, err))
			fmt.Fprintf(config.Out, "   FAILED: %v\n", err)
			s.results = append(s.results, Result{Group: m.name, Name: m.name + ": measurement failed"})
		}
		fmt.Fprintf(config.Out, "   (%s)\n", time.Since(begin).Round(time.Second))
		if ctx.Err() != nil {
			break
		}
	}
	s.table()
	return s.results, errors.Join(failures...)
}

// add records a figure.
func (s *suite) add(name string, value float64, unit string, g *goal) {
	r := Result{Group: s.group, Name: name, Value: &value, Unit: unit}
	note := ""
	if g != nil {
		met := value <= g.value
		note = fmt.Sprintf("  goal <= %s", number(g.value))
		if g.atLeast {
			met = value >= g.value
			note = fmt.Sprintf("  goal >= %s", number(g.value))
		}
		r.Goal, r.Met = &g.value, &met
		if !met {
			note += "  NOT REACHED"
		}
	}
	s.results = append(s.results, r)
	fmt.Fprintf(s.config.Out, "   %s: %s %s%s\n", name, number(value), unit, note)
}

func (s *suite) table() {
	w := tabwriter.NewWriter(s.config.Out, 0, 4, 3, ' ', 0)
	fmt.Fprintln(w, "\nWHAT\tVALUE\tUNIT\tGOAL\tMET")
	for _, r := range s.results {
		value, target, met := "failed", "", ""
		if r.Value != nil {
			value = number(*r.Value)
		}
		if r.Goal != nil {
			target = number(*r.Goal)
			met = "no"
			if *r.Met {
				met = "yes"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Name, value, r.Unit, target, met)
	}
	_ = w.Flush()
}

// dir returns a fresh directory.
func (s *suite) dir(name string) (string, func(), error) {
	s.dirs++
	dir := filepath.Join(s.config.Dir, fmt.Sprintf("%s-%d", name, s.dirs))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, fmt.Errorf("make directory: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

// times returns a number of repetitions, fewer in a quick run.
func (s *suite) times(n int) int {
	if s.config.Quick {
		return max(2, n/10)
	}
	return n
}

func (s *suite) seconds(n int) time.Duration {
	if s.config.Quick {
		return time.Second
	}
	return time.Duration(n) * time.Second
}

func number(v float64) string {
	text := fmt.Sprintf("%.3g", v)
	if v >= 100 || v <= -100 {
		text = fmt.Sprintf("%.0f", v)
	}
	return strings.TrimSuffix(text, ".0")
}

// milliseconds of a duration.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
