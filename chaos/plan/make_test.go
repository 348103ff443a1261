package plan

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func mustMake(t *testing.T, seed uint64, profile string) *Plan {
	t.Helper()
	p, err := Make(seed, profile)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSameSeedMakesTheSamePlanAndAnotherOneAnother(t *testing.T) {
	for _, profile := range Profiles() {
		one, again, other := mustMake(t, 7, profile.Name), mustMake(t, 7, profile.Name), mustMake(t, 8, profile.Name)
		if !reflect.DeepEqual(one, again) {
			t.Errorf("profile %s makes two plans of one seed", profile.Name)
		}
		if reflect.DeepEqual(one.Steps, other.Steps) {
			t.Errorf("profile %s makes the same steps of two seeds", profile.Name)
		}
	}
	if reflect.DeepEqual(mustMake(t, 7, CI).Settings, mustMake(t, 7, Soak).Settings) && reflect.DeepEqual(mustMake(t, 8, CI).Settings, mustMake(t, 8, Soak).Settings) {
		t.Error("two profiles share their chance")
	}
}

func TestCIPlanHasEveryFaultOfEveryMachine(t *testing.T) {
	for seed := range uint64(50) {
		p := mustMake(t, seed, CI)
		if len(p.Steps) < 35 || p.Duration() != 42*time.Second {
			t.Errorf("plan of seed %d has %d steps in %v", seed, len(p.Steps), p.Duration())
		}
		for _, kind := range ciFaults {
			if kind == RollServers && p.Settings.OldLevel > 0 {
				kind = UpgradeServers
			}
			if has := slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Fault == kind }); has != kind.fits(p.Settings) {
				t.Errorf("plan of seed %d has %s: %v, with %+v", seed, kind, has, p.Settings)
			}
		}
		shaped := slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Fault.needsShaping() })
		if shaped != p.Settings.Shaped {
			t.Errorf("plan of seed %d: shaped is %v, a fault that needs it is planned: %v", seed, p.Settings.Shaped, shaped)
		}
	}
}

func TestPlansFillTheirTimeAndOverlap(t *testing.T) {
	for _, profile := range Profiles() {
		overlapping, steps := 0, 0
		for seed := range uint64(30) {
			p := mustMake(t, seed, profile.Name)
			last := p.Steps[len(p.Steps)-1]
			if p.Duration()-last.At() > max(p.Duration()/4, 7*time.Second) {
				t.Errorf("profile %s, seed %d: the last fault of %v is at %v", profile.Name, seed, p.Duration(), last.At())
			}
			end := int64(-1)
			for _, step := range p.Steps {
				if step.AtMs < end {
					overlapping++
				}
				end = max(end, step.AtMs+step.ForMs)
				steps++
			}
		}
		if share := float64(overlapping) / float64(steps); share < 0.05 || share > 0.6 {
			t.Errorf("profile %s: %.0f %% of the faults overlap", profile.Name, 100*share)
		}
	}
}

func TestSoakPlansAddUpToWhatIsPromised(t *testing.T) {
	faults, counts := 0, map[Kind]int{}
	for seed := uint64(0); faults < 3000; seed++ {
		for _, step := range mustMake(t, seed, Soak).Steps {
			counts[step.Fault]++
			faults++
		}
	}
	sum := func(kinds ...Kind) int {
		n := 0
		for _, kind := range kinds {
			n += counts[kind]
		}
		return n
	}
	for name, least := range map[string][2]int{
		"kills of the leader":     {sum(KillLeader), 600},
		"partitions":              {sum(CutLeader, Halves, Bridge, Ring, CutIn, CutOut, CutPair, Isolate, Swizzle), 300},
		"one-way partitions":      {sum(CutIn, CutOut, CutPair), 100},
		"losses of power":         {sum(PowerLeader, PowerServer, PowerAll), 150},
		"losses of all power":     {sum(PowerAll), 50},
		"disks that stall or err": {sum(StallDisk, SlowDisk, BreakDisk, ReadOnlyDisk, FillDisk), 100},
		"flips of bits":           {sum(FlipBits), 60},
	} {
		if least[0] < least[1] {
			t.Errorf("%d faults have %d %s, want %d", faults, least[0], name, least[1])
		}
	}
	for _, kind := range Kinds() {
		if kind != KillPodman && counts[kind] == 0 {
			t.Errorf("%d faults have no %s", faults, kind)
		}
	}
}

func TestMakeRefusesWhatItCannotMake(t *testing.T) {
	if _, err := Make(1, "nonsense"); !errors.Is(err, ErrProfile) {
		t.Errorf("a profile that there is not: %v", err)
	}
	if _, err := MakeFor(1, CI, time.Millisecond); !errors.Is(err, ErrInvalid) {
		t.Errorf("a plan of a millisecond: %v", err)
	}
	p, err := MakeFor(1, CI, 10*time.Second)
	if err != nil || len(p.Steps) > 10 {
		t.Errorf("a plan of ten seconds has %d steps, error %v", len(p.Steps), err)
	}
}

func TestKindsAreAllThereAre(t *testing.T) {
	seen := map[Kind]bool{}
	for _, kind := range Kinds() {
		if seen[kind] || !kind.Known() {
			t.Errorf("kind %s", kind)
		}
		seen[kind] = true
	}
	if Kind("nonsense").Known() {
		t.Error("nonsense is known")
	}
}

func TestHalfOfThePlansUpgradeServersThatAreOld(t *testing.T) {
	mixed, levels := 0, map[uint32]bool{}
	const plans = 100
	for seed := range uint64(plans) {
		p := mustMake(t, seed, CI)
		upgrades := 0
		for _, step := range p.Steps {
			if step.Fault == UpgradeServers {
				upgrades++
			}
		}
		if upgrades > 1 || (upgrades == 1) != (p.Settings.OldLevel > 0) {
			t.Errorf("plan of seed %d begins at level %d and has %d upgrades", seed, p.Settings.OldLevel, upgrades)
		}
		if upgrades > 0 {
			mixed++
			levels[p.Settings.OldLevel] = true
		}
	}
	if mixed < plans/3 || mixed > 2*plans/3 || len(levels) != int(argosyv1.FeatureLevel-argosyv1.FeatureBase) {
		t.Errorf("%d of %d plans upgrade servers, of levels %v", mixed, plans, levels)
	}
}
