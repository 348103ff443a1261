package reader

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source answers with the number of the question.
type source struct {
	mu    sync.Mutex
	asked uint64
	hold  time.Duration
	err   error
}

func (s *source) ReadIndex(ctx context.Context) (Index, error) {
	s.mu.Lock()
	s.asked++
	n, err := s.asked, s.err
	s.mu.Unlock()
	if s.hold > 0 {
		select {
		case <-time.After(s.hold):
		case <-ctx.Done():
			return Index{}, ctx.Err()
		}
	}
	return Index{Revision: n, Term: 1, Observation: n}, err
}

// replica has applied everything, or waits.
type replica struct {
	mu       sync.Mutex
	seen     []uint64
	observed []uint64
	stuck    bool
	// has is what is there without waiting.
	has uint64
}

func (r *replica) Applied() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.has
}

func (r *replica) Reached(_, sequence uint64) bool { return r.Applied() >= sequence }

func (r *replica) reach(revision uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.has = revision
}

func (r *replica) WaitApplied(ctx context.Context, revision uint64) error {
	r.mu.Lock()
	r.seen = append(r.seen, revision)
	stuck := r.stuck
	r.mu.Unlock()
	if stuck {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (r *replica) WaitPosition(_ context.Context, _, sequence uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observed = append(r.observed, sequence)
	return nil
}

func run(t *testing.T, local *replica, absence func() (string, bool)) *Reader {
	t.Helper()
	if absence == nil {
		absence = func() (string, bool) { return "no leader: 1 of 3 servers reachable, 2 needed", false }
	}
	r, err := New(Deps{Applied: local, Observed: local, Absence: absence}, DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return r
}

func TestAReadWaitsForTheLeadersIndexAndItsObservations(t *testing.T) {
	local := &replica{}
	r := run(t, local, nil)
	r.Open(&source{asked: 41})
	if err := r.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	if local.seen[0] != 42 || local.observed[0] != 42 {
		t.Errorf("waited for revision %v and observation %v, want 42", local.seen, local.observed)
	}
}

// A read must not be answered by a question that was asked before it came.
func TestReadsThatComeDuringAQuestionShareTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		local := &replica{}
		r := run(t, local, nil)
		s := &source{hold: time.Second}
		r.Open(s)
		var tasks sync.WaitGroup
		tasks.Go(func() { _ = r.Await(t.Context()) })
		synctest.Wait()
		for range 100 {
			tasks.Go(func() {
				if err := r.Await(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		tasks.Wait()
		if s.asked != 2 {
			t.Errorf("%d questions for 101 reads, want 2", s.asked)
		}
		for i, revision := range local.seen {
			if want := min(uint64(i+1), 2); revision != want {
				t.Fatalf("read %d was answered by question %d, want %d", i, revision, want)
			}
		}
	})
}

func TestAReadWaitsForALeaderAndGoesToItAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &replica{}, nil)
		begun := time.Now()
		go func() {
			time.Sleep(3 * time.Second)
			r.Open(&source{})
		}()
		if err := r.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(begun); waited != 3*time.Second {
			t.Errorf("answered after %v", waited)
		}
	})
}

func TestAReplicaThatIsThereAlreadyAnswersAtOnce(t *testing.T) {
	local := &current{}
	r, err := New(Deps{Applied: local, Observed: local, Absence: func() (string, bool) { return "", false }}, DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.Run(ctx)
	}()
	r.Open(&source{})
	if err := r.Await(ctx); err != nil {
		t.Error(err)
	}
	cancel()
	<-ended
}

// current is a replica that is never behind, and must not be waited for.
type current struct{}

func (*current) Applied() uint64             { return 1 << 40 }
func (*current) Reached(uint64, uint64) bool { return true }
func (*current) WaitApplied(context.Context, uint64) error {
	return errors.New("waited for what is there")
}
func (*current) WaitPosition(context.Context, uint64, uint64) error {
	return errors.New("waited for what is there")
}

func TestAReadLeavesALeaderThatIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &replica{}, nil)
		frozen := &source{hold: time.Hour}
		r.Open(frozen)
		begun := time.Now()
		go func() {
			time.Sleep(time.Second)
			r.Open(&source{})
		}()
		if err := r.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(begun); waited != time.Second {
			t.Errorf("answered after %v", waited)
		}
	})
}

func TestALeaderThatRefusesIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &replica{}, nil)
		s := &source{err: errors.New("not ready")}
		r.Open(s)
		go func() {
			time.Sleep(20 * time.Millisecond)
			s.mu.Lock()
			s.err = nil
			s.mu.Unlock()
		}()
		begun := time.Now()
		if err := r.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(begun); waited > 50*time.Millisecond {
			t.Errorf("answered after %v", waited)
		}
	})
}

func TestReadsThatCannotBeAnsweredSayWhy(t *testing.T) {
	t.Run("no leader", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			err := run(t, &replica{}, nil).Await(t.Context())
			if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER || !strings.Contains(err.Error(), "1 of 3 servers reachable") {
				t.Errorf("error is %v", err)
			}
		})
	})
	t.Run("hopeless", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			err := run(t, &replica{}, func() (string, bool) { return "no quorum", true }).Await(t.Context())
			if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER || time.Since(begun) > time.Second {
				t.Errorf("error is %v after %v", err, time.Since(begun))
			}
		})
	})
	t.Run("behind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := run(t, &replica{stuck: true}, nil)
			r.Open(&source{})
			err := r.Await(t.Context())
			if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER || !strings.Contains(err.Error(), "behind") {
				t.Errorf("error is %v", err)
			}
		})
	})
}

func TestReadsBeyondTheLimitAreRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		local := &replica{}
		r := run(t, local, nil)
		r.cfg.MaxWaiting = 3
		var waiting sync.WaitGroup
		for range 3 {
			waiting.Go(func() {
				if err := r.Await(t.Context()); err != nil {
					t.Errorf("a read within the limit: %v", err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		e, ok := argosyv1.AsError(r.Await(t.Context()))
		if !ok || e.Code() != argosyv1.ErrorCode_ERROR_CODE_OVERLOADED || e.Detail.GetRetryAfterMs() == 0 || !time.Now().Equal(began) {
			t.Errorf("one more was answered %v after %v", e, time.Since(began))
		}
		r.Open(&source{})
		waiting.Wait()
		if err := r.Await(t.Context()); err != nil {
			t.Errorf("a read after that: %v", err)
		}
	})
}
