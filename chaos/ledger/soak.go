package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
)

// Soak is what came of the trials of one soak: a line of the ledger.
type Soak struct {
	// Commit of the source that was tried; "-dirty" follows when it was changed.
	Commit string `json:"commit"`
	// Seed that the seeds of the trials were drawn by, and their Profile.
	Seed    uint64 `json:"seed"`
	Profile string `json:"profile"`
	// Faults that were done, by kind.
	Faults map[string]int64 `json:"faults"`
	// Operations that were checked.
	Operations int64 `json:"operations"`
	// VirtualHours that went by in simulations: 0 for real processes.
	VirtualHours float64 `json:"virtual_hours"`
	// Violations by invariant; empty when there were none.
	Violations map[string]int64 `json:"violations"`
	// OutageMs is for how long writes were not acknowledged, in milliseconds, by
	// kind of fault.
	OutageMs map[string]Outage `json:"outage_ms"`

	// Started is the wall time at which it began (RFC 3339), Minutes how long it
	// took.
	Started string  `json:"started,omitempty"`
	Minutes float64 `json:"minutes,omitempty"`
	// Trials that were judged, and Failed ones that could not be: nothing of those
	// is in the other figures.
	Trials int64 `json:"trials,omitempty"`
	Failed int64 `json:"failed,omitempty"`
}

// Outage is the distribution of the outages that faults of one kind cost.
type Outage struct {
	// N is of how many faults.
	N int64 `json:"n,omitempty"`
	// Percentiles in milliseconds.
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// required are the fields without which a line says too little to be added up.
var required = []string{"commit", "seed", "profile", "faults", "operations", "virtual_hours", "violations", "outage_ms"}

var commitForm = regexp.MustCompile(`^[0-9a-f]{7,40}(-dirty)?$`)

// Simulated tells whether nothing of it was real.
func (s *Soak) Simulated() bool { return s.VirtualHours > 0 }

// Validate returns what is wrong with it.
func (s *Soak) Validate() error {
	var errs []error
	if !commitForm.MatchString(s.Commit) {
		errs = append(errs, fmt.Errorf("commit %q is not 7 to 40 hexadecimal digits", s.Commit))
	}
	if s.Profile == "" {
		errs = append(errs, errors.New("profile is empty"))
	}
	if s.Operations < 0 || s.Trials < 0 || s.Failed < 0 {
		errs = append(errs, fmt.Errorf("a count is negative: %d operations, %d trials, %d failed", s.Operations, s.Trials, s.Failed))
	}
	if !isDuration(s.VirtualHours) || !isDuration(s.Minutes) {
		errs = append(errs, fmt.Errorf("%g virtual hours in %g minutes are no durations", s.VirtualHours, s.Minutes))
	}
	for kind, n := range s.Faults {
		if kind == "" || n < 0 {
			errs = append(errs, fmt.Errorf("%d faults of kind %q", n, kind))
		}
	}
	for invariant, n := range s.Violations {
		if invariant == "" || n <= 0 {
			errs = append(errs, fmt.Errorf("%d violations of %q: leave out what was not violated", n, invariant))
		}
	}
	for kind, o := range s.OutageMs {
		if kind == "" || o.N < 0 || o.P50 < 0 || !(o.P50 <= o.P99 && o.P99 <= o.Max) {
			errs = append(errs, fmt.Errorf("outages of %q are no percentiles: %+v", kind, o))
		}
	}
	return errors.Join(errs...)
}

func isDuration(v float64) bool { return v >= 0 && !math.IsInf(v, 0) }

// parse reads one line. What it does not know, and what is not there, is an
// error.
func parse(line []byte) (*Soak, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return nil, err
	}
	var missing []string
	for _, name := range required {
		if value, is := fields[name]; !is || bytes.Equal(value, []byte("null")) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("it has no %s", strings.Join(missing, ", "))
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	s := &Soak{}
	if err := decoder.Decode(s); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	return s, s.Validate()
}

// format writes it as one line, its end included.
func (s *Soak) format() ([]byte, error) {
	whole := *s
	// A reader tells "none" from "not said".
	if whole.Faults == nil {
		whole.Faults = map[string]int64{}
	}
	if whole.Violations == nil {
		whole.Violations = map[string]int64{}
	}
	if whole.OutageMs == nil {
		whole.OutageMs = map[string]Outage{}
	}
	if err := whole.Validate(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(&whole)
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}

// Percentiles returns the distribution of outages in milliseconds, by nearest
// rank: each figure is one that was measured. There must be one at least.
func Percentiles(ms []float64) Outage {
	sorted := slices.Sorted(slices.Values(ms))
	rank := func(p float64) float64 {
		return sorted[max(0, int(math.Ceil(p*float64(len(sorted))))-1)]
	}
	return Outage{N: int64(len(sorted)), P50: rank(0.50), P99: rank(0.99), Max: sorted[len(sorted)-1]}
}
