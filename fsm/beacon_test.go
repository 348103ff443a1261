package fsm_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func beacon(revision uint64, hash [32]byte) *argosyv1.Mutation {
	return &argosyv1.Mutation{Kind: &argosyv1.Mutation_Beacon{Beacon: &argosyv1.Beacon{Revision: revision, StateHash: hash[:]}}}
}

func mustBeacons(t *testing.T, m *fsm.Machine, after uint64) []fsm.Beacon {
	t.Helper()
	found, err := m.Beacons(t.Context(), after)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestABeaconChangesNothingButTheRevision(t *testing.T) {
	m := seedMachine(t)
	before := m.View()
	mustApply(t, m, 7, entryOf(beacon(3, before.Hash())))
	after := m.View()
	if after.Revision() != 7 || dump(after) == "" || after.Count(workload) != before.Count(workload) {
		t.Fatalf("state is %s", after)
	}
	mustBeWhole(t, after)
	restored := mustNew(t)
	mustRestore(t, restored, mustSnapshot(t, m))
	if restored.View().Hash() != after.Hash() {
		t.Fatalf("restored to %s, not %s", restored.View(), after)
	}
}

func TestABeaconIsComparedWithTheOwnHashOfThen(t *testing.T) {
	m := seedMachine(t)
	then := m.View().Hash()
	for index := uint64(4); index < 40; index += 2 {
		mustApply(t, m, index, entryOf(put(workload, "w", "a", string(rune(index)))))
	}
	wrong := then
	wrong[0] ^= 1
	mustApply(t, m, 40, entryOf(beacon(3, then), beacon(3, wrong), beacon(5, then), put(workload, "w", "b", "last")))
	found := mustBeacons(t, m, 0)
	if len(found) != 3 {
		t.Fatalf("beacons are %v", found)
	}
	if !found[0].Known || found[0].Differs() || found[0].Entry != 40 || found[0].Revision != 3 {
		t.Errorf("the right hash: %+v", found[0])
	}
	if !found[1].Differs() || found[1].Own != then || found[1].Claimed != wrong {
		t.Errorf("a wrong hash: %+v", found[1])
	}
	if found[2].Known || found[2].Differs() {
		t.Errorf("a revision that never was: %+v", found[2])
	}
	if counts := m.BeaconCounts(); counts != (fsm.BeaconCounts{Same: 1, Different: 1, Unknown: 1}) {
		t.Errorf("counts are %+v", counts)
	}
	if m.Failed() != nil {
		t.Errorf("the machine judged by itself: %v", m.Failed())
	}
	if last, ok := m.LastBeacon(); !ok || last.Revision != 5 {
		t.Errorf("last beacon is %+v", last)
	}
}

func TestTheHashOfABeaconIsRememberedForLong(t *testing.T) {
	m := seedMachine(t)
	then := m.View().Hash()
	mustApply(t, m, 4, entryOf(beacon(3, then)))
	for index := uint64(5); index < 3000; index++ {
		mustApply(t, m, index, entryOf(put(workload, "w", "a", string(rune(index)))))
	}
	if hash, ok := m.HashAt(3); !ok || hash != then {
		t.Errorf("hash at the beacon's revision is %x, known %v", hash, ok)
	}
	if _, ok := m.HashAt(1000); ok {
		t.Error("the hash of a revision of long ago is remembered")
	}
	now := m.View().Hash()
	if hash, ok := m.HashAt(2999); !ok || hash != now {
		t.Errorf("hash of now is %x, known %v", hash, ok)
	}
}

func TestAConfigurationCountsAsARevisionWithItsHash(t *testing.T) {
	m := seedMachine(t)
	m.StoreConfiguration(9, raft.Configuration{})
	now := m.View().Hash()
	if hash, ok := m.HashAt(9); !ok || hash != now {
		t.Errorf("hash is %x, known %v", hash, ok)
	}
}

func TestAMachineThatRestoredDoesNotKnowTheHashesOfBefore(t *testing.T) {
	source := seedMachine(t)
	early := source.View().Hash()
	mustApply(t, source, 10, entryOf(put(workload, "w", "a", "x")))
	snapshot := mustSnapshot(t, source)
	m := mustNew(t)
	mustApply(t, m, 3, entryOf(put(workload, "w", "a", "another")))
	mustRestore(t, m, snapshot)
	mustApply(t, m, 11, entryOf(beacon(3, early), beacon(10, source.View().Hash())))
	found := mustBeacons(t, m, 0)
	if found[0].Known || !found[1].Known || found[1].Differs() {
		t.Errorf("beacons are %+v", found)
	}
}

func TestWhoWaitsForABeaconIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := seedMachine(t)
		got := make(chan []fsm.Beacon)
		go func() { got <- mustBeacons(t, m, 4) }()
		mustApply(t, m, 4, entryOf(beacon(3, m.View().Hash())))
		synctest.Wait()
		select {
		case found := <-got:
			t.Fatalf("woken by an old one: %v", found)
		default:
		}
		mustApply(t, m, 5, entryOf(beacon(4, m.View().Hash())))
		if found := <-got; len(found) != 1 || found[0].Entry != 5 {
			t.Fatalf("found %v", found)
		}

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := m.Beacons(ctx, 5); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		m.Fail(fsm.ErrDamaged)
		if _, err := m.Beacons(t.Context(), 5); !errors.Is(err, fsm.ErrFailed) || !errors.Is(err, fsm.ErrDamaged) {
			t.Errorf("error is %v", err)
		}
	})
}

func TestABeaconThatIsNotUnderstoodStopsTheMachine(t *testing.T) {
	for name, data := range map[string][]byte{
		"short hash":    mustEncode(t, entryOf(&argosyv1.Mutation{Kind: &argosyv1.Mutation_Beacon{Beacon: &argosyv1.Beacon{Revision: 1, StateHash: []byte("short")}}})),
		"no hash":       {0x0a, 0x02, 0x22, 0x00},
		"unknown field": {0x0a, 0x04, 0x22, 0x02, 0x18, 0x01},
	} {
		t.Run(name, func(t *testing.T) {
			m := seedMachine(t)
			if err := apply(m, 5, data); !errors.Is(err, fsm.ErrFailed) {
				t.Fatalf("applied: %v", err)
			}
		})
	}
}

func TestVerifyRestsAndFindsDamage(t *testing.T) {
	m := mustNew(t)
	many := &argosyv1.Entry{}
	for i := range 1000 {
		many.Mutations = append(many.Mutations, put(workload, string(rune('a'+i%26))+string(rune(0x100+i)), "a", "value"))
	}
	mustApply(t, m, 1, many)
	rests := 0
	if err := m.View().Verify(func() error { rests++; return nil }); err != nil || rests != 3 {
		t.Fatalf("verify: %v, rests %d", err, rests)
	}
	stop := errors.New("stop")
	if err := m.View().Verify(func() error { return stop }); !errors.Is(err, stop) {
		t.Fatalf("verify went on: %v", err)
	}
	for row := range m.View().Rows() {
		row.Value[0] ^= 1
		break
	}
	if err := m.View().Verify(func() error { return nil }); !errors.Is(err, fsm.ErrDamaged) {
		t.Fatalf("damage was not found: %v", err)
	}
}
