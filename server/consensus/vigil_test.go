package consensus

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// scene is a vigil with everything around it made up, in the time of a
// synctest bubble. The server is "b" of "a" (who leads in term 5), "b", "c".
type scene struct {
	*vigil

	mu       sync.Mutex
	now      standing
	last     entryID
	disk     bool // stalled
	watchers []chan struct{}
	elected  []time.Duration // when it campaigned
	asked    int
	began    time.Time
	// onCampaign is what the campaign leads to.
	onCampaign func(*standing)
}

func newScene() *scene {
	s := &scene{
		vigil: newVigil("b", LAN(), slog.New(slog.DiscardHandler)),
		now: standing{
			state: raft.Follower, term: 5, leader: "a", leaderAddress: "a:1",
			heard: time.Now(), voters: []string{"a", "b", "c"},
		},
		last:       entryID{5, 100},
		began:      time.Now(),
		onCampaign: func(at *standing) { at.state, at.leader = raft.Leader, "b" },
	}
	s.raft = s
	s.realm = func() realm { return realm{cluster: "cluster"} }
	s.contact = s.answering(nil)
	s.probe = func(context.Context, string) error { return nil }
	return s
}

// answering makes up the peer API: what each server says, nothing for those
// that are not in the map.
func (s *scene) answering(answers map[string]*argosyv1.ContactResponse) func(context.Context, string, *argosyv1.ContactRequest) (*argosyv1.ContactResponse, error) {
	return func(ctx context.Context, id string, _ *argosyv1.ContactRequest) (*argosyv1.ContactResponse, error) {
		s.mu.Lock()
		s.asked++
		answer := answers[id]
		s.mu.Unlock()
		if answer != nil {
			return answer, nil
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

func (s *scene) standing() standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *scene) lastEntry() entryID { return s.last }
func (s *scene) stalled() bool      { return s.disk }

func (s *scene) changes() (<-chan struct{}, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	watcher := make(chan struct{}, 1)
	s.watchers = append(s.watchers, watcher)
	return watcher, func() {}
}

func (s *scene) change(with func(*standing)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	with(&s.now)
	for _, watcher := range s.watchers {
		select {
		case watcher <- struct{}{}:
		default:
		}
	}
}

func (s *scene) campaign(_ context.Context, wanted func() bool) error {
	if !wanted() {
		return errUnwanted
	}
	s.mu.Lock()
	s.elected = append(s.elected, time.Since(s.began).Round(time.Millisecond))
	s.mu.Unlock()
	s.change(func(at *standing) {
		at.term++
		at.state, at.leader = raft.Candidate, ""
		s.onCampaign(at)
	})
	return nil
}

// play runs the vigil for a time while the others do what happens says.
func (s *scene) play(t *testing.T, length time.Duration, happens func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.run(ctx)
	}()
	if happens != nil {
		go happens()
	}
	time.Sleep(length) // of the bubble's own clock
	synctest.Wait()
	cancel()
	<-done
}

func (s *scene) mustCampaign(t *testing.T, cause Cause, at ...time.Duration) {
	t.Helper()
	if !slices.Equal(s.elected, at) {
		t.Fatalf("campaigned at %v, want %v", s.elected, at)
	}
	if n := s.campaigns()[cause]; n != uint64(len(at)) {
		t.Fatalf("campaigned %d times because of %s, want %d: %v", n, cause, len(at), s.campaigns())
	}
}

func silent(leader string, term uint64, ms uint64) *argosyv1.ContactResponse {
	return &argosyv1.ContactResponse{Follower: true, LeaderId: leader, Term: term, SilentMs: ms}
}

const ms = time.Millisecond

func TestSilenceThatAMajorityAgreesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.contact = s.answering(map[string]*argosyv1.ContactResponse{"c": silent("a", 5, 90)})
		s.play(t, time.Second, nil)
		s.mustCampaign(t, CauseSilence, 105*ms) // the limit, and a moment to take in what waits
	})
}

func TestSecondInRankWaitsForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.now.voters = []string{"a", "c", "b"}
		s.contact = s.answering(map[string]*argosyv1.ContactResponse{"c": silent("a", 5, 90)})
		s.play(t, time.Second, nil)
		s.mustCampaign(t, CauseSilence, 155*ms)
	})
}

func TestServerThatIsCutOffAloneDisturbsNobody(t *testing.T) {
	for name, answers := range map[string]map[string]*argosyv1.ContactResponse{
		"nobody answers":         nil,
		"the other hears it":     {"c": silent("a", 5, 10)},
		"the leader itself does": {"a": {LeaderId: "a", Term: 5}, "c": silent("a", 5, 10)},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene()
			s.contact = s.answering(answers)
			s.play(t, 60*time.Second, nil)
			s.mustCampaign(t, CauseSilence)
			if s.asked == 0 || s.asked > 2*70 {
				t.Fatalf("%s: asked %d times in a minute", name, s.asked)
			}
		})
	}
}

func TestHeartbeatsKeepTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.contact = s.answering(map[string]*argosyv1.ContactResponse{"c": silent("a", 5, 90)})
		s.play(t, 10*time.Second, func() {
			for range 250 {
				time.Sleep(40 * ms)
				s.change(func(at *standing) { at.heard = time.Now() })
			}
		})
		s.mustCampaign(t, CauseSilence)
		if s.asked > 0 {
			t.Fatalf("asked %d times about a leader that was heard", s.asked)
		}
	})
}

func TestHeartbeatThatComesWhileTheOthersAreAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.contact = func(context.Context, string, *argosyv1.ContactRequest) (*argosyv1.ContactResponse, error) {
			s.change(func(at *standing) { at.heard = time.Now() })
			return silent("a", 5, 90), nil
		}
		s.play(t, 150*ms, nil)
		s.mustCampaign(t, CauseSilence)
	})
}

func TestWhoMustNotCampaign(t *testing.T) {
	for name, prepare := range map[string]func(*scene){
		"non-voter":    func(s *scene) { s.now.voters = []string{"a", "c"} },
		"candidate":    func(s *scene) { s.now.state = raft.Candidate },
		"leader":       func(s *scene) { s.now.state, s.now.leader = raft.Leader, "b" },
		"disk stalled": func(s *scene) { s.disk = true },
		"empty server": func(s *scene) { s.now.voters, s.now.leader = nil, "" },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene()
			prepare(s)
			s.contact = s.answering(map[string]*argosyv1.ContactResponse{"c": silent("a", 5, 90)})
			s.probe = func(context.Context, string) error { return syscall.ECONNREFUSED }
			s.play(t, 5*time.Second, func() { s.lost("a") })
			if len(s.elected) > 0 {
				t.Fatalf("%s: campaigned at %v", name, s.elected)
			}
		})
	}
}

// refusedDial is what a dial to where nothing listens returns.
var refusedDial = &net.OpError{Op: "dial", Err: errors.Join(syscall.ECONNREFUSED)}

func TestBrokenConnectionAndRefusedDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.probe = func(context.Context, string) error { return refusedDial }
		s.play(t, time.Second, func() {
			time.Sleep(20 * ms)
			s.lost("a")
			s.lost("a") // it had more than one
		})
		s.mustCampaign(t, CauseLeaderGone, 20*ms)
	})
}

func TestListenerThatClosesAfterTheConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.probe = func(context.Context, string) error {
			if time.Since(s.began) < 35*ms {
				return nil
			}
			return refusedDial
		}
		s.play(t, time.Second, func() {
			time.Sleep(30 * ms)
			s.lost("a")
			// A last message of the leader is still taken in.
			time.Sleep(3 * ms)
			s.change(func(at *standing) { at.heard = time.Now() })
		})
		s.mustCampaign(t, CauseLeaderGone, 36*ms)
	})
}

func TestConnectionThatBreaksForOtherReasons(t *testing.T) {
	for name, test := range map[string]struct {
		peer  string
		probe error
	}{
		"leader still listens":   {"a", nil},
		"leader is not answered": {"a", syscall.EHOSTUNREACH},
		"dial times out":         {"a", context.DeadlineExceeded},
		"another server":         {"c", refusedDial},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene()
			s.probe = func(context.Context, string) error { return test.probe }
			s.play(t, time.Second, func() { s.lost(test.peer) })
			if len(s.elected) > 0 {
				t.Fatalf("%s: campaigned at %v", name, s.elected)
			}
		})
	}
}

func TestSecondInRankLeavesItToTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.now.voters = []string{"a", "c", "b"}
		s.probe = func(context.Context, string) error { return refusedDial }
		s.play(t, time.Second, func() {
			s.lost("a")
			time.Sleep(10 * ms)
			s.ballots.note(&raft.RequestVoteRequest{Term: 6, LastLogTerm: 5, LastLogIndex: 100})
			s.change(func(at *standing) { at.term, at.leader, at.heard = 6, "", time.Now() })
			time.Sleep(60 * ms) // its disk is slow
			s.change(func(at *standing) { at.leader, at.heard = "c", time.Now() })
		})
		s.mustCampaign(t, CauseLeaderGone)
	})
}

func TestSecondInRankGoesWhenTheFirstCannotWin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.now.voters = []string{"a", "c", "b"}
		s.probe = func(context.Context, string) error { return refusedDial }
		s.play(t, time.Second, func() {
			s.lost("a")
			time.Sleep(10 * ms)
			// The first has not got the last entry: it will not get this vote.
			s.ballots.note(&raft.RequestVoteRequest{Term: 6, LastLogTerm: 5, LastLogIndex: 99})
		})
		s.mustCampaign(t, CauseLeaderGone, 10*ms)
	})
}

