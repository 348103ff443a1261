package diskspace

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mib = 1 << 20

// bench is a monitor with everything around it in the test's hands.
type bench struct {
	*Monitor
	free     atomic.Uint64
	leads    atomic.Bool
	voters   atomic.Pointer[[]Voter]
	handed   atomic.Pointer[string]
	stubborn atomic.Bool // leadership cannot be given away
	asked    atomic.Int64
	broken   atomic.Bool
}

func start(t *testing.T, voters ...Voter) *bench {
	t.Helper()
	b := &bench{}
	b.free.Store(1000 * mib)
	b.leads.Store(true)
	b.voters.Store(&voters)
	m, err := New(Deps{
		Measure: func() (Usage, error) {
			if b.broken.Load() {
				return Usage{}, errors.New("no such device")
			}
			return Usage{Free: b.free.Load(), Size: 100 << 30}, nil
		},
		Leads: b.leads.Load,
		Voters: func(context.Context) ([]Voter, int) {
			b.asked.Add(1)
			all := *b.voters.Load()
			return all, len(all) + 1
		},
		HandOver: func(_ context.Context, id string) error {
			if b.stubborn.Load() {
				return errors.New("nobody takes it")
			}
			b.handed.Store(&id)
			b.leads.Store(false)
			return nil
		},
	}, DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	b.Monitor = m
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return b
}

// pass lets the monitor look once more.
func pass() {
	time.Sleep(time.Second) // of the test's own clock
	synctest.Wait()
}

func voter(id string, free uint64) Voter {
	return Voter{ID: id, Usage: Usage{Free: free, Size: 100 << 30}}
}

func wantRefused(t *testing.T, b *bench, part string) {
	t.Helper()
	if err := b.Full(); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_SPACE || !strings.Contains(err.Error(), part) {
		t.Fatalf("writes are refused with %v, want %q", err, part)
	}
}

func TestALeaderWithTooLittleSpaceLetsTheOneWithMostLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, voter("b", 300*mib), voter("c", 400*mib))
		pass()
		if b.handed.Load() != nil || b.Problem() != "" {
			t.Fatalf("leadership went to %v, problem %q", b.handed.Load(), b.Problem())
		}
		b.free.Store(200 * mib)
		pass()
		if to := b.handed.Load(); to == nil || *to != "c" {
			t.Fatalf("leadership went to %v, want c", to)
		}
		if b.Full() != nil {
			t.Errorf("a server that does not lead refuses writes: %v", b.Full())
		}
		if !strings.Contains(b.Problem(), "200.0 MiB of 100.0 GiB free") {
			t.Errorf("problem is %q", b.Problem())
		}
	})
}

func TestWithoutASuccessorWritesAreRefusedUntilThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		b.free.Store(200 * mib)
		pass()
		wantRefused(t, b, "200.0 MiB of 100.0 GiB free, below the floor of 256.0 MiB")
		b.free.Store(260 * mib) // above the floor, but only just
		pass()
		wantRefused(t, b, "260.0 MiB")
		b.free.Store(330 * mib)
		pass()
		if b.Full() != nil || b.Problem() != "" {
			t.Fatalf("refused with %v, problem %q", b.Full(), b.Problem())
		}
	})
}

func TestALeaderThatCannotGiveWayRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, voter("b", 900*mib), voter("c", 900*mib))
		b.stubborn.Store(true)
		b.free.Store(100 * mib)
		pass()
		wantRefused(t, b, "100.0 MiB")
		b.stubborn.Store(false)
		pass()
		if b.handed.Load() == nil {
			t.Fatal("it was not tried again")
		}
		pass()
		if b.Full() != nil {
			t.Fatalf("refused with %v", b.Full())
		}
	})
}

// A leader with room does not help when a quorum has none.
func TestWhenAQuorumHasNoSpaceWritesAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, voter("b", 10*mib), voter("c", 500*mib))
		pass()
		if b.Full() != nil {
			t.Fatalf("one full disk of three stops writes: %v", b.Full())
		}
		all := []Voter{voter("b", 10*mib), voter("c", 10*mib)}
		b.voters.Store(&all)
		for range 11 {
			pass()
		}
		wantRefused(t, b, "disks of 2 of 3 servers")
		if b.handed.Load() != nil {
			t.Fatal("leadership was given to a server with a full disk")
		}
		all = []Voter{voter("b", 10*mib), voter("c", 500*mib)}
		b.voters.Store(&all)
		pass()
		if b.Full() != nil {
			t.Fatalf("refused with %v", b.Full())
		}
	})
}

func TestVotersAreAskedSeldomWhileAllIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, voter("b", 500*mib), voter("c", 500*mib))
		for range 60 {
			pass()
		}
		if asked := b.asked.Load(); asked > 7 {
			t.Errorf("voters were asked %d times in a minute", asked)
		}
	})
}

func TestADiskThatCannotBeMeasuredChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		b.broken.Store(true)
		pass()
		if b.Full() != nil || b.Problem() != "" {
			t.Fatalf("refused with %v, problem %q", b.Full(), b.Problem())
		}
	})
}

func TestTheFloorFitsTheDisk(t *testing.T) {
	for name, c := range map[string]struct {
		floor, free, size uint64
		before, low       bool
	}{
		"large disk, enough":      {256 * mib, 256 * mib, 100 << 30, false, false},
		"large disk, too little":  {256 * mib, 256*mib - 1, 100 << 30, false, true},
		"recovering":              {256 * mib, 300 * mib, 100 << 30, true, true},
		"recovered":               {256 * mib, 320 * mib, 100 << 30, true, false},
		"small disk: a twentieth": {256 * mib, 60 * mib, 1000 * mib, false, false},
		"small disk, too little":  {256 * mib, 49 * mib, 1000 * mib, false, true},
		"size not known":          {256 * mib, 60 * mib, 0, false, true},
		"off":                     {0, 0, 1000 * mib, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			if low := (Config{Floor: c.floor}).low(Usage{Free: c.free, Size: c.size}, c.before); low != c.low {
				t.Errorf("low is %v", low)
			}
		})
	}
}

func TestAFileSystemIsMeasured(t *testing.T) {
	u, err := Of(t.TempDir())
	if err != nil || u.Size == 0 || u.Free > u.Size {
		t.Fatalf("measured %+v, %v", u, err)
	}
	if _, err := Of(t.TempDir() + "/nothing"); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("measured a directory that is not there: %v", err)
	}
}
