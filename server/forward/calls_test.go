package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/writer"
)

// wire is a client's stream in memory.
type wire struct {
	grpc.ServerStream
	ctx context.Context
	// gone ends with the stream itself, not with the server.
	gone     context.Context
	requests chan *argosyv1.WriteRequests
	answers  chan *argosyv1.WriteResponses
}

func (w *wire) Context() context.Context { return w.ctx }

func (w *wire) Recv() (*argosyv1.WriteRequests, error) {
	select {
	case m, ok := <-w.requests:
		if !ok {
			return nil, io.EOF
		}
		return m, nil
	case <-w.gone.Done():
		return nil, w.gone.Err()
	}
}

func (w *wire) Send(m *argosyv1.WriteResponses) error {
	select {
	case w.answers <- m:
		return nil
	case <-w.gone.Done():
		return w.gone.Err()
	}
}

// caller is the client of a stream that a router serves.
type caller struct {
	*wire
	stop  context.CancelFunc // the server stops
	leave context.CancelFunc // the client goes away
	ended chan error
	// wait is what rehearsals wait for.
	wait func(context.Context) error
}

func serve(t *testing.T, r *Router) *caller {
	t.Helper()
	gone, leave := context.WithCancel(context.Background())
	ctx, stop := context.WithCancel(gone)
	c := &caller{
		wire: &wire{ctx: ctx, gone: gone, requests: make(chan *argosyv1.WriteRequests), answers: make(chan *argosyv1.WriteResponses, 10_000)},
		stop: stop, leave: leave, ended: make(chan error, 1),
	}
	go func() {
		err := r.Serve(c.wire, "ann", func(w Write) (func(context.Context) error, error) {
			if w.Apply.GetOnBehalfOf() != nil {
				return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN, "no")
			}
			if w.Apply.GetDryRun() {
				return c.wait, nil
			}
			return nil, nil
		}, func() *argosyv1.ResponseHeader { return &argosyv1.ResponseHeader{ServerId: "me"} })
		leave()
		c.ended <- err
	}()
	t.Cleanup(leave)
	if m := <-c.answers; m.GetHeader().GetServerId() != "me" {
		t.Fatalf("the first message is %v", m)
	}
	return c
}

// send sends writes with some time-out and numbers from first on.
func (c *caller) send(first, count int, timeout time.Duration) {
	m := &argosyv1.WriteRequests{}
	for n := range count {
		m.Writes = append(m.Writes, &argosyv1.NumberedWrite{
			Sequence: uint64(first + n), TimeoutMs: uint64(timeout.Milliseconds()),
			Write: &argosyv1.NumberedWrite_Apply{Apply: &argosyv1.ApplyRequest{RequestId: fmt.Appendf(nil, "id-%013d", first+n)}},
		})
	}
	c.requests <- m
}

// take returns the next answers, by their numbers.
func (c *caller) take(count int) map[uint64]*argosyv1.NumberedResult {
	results := map[uint64]*argosyv1.NumberedResult{}
	for len(results) < count {
		for _, r := range (<-c.answers).GetResults() {
			results[r.GetSequence()] = r
		}
	}
	return results
}

func TestAStreamOfCallsAnswersEachUnderItsNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustRouter(t, nil)
		r.Open(&leader{answer: func(q *writer.Request) (writer.Outcome, bool) {
			if q.Principal != "ann" {
				return writer.Outcome{Err: errors.New("principal is " + q.Principal)}, true
			}
			return writer.Outcome{Revision: 7, Replayed: true, Result: &argosyv1.WriteResult{Changes: []*argosyv1.WorkloadChange{{Name: string(q.Apply.GetRequestId())}}}}, true
		}})
		c := serve(t, r)
		c.send(1, 300, time.Second)
		for n, result := range c.take(300) {
			if result.GetRevision() != 7 || !result.GetReplayed() || result.GetError() != nil || result.GetResult().GetChanges()[0].GetName() != fmt.Sprintf("id-%013d", n) {
				t.Errorf("%d was answered %v", n, result)
			}
		}
		c.leave()
		if err := <-c.ended; err == nil {
			t.Error("ended as if the client had sent all it has")
		}
	})
}

