package audit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// replica is a real state machine with its auditor.
type replica struct {
	*fsm.Machine
	*audit.Auditor
	id    string
	ended chan error
	aside bool
}

// world is some replicas that are given the same entries.
type world struct {
	t        *testing.T
	replicas []*replica
	voters   []string
	leader   string

	applying sync.Mutex
	index    uint64

	mu    sync.Mutex
	mute  map[string]bool // do not answer
	asked int
}

func (w *world) Voters() []string { return w.voters }

func (w *world) StateHash(ctx context.Context, id string, revision uint64) (audit.Hash, bool, error) {
	w.mu.Lock()
	w.asked++
	mute := w.mute[id]
	w.mu.Unlock()
	if mute {
		<-ctx.Done()
		return audit.Hash{}, false, ctx.Err()
	}
	for _, r := range w.replicas {
		if r.id == id {
			hash, known := r.HashAt(revision)
			return hash, known, nil
		}
	}
	return audit.Hash{}, false, errors.New("no such server")
}

// newWorld makes servers a, b, c...; a leads.
func newWorld(t *testing.T, n int, change func(*audit.Config)) *world {
	w := &world{t: t, leader: "a", mute: map[string]bool{}}
	cfg := audit.DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for i := range n {
		machine, err := fsm.New(fsm.DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		r := &replica{Machine: machine, id: string(rune('a' + i)), ended: make(chan error, 1)}
		r.Auditor, err = audit.New(audit.Deps{
			ServerID: r.id, Machine: machine, Peers: w,
			Leads:     func() bool { return w.leader == r.id },
			StepAside: func(context.Context) error { r.aside = true; return nil },
		}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		w.replicas, w.voters = append(w.replicas, r), append(w.voters, r.id)
		running.Go(func() { r.ended <- r.Run(ctx) })
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	return w
}

// apply gives an entry to all replicas; those that are named get another one.
func (w *world) apply(mutation *argosyv1.Mutation, but ...string) {
	w.t.Helper()
	w.applying.Lock()
	defer w.applying.Unlock()
	w.index++
	for _, r := range w.replicas {
		e := &argosyv1.Entry{Mutations: []*argosyv1.Mutation{mutation}}
		for _, id := range but {
			if r.id == id {
				e = &argosyv1.Entry{Mutations: []*argosyv1.Mutation{put("wrong " + id)}}
			}
		}
		data, err := proto.Marshal(e)
		if err != nil {
			w.t.Fatal(err)
		}
		if err, failed := r.Apply(&raft.Log{Index: w.index, Term: 1, Data: data}).(error); failed {
			w.t.Fatal(err)
		}
	}
}

// beacon gives all replicas the leader's beacon.
func (w *world) beacon() {
	w.t.Helper()
	view := w.at(w.leader).View()
	hash := view.Hash()
	w.apply(&argosyv1.Mutation{Kind: &argosyv1.Mutation_Beacon{Beacon: &argosyv1.Beacon{Revision: view.Revision(), StateHash: hash[:]}}})
}

func (w *world) at(id string) *replica { return w.replicas[id[0]-'a'] }

func put(value string) *argosyv1.Mutation {
	return &argosyv1.Mutation{Kind: &argosyv1.Mutation_Put{Put: &argosyv1.PutRow{
		Kind: argosyv1.RowKind_ROW_KIND_WORKLOAD, Key: "w", Value: []byte(value),
	}}}
}

// verdicts returns who ended, and with what.
func (w *world) verdicts() string {
	var all []string
	for _, r := range w.replicas {
		select {
		case err := <-r.ended:
			switch {
			case errors.Is(err, audit.ErrDiverged):
				all = append(all, r.id+" diverged")
			case errors.Is(err, fsm.ErrDamaged):
				all = append(all, r.id+" damaged")
			default:
				all = append(all, fmt.Sprintf("%s ended: %v", r.id, err))
			}
		default:
		}
	}
	return strings.Join(all, ", ")
}

func TestTheOneThatDiffersIsFound(t *testing.T) {
	for name, test := range map[string]struct {
		servers int
		wrong   []string
		mute    []string
		want    string
		problem string // that server a tells of; "*" when it may have asked enough before it heard of it
	}{
		"nobody":                          {3, nil, nil, "", ""},
		"nobody, and one is silent":       {3, nil, []string{"c"}, "", ""},
		"nobody, and nobody answers":      {3, nil, []string{"b", "c"}, "", ""},
		"a follower":                      {3, []string{"b"}, nil, "b diverged", "*"},
		"a follower while one is silent":  {3, []string{"b"}, []string{"c"}, "", "no majority"},
		"the leader":                      {3, []string{"a"}, nil, "a diverged", "majority"},
		"two of five":                     {5, []string{"b", "d"}, nil, "b diverged, d diverged", "*"},
		"the leader and another one":      {5, []string{"a", "d"}, nil, "a diverged, d diverged", "majority"},
		"one of two":                      {2, []string{"b"}, nil, "", "no majority"},
		"each has another":                {3, []string{"a", "b"}, nil, "", "no majority"},
		"the only one can not be wrong":   {1, nil, nil, "", ""},
		"two of five, two of them silent": {5, []string{"b"}, []string{"d", "e"}, "", "no majority"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, test.servers, nil)
				for _, id := range test.mute {
					w.mute[id] = true
				}
				w.apply(put("one"))
				w.apply(put("two"), test.wrong...)
				w.beacon()
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := w.verdicts(); got != test.want {
					t.Errorf("verdict is %q, want %q", got, test.want)
				}
				if leads := w.at("a"); leads.aside != strings.Contains(test.want, "a diverged") {
					t.Errorf("leadership given away: %v", leads.aside)
				}
				problem := w.at("a").Problem()
				if test.problem == "*" {
					return
				}
				if (problem == "") != (test.problem == "") || !strings.Contains(problem, test.problem) {
					t.Errorf("problem is %q, want %q", problem, test.problem)
				}
			})
		})
	}
}

func TestFollowersAskNobodyWhileAllAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		w.leader = "b" // whose auditor asks
		w.apply(put("one"))
		w.leader = "nobody"
		view := w.at("b").View()
		hash := view.Hash()
		w.apply(&argosyv1.Mutation{Kind: &argosyv1.Mutation_Beacon{Beacon: &argosyv1.Beacon{Revision: view.Revision(), StateHash: hash[:]}}})
		time.Sleep(time.Minute)
		if w.asked != 0 {
			t.Errorf("followers asked %d times", w.asked)
		}
	})
}

// A leader whose state was somewhere that the others never were must not wait for
// them for long: the next beacon tells more.
func TestARevisionThatNobodyElseHadIsSoonLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		w.apply(put("one"))
		data, err := proto.Marshal(&argosyv1.Entry{Mutations: []*argosyv1.Mutation{{Kind: &argosyv1.Mutation_Put{
			Put: &argosyv1.PutRow{Kind: argosyv1.RowKind_ROW_KIND_AGENT, Key: "rogue"}}}}})
		if err != nil {
			t.Fatal(err)
		}
		w.index++
		w.at("a").Apply(&raft.Log{Index: w.index, Term: 1, Data: data})
		w.beacon()
		time.Sleep(time.Second)
		w.apply(put("two"))
		w.beacon()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := w.verdicts(); got != "a diverged" {
			t.Errorf("verdict is %q", got)
		}
	})
}

func TestAProblemThatIsOverIsNotToldAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		w.apply(put("one"), "b")
		w.beacon()
		time.Sleep(time.Minute)
		if w.at("a").Problem() == "" || w.at("b").Problem() == "" {
			t.Fatal("a difference is not told of")
		}
		w.apply(put("two"))
		w.beacon()
		time.Sleep(time.Minute)
		if a, b := w.at("a").Problem(), w.at("b").Problem(); a != "" || b != "" {
			t.Errorf("problems are still %q and %q", a, b)
		}
	})
}