func TestCandidateThatCannotWinIsOvertaken(t *testing.T) {
	older := entryID{5, 99}
	for name, test := range map[string]struct {
		before func(*standing) // what the server has seen by then
		ballot *raft.RequestVoteRequest
		after  func(*standing) // what Raft makes of it
		paused bool
		want   []time.Duration
	}{
		"its log is older": {
			ballot: vote(6, older, true),
			after:  func(at *standing) { at.term, at.leader = 6, "" },
			want:   []time.Duration{160 * ms},
		},
		"its log is older, Raft has not looked yet": {
			ballot: vote(6, older, true),
			want:   []time.Duration{160 * ms},
		},
		"its log is as long": {
			ballot: vote(6, entryID{5, 100}, true),
			after:  func(at *standing) { at.term, at.leader, at.heard = 6, "", time.Now() },
		},
		"its election was decided": {
			before: func(at *standing) { at.term, at.leader = 6, "c" },
			ballot: vote(6, older, true),
		},
		"its term is over": {
			before: func(at *standing) { at.term, at.leader = 7, "" },
			ballot: vote(6, older, true),
		},
		"Raft ignores it": {
			ballot: vote(6, older, false),
		},
		"this server used to lead": {
			before: func(at *standing) { at.leader = "b" },
			ballot: vote(6, older, true),
			after:  func(at *standing) { at.term, at.leader = 6, "" },
		},
		"this server was paused": {
			ballot: vote(6, older, true),
			after:  func(at *standing) { at.term, at.leader = 6, "" },
			paused: true,
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene()
			s.play(t, 200*ms, func() {
				for range 4 {
					time.Sleep(40 * ms)
					s.change(func(at *standing) { at.heard = time.Now() })
				}
				if test.before != nil {
					s.change(test.before)
					time.Sleep(ms)
				}
				if test.paused {
					s.pulse.mu.Lock()
					s.pulse.since = time.Now().Add(-s.timing.Silence / 2)
					s.pulse.mu.Unlock()
				}
				if test.after != nil {
					s.change(test.after)
				}
				s.ballots.note(test.ballot)
			})
			if !slices.Equal(s.elected, test.want) {
				t.Errorf("%s: campaigned at %v, want %v", name, s.elected, test.want)
			}
		})
	}
}

func vote(term uint64, last entryID, regardless bool) *raft.RequestVoteRequest {
	return &raft.RequestVoteRequest{Term: term, LastLogTerm: last.term, LastLogIndex: last.index, LeadershipTransfer: regardless}
}

func TestCandidateThatCanWinWithoutThisVoteIsGivenTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.now.voters, s.now.leader = []string{"a", "c", "b"}, "" // nobody has led yet
		s.found()
		s.play(t, time.Second, func() {
			time.Sleep(10 * ms)
			s.ballots.note(&raft.RequestVoteRequest{Term: 6, LastLogTerm: 5, LastLogIndex: 99})
			time.Sleep(60 * ms)
			s.change(func(at *standing) { at.term, at.leader, at.heard = 6, "c", time.Now() })
		})
		s.mustCampaign(t, CauseFounding)
	})
}

func TestFirstInRankMayBeDeadToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.now.voters = []string{"a", "c", "b"}
		s.probe = func(context.Context, string) error { return refusedDial }
		s.play(t, time.Second, func() { s.lost("a") })
		s.mustCampaign(t, CauseLeaderGone, 50*ms)
	})
}

func TestCampaignIsRepeatedWhileNobodyLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.probe = func(context.Context, string) error { return refusedDial }
		s.onCampaign = func(at *standing) { // split vote, then won
			if at.term > 6 {
				at.state, at.leader = raft.Leader, "b"
			}
		}
		s.play(t, time.Second, func() { s.lost("a") })
		s.mustCampaign(t, CauseLeaderGone, 0, 85*ms)
	})
}

func TestNoEvidenceMakesAQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.probe = func(context.Context, string) error { return refusedDial }
		s.onCampaign = func(at *standing) {} // stays a candidate for ever
		s.play(t, 10*time.Minute, func() { s.lost("a") })
		if len(s.elected) != 4 {
			t.Fatalf("campaigned %d times in ten minutes without a quorum, at %v", len(s.elected), s.elected)
		}
	})
}

func TestClusterOfOneLeadsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.now.voters, s.now.leader = []string{"b"}, ""
		s.play(t, time.Second, nil)
		s.mustCampaign(t, CauseAlone, 0)
	})
}

func TestAnswerToAnotherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		time.Sleep(80 * ms)
		got := s.answer(time.Now())
		if got.GetLeaderId() != "a" || got.GetTerm() != 5 || got.GetSilentMs() != 80 || !got.GetFollower() {
			t.Fatalf("answered %v", got)
		}
		s.now.state = raft.Candidate
		if s.answer(time.Now()).GetFollower() {
			t.Fatal("a candidate consents")
		}
	})
}
