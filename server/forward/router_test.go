package forward

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/writer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// leader is a Target that does what the test says.
type leader struct {
	mu       sync.Mutex
	requests []*writer.Request
	answer   func(*writer.Request) (writer.Outcome, bool)
	silent   bool
}

func (l *leader) Submit(r *writer.Request) {
	l.mu.Lock()
	l.requests = append(l.requests, r)
	l.mu.Unlock()
	if o, now := l.answer(r); now {
		if r.Begin() {
			r.Done(o)
		}
	}
}

func (l *leader) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.requests)
}

func says(o writer.Outcome) *leader {
	return &leader{answer: func(*writer.Request) (writer.Outcome, bool) { return o, true }}
}

// end answers what the leader has not answered, as a target that is left does.
func (l *leader) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.requests {
		if r.Begin() {
			r.Done(writer.Outcome{Err: writer.ErrNotDone})
		} else if l.silent {
			r.Done(writer.Outcome{Err: writer.ErrFateUnknown})
		}
	}
}

func good() *leader { return says(writer.Outcome{Revision: 7}) }

// silent begins a request and never answers it.
func silent() *leader {
	return &leader{silent: true, answer: func(r *writer.Request) (writer.Outcome, bool) { r.Begin(); return writer.Outcome{}, false }}
}

// idle does not even begin it.
func idle() *leader {
	return &leader{answer: func(*writer.Request) (writer.Outcome, bool) { return writer.Outcome{}, false }}
}

func mustRouter(t *testing.T, absence Absence) *Router {
	t.Helper()
	if absence == nil {
		absence = func() (string, bool) { return "no leader: 1 of 3 servers reachable, 2 needed", false }
	}
	r, err := NewRouter(DefaultConfig(), absence)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func aWrite() Write {
	return Write{Principal: "ann", Apply: &argosyv1.ApplyRequest{RequestId: []byte("0123456789abcdef")}}
}

func TestAWriteWaitsForALeaderAndGoesToItAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustRouter(t, nil)
		begun := time.Now()
		go func() {
			time.Sleep(3 * time.Second)
			r.Open(good())
		}()
		o, err := r.Do(t.Context(), aWrite())
		if err != nil || o.Revision != 7 {
			t.Fatalf("%+v, %v", o, err)
		}
		if waited := time.Since(begun); waited != 3*time.Second {
			t.Errorf("answered after %v, the leader was known after 3s", waited)
		}
	})
}

func TestWithoutALeaderAWriteIsRefusedWithTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustRouter(t, nil)
		_, err := r.Do(t.Context(), aWrite())
		if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER || !strings.Contains(err.Error(), "1 of 3 servers reachable") {
			t.Errorf("error is %v", err)
		}
	})
}

func TestTheReasonArrivesBeforeTheClientGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := mustRouter(t, nil).Do(ctx, aWrite()); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER {
			t.Errorf("error is %v", err)
		}
		if ctx.Err() != nil {
			t.Error("the client's deadline passed first")
		}
	})
}

func TestWhenWaitingIsHopelessAWriteIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		hopeless := false
		r := mustRouter(t, func() (string, bool) { mu.Lock(); defer mu.Unlock(); return "no leader: no quorum", hopeless })
		begun := time.Now()
		go func() {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			hopeless = true
		}()
		if _, err := r.Do(t.Context(), aWrite()); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER {
			t.Errorf("error is %v", err)
		}
		if waited := time.Since(begun); waited > 2*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestAJudgementIsFinal(t *testing.T) {
	r := mustRouter(t, nil)
	l := says(writer.Outcome{Err: argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "no")})
	r.Open(l)
	if _, err := r.Do(t.Context(), aWrite()); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_CONFLICT {
		t.Errorf("error is %v", err)
	}
	if l.asked() != 1 {
		t.Errorf("asked %d times", l.asked())
	}
}