func TestDamageOfMemoryIsFoundByHashing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		w.apply(put("one"))
		time.Sleep(25 * time.Minute)
		if got := w.verdicts(); got != "" {
			t.Fatalf("a whole state was found to be %q", got)
		}
		synctest.Wait()
		row, _ := w.at("b").View().Workload("w")
		row.Value[0] ^= 1
		w.apply(&argosyv1.Mutation{Kind: &argosyv1.Mutation_Delete{Delete: &argosyv1.DeleteRow{
			Kind: argosyv1.RowKind_ROW_KIND_AGENT, Key: "none"}}})
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if got := w.verdicts(); got != "b damaged" {
			t.Errorf("verdict is %q", got)
		}
	})
}

// lead counts the beacons that a leader proposes.
func (w *world) lead(t *testing.T) *atomic.Int64 {
	count := new(atomic.Int64)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.at("a").Lead(ctx, func(context.Context) error {
			count.Add(1)
			w.beacon()
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return count
}

func TestDamageOfTheLogIsFoundByReadingIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machine, err := fsm.New(fsm.DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		damage := errors.New("damaged")
		reads := 0
		auditor, err := audit.New(audit.Deps{
			ServerID: "a", Machine: machine,
			Leads: func() bool { return false },
			Reread: func(rest func() error) error {
				if reads++; reads < 3 {
					return rest()
				}
				return damage
			},
		}, audit.DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := auditor.Run(t.Context()); !errors.Is(err, damage) {
			t.Fatalf("ended with %v", err)
		}
		if took := time.Since(began).Round(time.Minute); took != 3*audit.DefaultConfig().Rehash {
			t.Errorf("the log was read three times in %v", took)
		}
	})
}

func TestBeaconsComeAfterManyEntriesOrSomeTimeAndNeverAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, func(cfg *audit.Config) { cfg.Entries = 10 })
		beacons := w.lead(t)
		time.Sleep(time.Hour + time.Minute)
		if beacons.Load() != 0 {
			t.Fatalf("%d beacons in an empty cluster", beacons.Load())
		}
		w.apply(put("one"))
		time.Sleep(time.Hour + time.Minute)
		if beacons.Load() != 1 {
			t.Fatalf("%d beacons after one change and an hour", beacons.Load())
		}
		for range 9 {
			w.apply(put("more"))
		}
		synctest.Wait()
		if beacons.Load() != 1 {
			t.Fatalf("%d beacons after 9 entries more", beacons.Load())
		}
		w.apply(put("more"))
		synctest.Wait()
		if beacons.Load() != 2 {
			t.Fatalf("%d beacons after 10 entries more", beacons.Load())
		}
	})
}

func TestALeaderThatMayNotProposeBeaconsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, func(cfg *audit.Config) { cfg.Entries = 1 })
		for range 100 {
			w.apply(put("x"))
		}
		calls := 0
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := w.at("a").Lead(ctx, func(context.Context) error { calls++; return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if calls > 24 {
			t.Errorf("asked %d times in an hour", calls)
		}
	})
}

func TestABeaconThatCouldNotBeProposedForAMomentIsNotPutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, func(cfg *audit.Config) { cfg.Entries = 1 })
		w.apply(put("x"))
		tries := 0
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = w.at("a").Lead(ctx, func(context.Context) error {
			if tries++; tries == 2 {
				w.beacon()
			}
			return nil // The first time leadership was being given away, in vain.
		})
		if tries < 2 {
			t.Errorf("a leader that could not propose for a moment tried %d times within a second", tries)
		}
	})
}

func TestWhoFailedAtAnEntryIsToldWhetherTheOthersGotPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		w.apply(put("one"))
		if w.at("c").GotPast(t.Context(), 2) {
			t.Error("nobody has applied entry 2")
		}
		w.apply(put("two"))
		if !w.at("c").GotPast(t.Context(), 2) {
			t.Error("the others have applied entry 2")
		}
	})
}

func TestConfigurationIsChecked(t *testing.T) {
	if _, err := audit.New(audit.Deps{}, audit.Config{}); err == nil {
		t.Error("an empty configuration was taken")
	}
}
