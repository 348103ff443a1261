package storage

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// slowStore takes its time for each write.
type slowStore struct {
	*raft.InmemStore
	takes time.Duration
	fails error
}

func (s *slowStore) StoreLogs(entries []*raft.Log) error {
	time.Sleep(s.takes)
	if s.fails != nil {
		return s.fails
	}
	return s.InmemStore.StoreLogs(entries)
}

func TestWatchdogTellsOfAStallAndOfItsEnd(t *testing.T) {
	for _, test := range []struct {
		takes time.Duration
		fails error
		want  string
	}{
		{takes: 900 * time.Millisecond, want: "[]"},
		{takes: 1500 * time.Millisecond, want: "[1s true 1.5s false]"},
		{takes: time.Minute, fails: errors.New("no disk"), want: "[1s true 1m0s false]"},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			var told, stored []any
			slow := &slowStore{raft.NewInmemStore(), test.takes, test.fails}
			watchdog := newWatched(slow, time.Second, func(stalled bool) {
				told = append(told, time.Since(began), stalled)
			}, func(entries int, took time.Duration) {
				stored = append(stored, entries, took)
			})
			if err := watchdog.StoreLog(entry(1)); !errors.Is(err, test.fails) {
				t.Fatalf("store: %v", err)
			}
			if got := fmt.Sprint(told); got != test.want {
				t.Fatalf("a write of %v: told %s, want %s", test.takes, got, test.want)
			}
			if watchdog.stalled.Load() {
				t.Fatal("still stalled")
			}
			if got, want := fmt.Sprint(stored), fmt.Sprint([]any{1, test.takes}); got != want {
				t.Fatalf("a write of %v: counted %s, want %s", test.takes, got, want)
			}
		})
	}
}

func TestALargeWriteIsGivenTheTimeItNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{raft.NewInmemStore(), 1900 * time.Millisecond, nil}
		alarms := 0
		watchdog := newWatched(slow, 500*time.Millisecond, func(stalled bool) {
			if stalled {
				alarms++
			}
		}, nil)
		if err := watchdog.StoreLog(&raft.Log{Index: 1, Data: make([]byte, 16<<20)}); err != nil || alarms != 0 {
			t.Fatalf("16 MiB in 1.9 s: %v, %d alarms", err, alarms)
		}
		if err := watchdog.StoreLog(entry(2)); err != nil || alarms != 1 {
			t.Fatalf("a small entry in 1.9 s: %v, %d alarms", err, alarms)
		}
	})
}

func TestWatchdogIsStalledWhileTheWriteHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{InmemStore: raft.NewInmemStore(), takes: time.Minute}
		watchdog := newWatched(slow, time.Second, nil, nil)
		done := make(chan error)
		go func() { done <- watchdog.StoreLog(entry(1)) }()
		time.Sleep(2 * time.Second) // of the bubble's own clock
		synctest.Wait()
		if !watchdog.stalled.Load() {
			t.Error("not stalled")
		}
		<-done
	})
}