func TestACallThatHasToWaitHoldsNoOtherUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustRouter(t, nil)
		c := serve(t, r)
		may := make(chan error)
		c.wait = func(ctx context.Context) error {
			select {
			case err := <-may:
				return err
			case <-ctx.Done():
				return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE, "in vain: %v", ctx.Err())
			}
		}
		rehearsal := func(sequence, milliseconds uint64) *argosyv1.NumberedWrite {
			return &argosyv1.NumberedWrite{Sequence: sequence, TimeoutMs: milliseconds,
				Write: &argosyv1.NumberedWrite_Apply{Apply: &argosyv1.ApplyRequest{DryRun: true}}}
		}
		r.Open(says(writer.Outcome{Revision: 7}))
		c.requests <- &argosyv1.WriteRequests{Writes: []*argosyv1.NumberedWrite{rehearsal(1, 60_000)}}
		c.send(2, 1, time.Second)
		if result := c.take(1)[2]; result.GetRevision() != 7 {
			t.Errorf("beside one that waits it was answered %v", result)
		}
		may <- nil
		if result := c.take(1)[1]; result.GetRevision() != 7 {
			t.Errorf("after it has waited it was answered %v", result)
		}
		c.requests <- &argosyv1.WriteRequests{Writes: []*argosyv1.NumberedWrite{rehearsal(3, 60_000), rehearsal(4, 1000)}}
		if result := c.take(1)[4]; result.GetError().GetCode() != argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE {
			t.Errorf("when its time was over it was answered %v", result)
		}
		may <- argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN, "no")
		if result := c.take(1)[3]; result.GetError().GetCode() != argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN {
			t.Errorf("refused after it has waited it was answered %v", result)
		}
		// Those that wait end with their stream.
		c.requests <- &argosyv1.WriteRequests{Writes: []*argosyv1.NumberedWrite{rehearsal(5, 60_000)}}
		synctest.Wait()
		c.leave()
		<-c.ended
		if waiting := r.Waiting(); waiting != 0 {
			t.Errorf("%d writes wait", waiting)
		}
	})
}

func TestARefusalKeepsItsMeaningOnAStreamOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustRouter(t, nil)
		r.Open(says(writer.Outcome{Err: &argosyv1.Error{Detail: &argosyv1.ErrorDetail{Code: argosyv1.ErrorCode_ERROR_CODE_CONFLICT, CurrentRevision: 44}, Message: "m"}}))
		c := serve(t, r)
		c.send(1, 1, time.Second)
		if result := c.take(1)[1]; result.GetError().GetCode() != argosyv1.ErrorCode_ERROR_CODE_CONFLICT || result.GetError().GetCurrentRevision() != 44 || result.GetMessage() != "m" {
			t.Errorf("answered %v", result)
		}
		c.requests <- &argosyv1.WriteRequests{Writes: []*argosyv1.NumberedWrite{{Sequence: 2}}}
		if result := c.take(1)[2]; result.GetError().GetCode() != argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE {
			t.Errorf("a write of an unknown kind was answered %v", result)
		}
	})
}

func TestCallsOnAStreamAreTakenToTheNextLeaderUnderTheirOwnIDs(t *testing.T) {
	for name, first := range map[string]*leader{
		"certainly not done": says(writer.Outcome{Err: fmt.Errorf("%w: deposed", writer.ErrNotDone)}),
		"fate unknown":       says(writer.Outcome{Err: fmt.Errorf("%w: deposed", writer.ErrFateUnknown)}),
		"no answer":          silent(),
		"not begun":          idle(),
		"no leader at first": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := mustRouter(t, nil)
				if first != nil {
					r.Open(first)
				}
				var mu sync.Mutex
				ids := map[string]int{}
				second := &leader{answer: func(q *writer.Request) (writer.Outcome, bool) {
					mu.Lock()
					defer mu.Unlock()
					ids[string(q.Apply.GetRequestId())]++
					return writer.Outcome{Revision: 7}, true
				}}
				c := serve(t, r)
				c.send(1, 20, 10*time.Second)
				go func() {
					time.Sleep(time.Second)
					r.Close()
					if first != nil {
						first.end()
					}
					time.Sleep(time.Second)
					r.Open(second)
				}()
				for n, result := range c.take(20) {
					if result.GetRevision() != 7 || ids[fmt.Sprintf("id-%013d", n)] != 1 {
						t.Errorf("%d was answered %v, asked %d times", n, result, ids[fmt.Sprintf("id-%013d", n)])
					}
				}
			})
		})
	}
}

