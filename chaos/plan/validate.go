package plan

import (
	"fmt"
	"math"
	"slices"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Bounds of what a plan may ask for. They are far from what makes sense, and keep
// a file that was written by hand from asking for years.
const (
	maxDuration = 24 * time.Hour
	maxStep     = 10 * time.Minute
	maxClients  = 1000
)

// Validate returns what is wrong with a plan, and where.
func (p *Plan) Validate() error {
	if p.Version != Version {
		return fmt.Errorf("%w: it has %d, this program knows %d", ErrVersion, p.Version, Version)
	}
	if p.DurationMs < 1 || p.DurationMs > maxDuration.Milliseconds() {
		return fmt.Errorf("%w: duration_ms %d: it must be from 1 to %d", ErrInvalid, p.DurationMs, maxDuration.Milliseconds())
	}
	if err := p.Settings.validate(); err != nil {
		return err
	}
	if err := p.Load.validate(); err != nil {
		return err
	}
	numbers := map[int]bool{}
	last := int64(0)
	for i, step := range p.Steps {
		switch {
		case step.N < 1 || numbers[step.N]:
			return fmt.Errorf("%w: step %d of the list has number %d: numbers are from 1, each once", ErrInvalid, i+1, step.N)
		case !step.Fault.Known():
			return fmt.Errorf("%w: step %d: there is no fault %q: 'argosy-chaos list faults' tells which there are", ErrInvalid, step.N, step.Fault)
		case step.AtMs < last:
			return fmt.Errorf("%w: step %d is at %d ms, after one at %d ms: steps are in the order of their times", ErrInvalid, step.N, step.AtMs, last)
		case step.AtMs > p.DurationMs:
			return fmt.Errorf("%w: step %d is at %d ms, the plan ends at %d ms", ErrInvalid, step.N, step.AtMs, p.DurationMs)
		case step.ForMs < 0 || step.ForMs > maxStep.Milliseconds():
			return fmt.Errorf("%w: step %d: for_ms %d: it must be from 0 to %d", ErrInvalid, step.N, step.ForMs, maxStep.Milliseconds())
		case math.IsNaN(step.Strength) || step.Strength < 0 || step.Strength > 1:
			return fmt.Errorf("%w: step %d: strength %v: it must be from 0 to 1", ErrInvalid, step.N, step.Strength)
		}
		numbers[step.N] = true
		last = step.AtMs
	}
	return nil
}

func (s Settings) validate() error {
	switch {
	case s.Servers < 1 || s.Servers > 9:
		return fmt.Errorf("%w: %d servers: there can be 1 to 9", ErrInvalid, s.Servers)
	case s.Agents < 0 || s.Agents > 50:
		return fmt.Errorf("%w: %d agents: there can be 0 to 50", ErrInvalid, s.Agents)
	case s.SnapshotThreshold < 1:
		return fmt.Errorf("%w: snapshot_threshold is 0: it must be 1 or more", ErrInvalid)
	case s.TimingMultiplier < 0.25 || s.TimingMultiplier > 100:
		return fmt.Errorf("%w: timing_multiplier %v: it must be from 0.25 to 100", ErrInvalid, s.TimingMultiplier)
	case s.LogStore != BoltDB && s.LogStore != WAL:
		return fmt.Errorf("%w: log_store %q: it must be %q or %q", ErrInvalid, s.LogStore, BoltDB, WAL)
	case s.OldLevel >= argosyv1.FeatureLevel:
		return fmt.Errorf("%w: old_level %d: this program knows %d, it must be less", ErrInvalid, s.OldLevel, argosyv1.FeatureLevel)
	case s.DiskMB < 32 || s.DiskMB > 1<<20:
		return fmt.Errorf("%w: disk_mb %d: it must be from 32 to %d", ErrInvalid, s.DiskMB, 1<<20)
	}
	return nil
}

func (l Load) validate() error {
	for _, n := range []int{
		l.Writers, l.Rivals, l.Makers, l.Appliers, l.Readers, l.StaleReaders, l.Listers, l.Watchers, l.LogFollowers, l.Probes, l.Movers, l.Couples, l.Configurers, l.Subscribers, l.Askers,
	} {
		if n < 0 || n > maxClients {
			return fmt.Errorf("%w: %d clients of one kind: there can be 0 to %d", ErrInvalid, n, maxClients)
		}
	}
	if l.PauseUs < 0 || l.PauseUs > maxStep.Microseconds() {
		return fmt.Errorf("%w: pause_us %d: it must be from 0 to %d", ErrInvalid, l.PauseUs, maxStep.Microseconds())
	}
	return nil
}

// Clone returns a copy of a plan that shares nothing with it.
func (p *Plan) Clone() *Plan {
	clone := *p
	clone.Steps = slices.Clone(p.Steps)
	return &clone
}
