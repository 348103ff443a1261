package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestARetryAfterTheLeaderIsGoneHappensOnce(t *testing.T) {
	for name, end := range map[string]func(*replica, *testing.T){
		"stopped": (*replica).stop,
		"crashed": (*replica).crash,
	} {
		t.Run(name, func(t *testing.T) {
			all := mustCluster(t, 3, nil)
			leader := mustLeader(t, all...)
			req := applyOf(workload("w", "one"))
			first := mustApply(t, leader, req)
			later := mustApply(t, leader, applyOf(workload("w", "two")))
			end(leader, t)

			for _, r := range others(all, leader) {
				again := mustApply(t, r, req)
				if !again.GetReplayed() || again.GetHeader().GetRevision() != first.GetHeader().GetRevision() {
					t.Errorf("retry was answered %v, first %v", again, first)
				}
				if read := mustGet(t, r, "w"); read.GetWorkload().GetRevision() != later.GetHeader().GetRevision() {
					t.Errorf("the retry was carried out: w is at revision %d, want %d", read.GetWorkload().GetRevision(), later.GetHeader().GetRevision())
				}
			}
		})
	}
}

// load writes through servers, moving on when one does not answer, as the
// client library does.
type load struct {
	acked sync.Map // name -> revision
	wrong atomic.Pointer[string]
	count atomic.Int64
}

func (l *load) run(ctx context.Context, writer int, all []*replica) {
	at := writer
	for i := 0; ctx.Err() == nil; i++ {
		name := fmt.Sprintf("w%d-%d", writer, i)
		req := applyOf(workload(name, "one"))
		for ctx.Err() == nil {
			try, cancel := context.WithTimeout(ctx, 15*time.Second)
			response, err := all[at%len(all)].Apply(try, req)
			cancel()
			if err == nil {
				l.acked.Store(name, response.GetHeader().GetRevision())
				l.count.Add(1)
				break
			}
			if !retryable(err) && ctx.Err() == nil {
				text := fmt.Sprintf("write %s through %s: %v", name, all[at%len(all)].cfg.Name, err)
				l.wrong.Store(&text)
				return
			}
			at++
		}
	}
}

func TestWhenTheLeaderGoesNothingAcknowledgedIsLost(t *testing.T) {
	for name, end := range map[string]func(*replica, *testing.T){
		"stopped": (*replica).stop,
		"crashed": (*replica).crash,
	} {
		t.Run(name, func(t *testing.T) {
			all := mustCluster(t, 3, nil)
			leader := mustLeader(t, all...)
			var l load
			var writers sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for i := range 6 {
				writers.Go(func() { l.run(ctx, i, all) })
			}
			eventually(t, "writes before", func() bool { return l.count.Load() > 50 || l.wrong.Load() != nil })
			end(leader, t)
			before := l.count.Load()
			eventually(t, "writes after", func() bool { return l.count.Load() > before+50 || l.wrong.Load() != nil })
			cancel()
			writers.Wait()
			if wrong := l.wrong.Load(); wrong != nil {
				t.Fatal(*wrong)
			}
			for _, r := range others(all, leader) {
				state := mustState(t, r, &argosyv1.GetStateRequest{})
				l.acked.Range(func(name, revision any) bool {
					w, ok := state.workloads[name.(string)]
					if !ok || w.GetRevision() != revision.(uint64) {
						t.Errorf("%s was acknowledged at revision %d and is %v on %s", name, revision, w, r.cfg.Name)
					}
					return true
				})
			}
		})
	}
}

// wholeState is what GetState sent in all.
type wholeState struct {
	header    *argosyv1.ResponseHeader
	workloads map[string]*argosyv1.Workload
	states    []*argosyv1.WorkloadState
}

func mustState(t *testing.T, r *replica, req *argosyv1.GetStateRequest) wholeState {
	t.Helper()
	stream, err := r.GetState(requestContext(t), req)
	if err != nil {
		t.Fatal(err)
	}
	whole := wholeState{workloads: map[string]*argosyv1.Workload{}}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return whole
		}
		if err != nil {
			t.Fatalf("read state of %s: %v", r.cfg.Name, err)
		}
		if m.GetHeader() != nil {
			whole.header = m.GetHeader()
		}
		for _, w := range m.GetWorkloads() {
			whole.workloads[w.GetName()] = w
		}
		whole.states = append(whole.states, m.GetStates()...)
	}
}

// The next leader remembers nothing of what the one before it has refused, but
// for what a repeat has had put into the log.
func TestWhatIsRefusedForGoodIsRefusedByTheNextLeader(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	follower := others(all, leader)[0]
	eventually(t, "refusals may be recorded", func() bool { return level(leader) >= argosyv1.FeatureRefusals })
	mustApply(t, follower, applyOf(workload("w", "x")))
	req := applyOf(workload("w", "y"))
	req.MustNotExist, req.Repeat = true, true
	_, err := follower.Apply(requestContext(t), req)
	refusal, ok := argosyv1.AsError(err)
	if !ok || refusal.Code() != argosyv1.ErrorCode_ERROR_CODE_CONFLICT || !refusal.Detail.GetRecorded() {
		t.Fatalf("refused with %v", err)
	}
	if _, err := follower.Delete(requestContext(t), &argosyv1.DeleteRequest{RequestId: newID(), Names: []string{"w"}}); err != nil {
		t.Fatal(err)
	}
	leader.crash(t)
	next := mustLeader(t, others(all, leader)...)
	copied := &argosyv1.ApplyRequest{RequestId: req.GetRequestId(), Workloads: req.GetWorkloads(), MustNotExist: true}
	eventually(t, "the next leader judges the copy", func() bool {
		_, err = next.Apply(requestContext(t), copied)
		return err == nil || !retryable(err)
	})
	if again, ok := argosyv1.AsError(err); !ok || again.Code() != argosyv1.ErrorCode_ERROR_CODE_CONFLICT || again.Error() != refusal.Error() {
		t.Errorf("the copy was answered with %v, the repeat with %v", err, refusal)
	}
	if _, err := next.GetWorkload(requestContext(t), &argosyv1.GetWorkloadRequest{Name: "w"}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
		t.Errorf("the workload is there: %v", err)
	}
}