func TestWhatIsKnownOfACallThatRanOutOfTimeIsSaid(t *testing.T) {
	for name, test := range map[string]struct {
		leader *leader
		want   argosyv1.ErrorCode
	}{
		"no leader":            {nil, argosyv1.ErrorCode_ERROR_CODE_NO_LEADER},
		"a leader that hangs":  {silent(), argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN},
		"a leader too busy":    {idle(), argosyv1.ErrorCode_ERROR_CODE_NO_LEADER},
		"a leader that cannot": {says(writer.Outcome{Err: writer.ErrNotDone}), argosyv1.ErrorCode_ERROR_CODE_NO_LEADER},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := mustRouter(t, nil)
				if test.leader != nil {
					r.Open(test.leader)
				}
				c := serve(t, r)
				begun := time.Now()
				c.send(1, 1, time.Second)
				result := c.take(1)[1]
				if result.GetError().GetCode() != test.want {
					t.Errorf("answered %v", result)
				}
				if waited := time.Since(begun); waited > time.Second {
					t.Errorf("the reason came after %v, and its client had given up", waited)
				}
			})
		})
	}
}

// A target may hand a write back in the moment in which its time is found to be
// over: it is not tried again then, for it is being answered that it was not done.
func TestACallThatRanOutOfTimeIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := idle()
		handBack := sync.OnceFunc(func() { l.requests[0].Done(writer.Outcome{Err: writer.ErrNotDone}) })
		r := mustRouter(t, func() (string, bool) {
			handBack()
			return "too busy", false
		})
		r.Open(l)
		c := serve(t, r)
		c.send(1, 1, time.Second)
		if result := c.take(1)[1]; result.GetError().GetCode() != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER {
			t.Errorf("answered %v", result)
		}
		synctest.Wait()
		if n := l.asked(); n != 1 {
			t.Errorf("it was handed on %d times", n)
		}
	})
}

func TestAServerThatStopsAnswersTheCallsItHasAndTakesNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustRouter(t, nil)
		l := silent()
		r.Open(l)
		c := serve(t, r)
		c.send(1, 1, 10*time.Second)
		synctest.Wait()
		c.stop()
		synctest.Wait()
		c.send(2, 1, 10*time.Second)
		if result := c.take(1)[2]; result.GetError().GetCode() != argosyv1.ErrorCode_ERROR_CODE_STOPPING {
			t.Errorf("a new one was answered %v", result)
		}
		if l.asked() != 1 {
			t.Errorf("the leader was asked %d times", l.asked())
		}
		l.requests[0].Done(writer.Outcome{Revision: 7})
		if result := c.take(1)[1]; result.GetRevision() != 7 {
			t.Errorf("the one under way was answered %v", result)
		}
		if err := <-c.ended; argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_STOPPING {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestAServerThatStopsDoesNotWaitForALeaderThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustRouter(t, nil)
		r.Open(silent())
		c := serve(t, r)
		c.send(1, 1, time.Hour)
		synctest.Wait()
		begun := time.Now()
		c.stop()
		if err := <-c.ended; argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_STOPPING {
			t.Errorf("ended with %v", err)
		}
		if waited := time.Since(begun); waited != farewell {
			t.Errorf("ended after %v", waited)
		}
	})
}

func TestAClientThatHasSentAllGetsAllAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustRouter(t, nil)
		l := silent()
		r.Open(l)
		c := serve(t, r)
		c.send(1, 1, time.Hour)
		close(c.requests)
		synctest.Wait()
		l.requests[0].Done(writer.Outcome{Revision: 7})
		if err := <-c.ended; err != nil {
			t.Errorf("ended with %v", err)
		}
		if result := c.take(1)[1]; result.GetRevision() != 7 {
			t.Errorf("answered %v", result)
		}
	})
}

func TestAStreamOfCallsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustRouter(t, nil)
		l := silent()
		r.Open(l)
		c := serve(t, r)
		const batch = 512
		for sent := 0; sent < maxCalls; sent += batch {
			c.send(sent, batch, time.Hour)
		}
		more := make(chan struct{})
		go func() {
			c.send(maxCalls, batch, time.Hour)
			close(more)
		}()
		synctest.Wait()
		select {
		case <-more:
			t.Error("more was read than may be under way")
		default:
		}
		l.requests[0].Done(writer.Outcome{Revision: 7})
		<-more
		c.leave()
		<-c.ended
	})
}

