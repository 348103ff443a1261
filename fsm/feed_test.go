package fsm_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/errgroup"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestFeedIsBounded(t *testing.T) {
	m := mustNewWith(t, fsm.Config{FeedBytes: 10_000})
	slow, err := m.Subscribe(0)
	if err != nil {
		t.Fatal(err)
	}
	value := string(make([]byte, 1000))
	for index := uint64(1); index <= 500; index++ {
		mustApply(t, m, index, entryOf(put(workload, "web", "agent-a", value)))
	}
	if _, err := slow.Next(t.Context()); !errors.Is(err, fsm.ErrCompacted) {
		t.Fatalf("overtaken subscriber read: %v", err)
	}
	floor := m.FeedFloor()
	if floor < 480 || floor >= 500 {
		t.Fatalf("feed begins after %d", floor)
	}
	if _, err := m.Subscribe(floor - 1); !errors.Is(err, fsm.ErrCompacted) {
		t.Fatalf("subscribed before the feed: %v", err)
	}
	s, err := m.Subscribe(floor)
	if err != nil {
		t.Fatal(err)
	}
	batches, err := s.Next(t.Context())
	if err != nil || len(batches) != int(500-floor) || s.Position() != 500 {
		t.Fatalf("read %d batches up to %d: %v", len(batches), s.Position(), err)
	}
}

func TestBatchLargerThanTheFeedIsDelivered(t *testing.T) {
	m := mustNewWith(t, fsm.Config{FeedBytes: 1})
	s, err := m.Subscribe(0)
	if err != nil {
		t.Fatal(err)
	}
	e := &argosyv1.Entry{}
	for i := range 100 {
		e.Mutations = append(e.Mutations, put(workload, fmt.Sprint(i), "", "value"))
	}
	mustApply(t, m, 1, e)
	batches, err := s.Next(t.Context())
	if err != nil || len(batches) != 1 || len(batches[0].Changes) != 100 {
		t.Fatalf("read %d batches: %v", len(batches), err)
	}
}

func TestLongFeedComesInPieces(t *testing.T) {
	m := mustNew(t)
	const entries = 3000
	for index := uint64(1); index <= entries; index++ {
		mustApply(t, m, index, &argosyv1.Entry{})
	}
	s, err := m.Subscribe(0)
	if err != nil {
		t.Fatal(err)
	}
	next, reads := uint64(1), 0
	for next <= entries {
		batches, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		reads++
		for _, batch := range batches {
			if batch.Revision != next {
				t.Fatalf("revision %d came, %d was due", batch.Revision, next)
			}
			next++
		}
	}
	if reads < 2 {
		t.Fatalf("all %d batches came at once", entries)
	}
}

func TestSubscriberWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t)
		s, err := m.Subscribe(5) // ahead of the state, as after a move to a slower replica
		if err != nil {
			t.Fatal(err)
		}
		var got []fsm.Batch
		done := false
		go func() {
			got, err = s.Next(context.Background())
			done = true
		}()
		for index := uint64(4); index <= 5; index++ {
			mustApply(t, m, index, entryOf(put(workload, "web", "", "value")))
			synctest.Wait()
			if done {
				t.Fatalf("woken with %d by revision %d: %v", len(got), index, err)
			}
		}
		mustApply(t, m, 6, entryOf(put(workload, "web", "", "value")))
		synctest.Wait()
		if err != nil || len(got) != 1 || got[0].Revision != 6 {
			t.Fatalf("got %v, %v", got, err)
		}
	})
}

func TestWaitingEndsForAReason(t *testing.T) {
	snapshot := mustSnapshot(t, seedMachine(t)) // of revision 3
	for _, c := range []struct {
		name   string
		event  func(m *fsm.Machine, cancel context.CancelFunc)
		feed   error
		wait2  error // for revision 2
		wait9  error // for revision 9
		stays9 bool
	}{
		{name: "context", event: func(_ *fsm.Machine, cancel context.CancelFunc) { cancel() },
			feed: context.Canceled, wait2: context.Canceled, wait9: context.Canceled},
		{name: "failure", event: func(m *fsm.Machine, _ context.CancelFunc) { _ = apply(m, 2, []byte{0xff}) },
			feed: fsm.ErrFailed, wait2: fsm.ErrFailed, wait9: fsm.ErrFailed},
		{name: "restore", event: func(m *fsm.Machine, _ context.CancelFunc) { mustRestore(t, m, snapshot) },
			feed: fsm.ErrCompacted, wait2: nil, stays9: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := mustNew(t)
				mustApply(t, m, 1, &argosyv1.Entry{})
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				s, err := m.Subscribe(1)
				if err != nil {
					t.Fatal(err)
				}
				results := map[string]error{}
				var mu sync.Mutex
				record := func(name string, f func() error) {
					go func() {
						err := f()
						mu.Lock()
						defer mu.Unlock()
						results[name] = err
					}()
				}
				record("feed", func() error { _, err := s.Next(ctx); return err })
				record("wait2", func() error { return m.WaitApplied(ctx, 2) })
				record("wait9", func() error { return m.WaitApplied(ctx, 9) })
				synctest.Wait()
				if len(results) != 0 {
					t.Fatalf("did not wait: %v", results)
				}
				c.event(m, cancel)
				synctest.Wait()
				for name, want := range map[string]error{"feed": c.feed, "wait2": c.wait2, "wait9": c.wait9} {
					got, ended := results[name]
					if ended == (name == "wait9" && c.stays9) {
						t.Errorf("%s: ended is %v", name, ended)
					}
					if !errors.Is(got, want) {
						t.Errorf("%s: got %v, want %v", name, got, want)
					}
				}
				if err := m.WaitApplied(context.Background(), 1); err != nil {
					t.Errorf("wait for what is there: %v", err)
				}
				cancel()
				synctest.Wait()
			})
		})
	}
}

func TestWaitersAreWokenInTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t)
		var mu sync.Mutex
		woken := map[uint64]int{}
		const waiters = 50
		for i := range uint64(waiters) {
			go func() {
				if err := m.WaitApplied(context.Background(), i%10+1); err == nil {
					mu.Lock()
					defer mu.Unlock()
					woken[i%10+1]++
				}
			}()
		}
		for index := uint64(1); index <= 10; index++ {
			mustApply(t, m, index, &argosyv1.Entry{})
			synctest.Wait()
			if len(woken) != int(index) || woken[index] != waiters/10 {
				t.Fatalf("at %d woken were %v", index, woken)
			}
		}
	})
}

// TestManyFollowOneWriter is for the race detector: subscribers that are slow
// and quick, readers that hold views, waiters, snapshots and restores, all
// beside one writer.
func TestManyFollowOneWriter(t *testing.T) {
	m := mustNewWith(t, fsm.Config{FeedBytes: 40_000})
	const entries = 1500
	writer, ctx := errgroup.WithContext(t.Context())
	writer.Go(func() error {
		for index := uint64(1); index <= entries; index++ {
			e := &argosyv1.Entry{}
			for i := range uint64(4) {
				key := fmt.Sprint((index*7 + i*13) % 40)
				if (index+i)%5 == 0 {
					e.Mutations = append(e.Mutations, remove(workload, key))
				} else {
					e.Mutations = append(e.Mutations, put(workload, key, fmt.Sprint("agent-", (index+i)%3), fmt.Sprint(index)))
				}
			}
			e.Outcomes = append(e.Outcomes, answer(fmt.Sprint("id-", index), "alice", "done"))
			if index%100 == 0 {
				e.Mutations = append(e.Mutations, expire(index-50))
			}
			if index == entries/2 {
				if err := restore(m, mustSnapshot(t, m)); err != nil {
					return err
				}
			}
			if err := apply(m, index, mustEncode(t, e)); err != nil {
				return err
			}
		}
		return nil
	})
	for range 4 {
		writer.Go(func() error { return followAll(ctx, m, entries) })
		writer.Go(func() error { return readAll(m, entries) })
		writer.Go(func() error {
			for index := uint64(1); index <= entries; index += 7 {
				if err := m.WaitApplied(ctx, index); err != nil {
					return err
				}
				if at := m.View().Revision(); at < index {
					return fmt.Errorf("woken for %d, state is at %d", index, at)
				}
			}
			return nil
		})
	}
	if err := writer.Wait(); err != nil {
		t.Fatal(err)
	}
	mustBeWhole(t, m.View())
}

func followAll(ctx context.Context, m *fsm.Machine, last uint64) error {
	for {
		f := newFollower(m)
		s, err := m.Subscribe(f.revision)
		for err == nil && f.revision < last {
			var batches []fsm.Batch
			batches, err = s.Next(ctx)
			for _, batch := range batches {
				if at := m.View().Revision(); at < batch.Revision {
					return fmt.Errorf("revision %d came, but the state shows %d", batch.Revision, at)
				}
				if err := f.take(batch); err != nil {
					return err
				}
			}
		}
		if err == nil {
			return f.compare(m.View())
		}
		if !errors.Is(err, fsm.ErrCompacted) {
			return err
		}
	}
}

func readAll(m *fsm.Machine, last uint64) error {
	for {
		v := m.View()
		if v.Hash() != v.Rehash() {
			return fmt.Errorf("%s has hash %x", v, v.Rehash())
		}
		members := 0
		for i := range 3 {
			for range v.WorkloadsOf(fmt.Sprint("agent-", i)) {
				members++
			}
		}
		if want := v.Count(workload); members != want {
			return fmt.Errorf("%s has %d members, %d workloads", v, members, want)
		}
		id := fmt.Sprint("id-", v.Revision())
		if ref, ok := v.Outcome([]byte(id)); v.Revision() > 0 && (!ok || ref.Revision != v.Revision()) {
			return fmt.Errorf("%s does not know %s", v, id)
		}
		if v.Revision() == last {
			return nil
		}
	}
}
