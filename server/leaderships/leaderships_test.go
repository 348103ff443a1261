package leaderships

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	gone        = argosyv1.LeadershipEnd_LEADERSHIP_END_LEADER_GONE
	transferred = argosyv1.LeadershipEnd_LEADERSHIP_END_TRANSFERRED
)

// script is a source that says what it is told to.
type script struct {
	mu       sync.Mutex
	at       consensus.Leadership
	endings  map[uint64]consensus.Ending
	watchers []chan struct{}
}

func (s *script) Leadership() consensus.Leadership {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *script) WatchLeadership() (<-chan struct{}, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	watcher := make(chan struct{}, 1)
	s.watchers = append(s.watchers, watcher)
	return watcher, func() {}
}

func (s *script) Ending(term uint64, _ string) consensus.Ending {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endings[term]
}

func (s *script) leads(term uint64, id string) {
	s.mu.Lock()
	s.at = consensus.Leadership{Term: term, LeaderID: id}
	watchers := s.watchers
	s.mu.Unlock()
	for _, watcher := range watchers {
		select {
		case watcher <- struct{}{}:
		default:
		}
	}
	synctest.Wait()
}

func (s *script) ends(term uint64, end argosyv1.LeadershipEnd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endings[term] = consensus.Ending{End: end, Reason: strings.ToLower(end.String())}
}

// told writes a history in one line.
func told(r *Recorder) string {
	var words []string
	for _, l := range r.Leaderships(0) {
		word := fmt.Sprintf("%d:%s", l.GetTerm(), l.GetServerId())
		if l.GetEndedUnixNanos() != 0 {
			word += fmt.Sprintf("-%d", l.GetEnd())
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func mustRun(t *testing.T, source Source, cfg Config) (*Recorder, func()) {
	t.Helper()
	r, err := New(source, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx)
	}()
	synctest.Wait()
	return r, func() { cancel(); <-done }
}

func TestLeadershipsAreRememberedWithTheirEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leaderships")
	synctest.Test(t, func(t *testing.T) {
		s := &script{endings: map[uint64]consensus.Ending{}}
		r, stop := mustRun(t, s, DefaultConfig(path))
		s.leads(2, "a")
		time.Sleep(time.Minute)
		s.leads(2, "")
		if got := told(r); got != "2:a-0" {
			t.Errorf("while nobody leads: %s", got)
		}
		// It was only not heard for a moment.
		s.leads(2, "a")
		if got := told(r); got != "2:a" {
			t.Errorf("heard again in its term: %s", got)
		}
		s.leads(3, "")
		// The reason is learned later.
		s.ends(2, gone)
		s.leads(3, "b")
		s.ends(3, transferred)
		s.leads(5, "c")
		s.leads(4, "b") // late
		if got, want := told(r), fmt.Sprintf("2:a-%d 3:b-%d 5:c-0", gone, transferred); got != want {
			t.Errorf("history is %s, want %s", got, want)
		}
		first := r.Leaderships(0)[0]
		if lasted := time.Duration(first.GetEndedUnixNanos() - first.GetBeganUnixNanos()); lasted != time.Minute {
			t.Errorf("the first one lasted %v", lasted)
		}
		if got := r.Leaderships(1); len(got) != 1 || got[0].GetTerm() != 5 {
			t.Errorf("the newest one is %v", got)
		}
		if counts := r.Counts(); counts[gone] != 1 || counts[transferred] != 1 {
			t.Errorf("counts are %v", counts)
		}
		stop()

		// The file has it, and goes on where it ended.
		s = &script{endings: map[uint64]consensus.Ending{}}
		r, stop = mustRun(t, s, DefaultConfig(path))
		s.leads(5, "c")
		if got, want := told(r), fmt.Sprintf("2:a-%d 3:b-%d 5:c", gone, transferred); got != want {
			t.Errorf("after a restart: %s, want %s", got, want)
		}
		stop()
		s = &script{endings: map[uint64]consensus.Ending{}}
		r, stop = mustRun(t, s, DefaultConfig(path))
		s.leads(9, "a")
		all := r.Leaderships(0)
		if len(all) != 4 || !strings.Contains(all[2].GetReason(), "not running") {
			t.Errorf("after a long absence: %v", all)
		}
		stop()
	})
}

func TestTheFileIsWrittenOnceAfterAChangeAndNotAtRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leaderships")
	synctest.Test(t, func(t *testing.T) {
		s := &script{endings: map[uint64]consensus.Ending{}}
		_, stop := mustRun(t, s, DefaultConfig(path))
		defer stop()
		s.leads(2, "a")
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("written in the middle of an election: %v", err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		before, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("written again at rest: %v", err)
		}
	})
}

func TestTheHistoryIsBoundedAndADamagedFileIsPassedOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leaderships")
	if err := os.WriteFile(path, []byte("\xff\xff\xff"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := &script{endings: map[uint64]consensus.Ending{}}
		cfg := DefaultConfig(path)
		cfg.Limit = 3
		r, stop := mustRun(t, s, cfg)
		defer stop()
		for term := range uint64(10) {
			s.leads(term+1, "a")
		}
		if got := told(r); got != "8:a-0 9:a-0 10:a" {
			t.Errorf("history is %s", got)
		}
	})
}