func TestAClientThatTakesNoAnswersIsNotReadFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustRouter(t, nil)
		r.Open(good())
		c := serve(t, r)
		// No more answers are taken than these.
		for len(c.answers) < cap(c.answers) {
			c.answers <- nil
		}
		sent := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ; ; sent++ {
				select {
				case c.requests <- &argosyv1.WriteRequests{Writes: []*argosyv1.NumberedWrite{{
					Write: &argosyv1.NumberedWrite_Delete{Delete: &argosyv1.DeleteRequest{}}}}}:
				case <-c.gone.Done():
					return
				}
			}
		}()
		synctest.Wait()
		c.leave()
		<-done
		// One batch of answers may be on its way while another waits.
		if sent > 2*maxCalls+2 {
			t.Errorf("%d writes were read", sent)
		}
		<-c.ended
	})
}

func TestLargeCallsAreBoundedByTheirSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustRouter(t, nil)
		l := silent()
		r.Open(l)
		c := serve(t, r)
		large := strings.Repeat("x", maxCallBytes/2)
		send := func() {
			c.requests <- &argosyv1.WriteRequests{Writes: []*argosyv1.NumberedWrite{{
				Write: &argosyv1.NumberedWrite_Apply{Apply: &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{{RuntimeConfig: large}}}}}}}
		}
		send()
		send()
		third := make(chan struct{})
		go func() { send(); close(third) }()
		synctest.Wait()
		select {
		case <-third:
			t.Error("a third one was read")
		default:
		}
		l.requests[0].Done(writer.Outcome{Revision: 7})
		<-third
		c.leave()
		<-c.ended
	})
}

func TestAnOutcomeAfterTheStreamEndedIsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustRouter(t, nil)
		l := silent()
		r.Open(l)
		c := serve(t, r)
		c.send(1, 2, time.Hour)
		synctest.Wait()
		c.leave()
		<-c.ended
		l.requests[0].Done(writer.Outcome{Revision: 7})
		l.requests[1].Done(writer.Outcome{Err: writer.ErrNotDone})
		if n := r.Waiting(); n != 0 {
			t.Errorf("%d writes wait", n)
		}
	})
}

func TestTheReasonOfAStreamedCallNamesTheAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, mustRouter(t, nil))
		c.send(1, 1, time.Second)
		if result := c.take(1)[1]; !strings.Contains(result.GetMessage(), "1 of 3 servers reachable") {
			t.Errorf("answered %v", result)
		}
	})
}

// Whoever only asks what a write would do need not know what became of his question.
func TestTheFateOfARehearsalIsNeverInDoubt(t *testing.T) {
	rehearsal := &argosyv1.ApplyRequest{RequestId: []byte("id-0000000000001"), DryRun: true}
	for name, l := range map[string]func() *leader{
		"a leader that hangs":    silent,
		"a leader that was lost": func() *leader { return says(writer.Outcome{Err: writer.ErrFateUnknown}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := mustRouter(t, nil)
				r.Open(l())
				if _, err := r.Do(t.Context(), Write{Principal: "ann", Apply: rehearsal}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER {
					t.Errorf("a call of its own: %v", err)
				}
				c := serve(t, r)
				c.requests <- &argosyv1.WriteRequests{Writes: []*argosyv1.NumberedWrite{{Sequence: 1, TimeoutMs: 1000, Write: &argosyv1.NumberedWrite_Apply{Apply: rehearsal}}}}
				if result := c.take(1)[1]; result.GetError().GetCode() != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER {
					t.Errorf("on a stream: %v", result)
				}
			})
		})
	}
}

func TestACallThatMayNotBeMadeGoesNoFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustRouter(t, nil)
		asked := 0
		r.Open(&leader{answer: func(*writer.Request) (writer.Outcome, bool) { asked++; return writer.Outcome{Revision: 7}, true }})
		c := serve(t, r)
		c.requests <- &argosyv1.WriteRequests{Writes: []*argosyv1.NumberedWrite{
			{Sequence: 1, Write: &argosyv1.NumberedWrite_Apply{Apply: &argosyv1.ApplyRequest{OnBehalfOf: &argosyv1.InstanceName{}}}},
			{Sequence: 2, Write: &argosyv1.NumberedWrite_Apply{Apply: &argosyv1.ApplyRequest{}}},
		}}
		results := c.take(2)
		if results[1].GetError().GetCode() != argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN || results[2].GetRevision() != 7 || asked != 1 {
			t.Errorf("answered %v, and the leader was asked %d times", results, asked)
		}
	})
}