// The first copy of a write whose fate is unknown may still be on its way, to be
// judged by another state than the copy that was refused.
func TestARefusalIsNotTheEndOfAWriteOfWhichACopyMayBeOnItsWay(t *testing.T) {
	// recorded stands for a conflict that is in the log.
	const recorded = -argosyv1.ErrorCode_ERROR_CODE_CONFLICT
	refusal := func(code argosyv1.ErrorCode) error {
		err := argosyv1.Errorf(max(code, -code), "no")
		err.Detail.RetryAfterMs, err.Detail.Recorded = 300, code < 0
		return err
	}
	const unknown = argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN
	for name, c := range map[string]struct {
		first *leader
		then  argosyv1.ErrorCode
		want  argosyv1.ErrorCode
	}{
		"its expectation does not hold": {silent(), argosyv1.ErrorCode_ERROR_CODE_CONFLICT, unknown},
		"what it deletes is not there":  {silent(), argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, unknown},
		"there is no space":             {silent(), argosyv1.ErrorCode_ERROR_CODE_NO_SPACE, unknown},
		"there are too many":            {silent(), argosyv1.ErrorCode_ERROR_CODE_OVERLOADED, unknown},
		"the leader is too old":         {silent(), argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE, unknown},
		"the leader has failed":         {silent(), argosyv1.ErrorCode_ERROR_CODE_INTERNAL, unknown},
		"it is wrong in itself":         {silent(), argosyv1.ErrorCode_ERROR_CODE_INVALID, argosyv1.ErrorCode_ERROR_CODE_INVALID},
		"it is not its user's":          {silent(), argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN, argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN},
		"it is refused for good":        {silent(), recorded, argosyv1.ErrorCode_ERROR_CODE_CONFLICT},
		"it was certainly not begun":    {idle(), argosyv1.ErrorCode_ERROR_CODE_CONFLICT, argosyv1.ErrorCode_ERROR_CODE_CONFLICT},
	} {
		next := says(writer.Outcome{Err: refusal(c.then)})
		change := func(r *Router) {
			time.Sleep(time.Second)
			r.Open(next)
			c.first.end()
		}
		check := func(t *testing.T, code argosyv1.ErrorCode, retryAfter uint64, text string) {
			t.Helper()
			if code != c.want || retryAfter != 300 || !strings.Contains(text, "no") {
				t.Errorf("answered %v (%s), to come back after %d ms", code, text, retryAfter)
			}
			for _, q := range next.requests {
				if q.Repeat != c.first.silent {
					t.Errorf("it was handed on as a repeat: %v", q.Repeat)
				}
			}
		}
		t.Run(name+", by a call", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := mustRouter(t, nil)
				r.Open(c.first)
				go change(r)
				_, err := r.Do(t.Context(), aWrite())
				e, _ := argosyv1.AsError(err)
				check(t, e.Code(), e.Detail.GetRetryAfterMs(), e.Message)
			})
		})
		c.first.requests, next.requests = nil, nil
		t.Run(name+", on a stream", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := mustRouter(t, nil)
				r.Open(c.first)
				stream := serve(t, r)
				stream.send(1, 1, 10*time.Second)
				go change(r)
				result := stream.take(1)[1]
				check(t, result.GetError().GetCode(), result.GetError().GetRetryAfterMs(), result.GetMessage())
			})
		})
	}
}

func TestAWriteIsTakenToTheNextLeaderUnderItsOwnID(t *testing.T) {
	for name, first := range map[string]*leader{
		"certainly not done": says(writer.Outcome{Err: fmt.Errorf("%w: deposed", writer.ErrNotDone)}),
		"fate unknown":       says(writer.Outcome{Err: fmt.Errorf("%w: deposed", writer.ErrFateUnknown)}),
		"no answer":          silent(),
		"not begun":          idle(),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := mustRouter(t, nil)
				r.Open(first)
				go func() {
					time.Sleep(time.Second)
					r.Close()
					first.end()
					time.Sleep(time.Second)
					r.Open(good())
				}()
				o, err := r.Do(t.Context(), aWrite())
				if err != nil || o.Revision != 7 {
					t.Fatalf("%+v, %v", o, err)
				}
				if string(first.requests[0].Apply.GetRequestId()) != "0123456789abcdef" {
					t.Error("the request id changed")
				}
			})
		})
	}
}

func TestWhatIsKnownOfAWriteThatRanOutOfTimeIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		leader *leader
		then   bool // the leader is lost after a second
		want   argosyv1.ErrorCode
	}{
		"begun, no answer":              {silent(), false, argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN},
		"begun, leader lost":            {silent(), true, argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN},
		"never begun":                   {idle(), false, argosyv1.ErrorCode_ERROR_CODE_NO_LEADER},
		"never begun, leader lost":      {idle(), true, argosyv1.ErrorCode_ERROR_CODE_NO_LEADER},
		"fate unknown, leader lost":     {says(writer.Outcome{Err: writer.ErrFateUnknown}), true, argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN},
		"refused for as long as it led": {says(writer.Outcome{Err: writer.ErrNotDone}), true, argosyv1.ErrorCode_ERROR_CODE_NO_LEADER},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := mustRouter(t, nil)
				r.Open(c.leader)
				if c.then {
					go func() {
						time.Sleep(time.Second)
						r.Close()
						c.leader.end()
					}()
				}
				if _, err := r.Do(t.Context(), aWrite()); argosyv1.CodeOf(err) != c.want {
					t.Errorf("error is %v (%v), want %v", argosyv1.CodeOf(err), err, c.want)
				}
			})
		})
	}
}

func TestALeaderThatIsNotReadyIsAskedAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustRouter(t, nil)
		begun := time.Now()
		r.Open(&leader{answer: func(*writer.Request) (writer.Outcome, bool) {
			if time.Since(begun) < 20*time.Millisecond {
				return writer.Outcome{Err: writer.ErrNotDone}, true
			}
			return writer.Outcome{Revision: 7}, true
		}})
		if _, err := r.Do(t.Context(), aWrite()); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(begun); waited > 50*time.Millisecond {
			t.Errorf("waited %v for a leader that was ready after 20ms", waited)
		}
	})
}

func TestAClientThatGivesUpWhileThereIsNoLeaderIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			time.Sleep(time.Second)
			cancel(errors.New("gone"))
		}()
		begun := time.Now()
		if _, err := mustRouter(t, nil).Do(ctx, aWrite()); err == nil {
			t.Error("no error")
		}
		if waited := time.Since(begun); waited != time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}
