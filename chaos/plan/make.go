package plan

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Make makes the plan of a seed and a profile.
func Make(seed uint64, profile string) (*Plan, error) { return MakeFor(seed, profile, 0) }

// MakeFor makes the plan of a seed and a profile whose faults are done for so
// long; 0 is as long as the profile says.
func MakeFor(seed uint64, name string, duration time.Duration) (*Plan, error) {
	profile, err := profileOf(name)
	if err != nil {
		return nil, err
	}
	if duration == 0 {
		duration = profile.Duration
	}
	if duration < time.Second || duration > maxDuration {
		return nil, fmt.Errorf("make plan: %w: it would last %v: faults are done for %v to %v", ErrInvalid, duration, time.Second, maxDuration)
	}
	hash := fnv.New64a()
	// A hash takes everything.
	_, _ = hash.Write([]byte(name))
	m := &maker{profile: profile, rand: rand.New(rand.NewPCG(seed, hash.Sum64()))}
	p := &Plan{Version: Version, Seed: seed, Profile: name, DurationMs: duration.Milliseconds(), Settings: m.settings(), Load: profile.load}
	m.pace = p.Settings.TimingMultiplier
	p.Steps = m.steps(p.Settings, duration)
	Mix(p)
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("make plan of seed %d, profile %s: %w", seed, name, err)
	}
	return p, nil
}

// maker makes one plan.
type maker struct {
	profile *Profile
	rand    *rand.Rand
	// pace is the cluster's: its times are so much longer.
	pace float64
	deck []Kind
}

func (m *maker) settings() Settings {
	s := Settings{
		Servers: 3, Agents: 2 + m.rand.IntN(2),
		SnapshotThreshold: pick(m.rand, uint64(50), 200, 1000),
		// The whole log stays: what became of a write whose answer was lost is read
		// from there.
		TrailingLogs:     10_000_000,
		TimingMultiplier: pick(m.rand, 0.5, 1, 1, 2),
		LogStore:         pick(m.rand, BoltDB, WAL),
		TLS:              m.rand.IntN(100) < 85,
		Shaped:           m.rand.IntN(100) < m.profile.shaped,
		// Room for a log that is never cut: one of the kind "wal" begins a file of 64 MiB
		// whenever its end was taken back.
		DiskMB: 2048,
		Podman: m.profile.podman,
	}
	if larger := m.rand.IntN(100) < 20; larger && m.profile.larger {
		s.Servers = 5
	}
	return s
}

// steps fills the time of a plan with faults: one at a time, now and then a
// second one while the first is in effect, and sometimes a storm.
func (m *maker) steps(settings Settings, duration time.Duration) []Step {
	once, weights := slices.Clone(m.profile.once), m.weights(settings)
	if settings.Shaped {
		once = append(once, m.profile.slowed...)
	}
	once = slices.DeleteFunc(once, func(kind Kind) bool { return !kind.fits(settings) })
	count := max(len(once), int(duration/m.profile.every), 1)
	if duration < m.profile.Duration {
		// There is no room for everything.
		count = max(int(duration/m.profile.every), 1)
	}
	m.rand.Shuffle(len(once), func(i, j int) { once[i], once[j] = once[j], once[i] })
	m.deck = once

	var steps []Step
	var at, end time.Duration
	for len(steps) < count {
		group := 1
		switch chance := m.rand.IntN(100); {
		case chance < 3:
			// A storm has five faults at once: a tenth of all are in one.
			group = 5
		case chance < 27:
			group = 2
		}
		end = at
		for i := range min(group, count-len(steps)) {
			step := m.step(weights)
			from := at
			switch {
			case group == 5:
				from += time.Duration(m.rand.Int64N(int64(2 * time.Second)))
			case i > 0:
				// While the one before it is in effect.
				from += time.Duration(m.rand.Float64() * float64(steps[len(steps)-1].For()))
			}
			step.AtMs = from.Milliseconds()
			end = max(end, from+step.For())
			steps = append(steps, step)
		}
		at = end + time.Duration((0.3+m.rand.Float64())*float64(time.Second))
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return int(a.AtMs - b.AtMs) })
	// All of them together take as long as there is time for.
	room := max(duration-500*time.Millisecond, duration/2)
	for i := range steps {
		steps[i].N = i + 1
		steps[i].AtMs = int64(float64(steps[i].AtMs) * float64(room) / float64(max(end, time.Millisecond)))
	}
	return steps
}

// weights are those of the profile, and of what the cluster can do besides.
func (m *maker) weights(settings Settings) []Kind {
	var kinds []Kind
	for _, kind := range Kinds() {
		weight := m.profile.weights[kind]
		switch {
		case !kind.fits(settings):
			weight = 0
		case slices.Contains(m.profile.slowed, kind):
			weight = 4
		case kind == KillPodman:
			weight = 3
		}
		kinds = append(kinds, slices.Repeat([]Kind{kind}, weight)...)
	}
	return kinds
}

// step draws the next fault. Faults are dealt from a deck that is shuffled when
// it is used up: over a long time each comes as often as its weight says, not
// only on average.
func (m *maker) step(weights []Kind) Step {
	if len(m.deck) == 0 {
		m.deck = slices.Clone(weights)
		m.rand.Shuffle(len(m.deck), func(i, j int) { m.deck[i], m.deck[j] = m.deck[j], m.deck[i] })
	}
	kind := m.deck[0]
	m.deck = m.deck[1:]
	return Step{
		Fault: kind, ForMs: m.lasts(kind).Milliseconds(),
		// JSON's numbers are exact only up to 53 bits where others read them.
		Choice:   uint64(m.rand.Uint32()),
		Strength: float64(m.rand.IntN(101)) / 100,
	}
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// Mix has half of all plans in which servers are restarted in turn begin with
// servers of an older version: the first time is an upgrade then.
func Mix(p *Plan) {
	// What else a seed makes stays as it is.
	chance := rand.New(rand.NewPCG(p.Seed, 12))
	first := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Fault == RollServers })
	if chance.IntN(2) == 0 && first >= 0 {
		p.Settings.OldLevel = argosyv1.FeatureBase + chance.Uint32N(argosyv1.FeatureLevel-argosyv1.FeatureBase)
		p.Steps[first].Fault = UpgradeServers
	}
}