func TestLeadershipCanBeGivenAwayThroughAnyServer(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	followers := others(all, leader)
	response, err := followers[0].TransferLeadership(requestContext(t), &argosyv1.TransferLeadershipRequest{ServerId: followers[1].ID()})
	if err != nil {
		t.Fatal(err)
	}
	if response.GetHeader().GetClusterId() == "" {
		t.Errorf("header is %v", response.GetHeader())
	}
	eventually(t, "the chosen leader", func() bool { return followers[1].node.Leadership().Leader })
	for i, r := range all {
		mustApply(t, r, applyOf(workload(fmt.Sprint("w", i), "one")))
	}
	if _, err := leader.TransferLeadership(requestContext(t), &argosyv1.TransferLeadershipRequest{ServerId: "nobody"}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
		t.Errorf("transfer to nobody: %v", err)
	}
}

func TestATransferThatFailsLeavesAWorkingLeader(t *testing.T) {
	r := mustCluster(t, 1, nil)[0]
	if _, err := r.TransferLeadership(requestContext(t), &argosyv1.TransferLeadershipRequest{}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INVALID {
		t.Errorf("transfer without anybody: %v", err)
	}
	mustApply(t, r, applyOf(workload("w", "one")))
}

func TestAMinorityRefusesAndSaysWhy(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	mustApply(t, leader, applyOf(workload("w", "one")))
	left := others(all, leader)[0]
	for _, r := range others(all, left) {
		r.crash(t)
	}
	// At first a request waits, in the hope of an election; its deadline ends it.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := left.Apply(ctx, applyOf(workload("w", "two")))
	if code := argosyv1.CodeOf(err); code != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER && code != argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN {
		t.Errorf("write to a minority: %v", err)
	}
	eventually(t, "the reason", func() bool {
		status, err := left.Status(requestContext(t), &argosyv1.StatusRequest{})
		return err == nil && status.GetNoLeaderReason() == "no leader: 1 of 3 servers reachable, 2 needed"
	})
	_, err = left.Apply(requestContext(t), applyOf(workload("w", "two")))
	if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER {
		t.Errorf("write to a minority: %v", err)
	}
	_, err = left.GetWorkload(requestContext(t), &argosyv1.GetWorkloadRequest{Name: "w"})
	if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER {
		t.Errorf("read from a minority: %v", err)
	}
	stale, err := left.GetWorkload(requestContext(t), &argosyv1.GetWorkloadRequest{Name: "w", Consistency: argosyv1.Consistency_CONSISTENCY_STALE})
	if err != nil {
		t.Fatalf("stale read from a minority: %v", err)
	}
	if stale.GetWorkload().GetRuntimeConfig() != "one" || stale.GetHeader().GetStalenessMs() == 0 {
		t.Errorf("stale read: %v", stale)
	}

	// Started again it has heard of nobody, and does not claim to be up to date.
	cfg := left.cfg
	left.crash(t)
	again := mustStart(t, cfg)
	stale, err = again.GetWorkload(requestContext(t), &argosyv1.GetWorkloadRequest{Name: "w", Consistency: argosyv1.Consistency_CONSISTENCY_STALE})
	if argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
		return // it has not been told yet what was committed
	}
	if err != nil || stale.GetHeader().GetStalenessMs() != argosyv1.StalenessUnknown {
		t.Errorf("stale read after a start: %v, %v", stale, err)
	}
}

// A leader that nobody answers says of stale reads how long that has been so.
func TestALeaderThatIsCutOffDoesNotClaimToBeCurrent(t *testing.T) {
	all := mustCluster(t, 3, func(_ int, cfg *Config) { cfg.TimingMultiplier = 5 })
	leader := mustLeader(t, all...)
	mustApply(t, leader, applyOf(workload("w", "one")))
	read := func() uint64 {
		response, err := leader.GetWorkload(requestContext(t), &argosyv1.GetWorkloadRequest{Name: "w", Consistency: argosyv1.Consistency_CONSISTENCY_STALE})
		if err != nil {
			t.Fatal(err)
		}
		return response.GetHeader().GetStalenessMs()
	}
	eventually(t, "a leader that is answered", func() bool { return read() < argosyv1.StalenessUnknown })
	for _, r := range others(all, leader) {
		r.crash(t)
	}
	var last uint64
	eventually(t, "an age that grows", func() bool {
		age := read()
		grown := last > 0 && age > last && age > 100
		last = age
		return grown && age < argosyv1.StalenessUnknown
	})
}
