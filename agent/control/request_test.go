package control_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/control"
	"github.com/argosy-cluster/argosy/agent/control/controltest"
	"github.com/argosy-cluster/argosy/proto/ankaios"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

type (
	instanceName = *argosyv1.InstanceName
	replyFunc    = func(*ankaios.Response) error
)

// tellEnd answers as answerState does, and tells why requests end.
func tellEnd(ended chan<- error) handlerFunc {
	return func(ctx context.Context, i instanceName, r *ankaios.Request, reply replyFunc) error {
		err := answerState(ctx, i, r, reply)
		if err != nil {
			ended <- err
		}
		return err
	}
}

func TestARequestKnowsItsInstanceAndItsID(t *testing.T) {
	w := newWorld(t, func(c *control.Config) {
		c.Handler = handlerFunc(func(_ context.Context, i instanceName, r *ankaios.Request, reply replyFunc) error {
			return reply(stateResponse(i.Key() + "/" + r.GetRequestId()))
		})
	})
	client := w.session(w.open("w"))
	response, err := client.Request(w.ctx, controltest.Get("id"))
	w.must(err)
	if got, want := response.GetCompleteStateResponse().GetCompleteState().GetDesiredState().GetApiVersion(), instance("w").Key()+"/id"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestRequestsThatFail(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler handlerFunc
		request *ankaios.Request
		want    string
	}{
		{"denied", func(context.Context, instanceName, *ankaios.Request, replyFunc) error {
			return fmt.Errorf("read desiredState: %w", control.ErrDenied)
		}, controltest.Get("1"), "Access denied"},
		{"without content", answerState, &ankaios.Request{RequestId: "1"}, "Access denied"},
		{"with a reason", func(context.Context, instanceName, *ankaios.Request, replyFunc) error {
			return errors.New("no server answers")
		}, controltest.Get("1"), "no server answers"},
		{"with half a character", func(context.Context, instanceName, *ankaios.Request, replyFunc) error {
			return errors.New("it is called gr\xc3")
		}, controltest.Get("1"), "it is called gr"},
		{"without an answer", func(context.Context, instanceName, *ankaios.Request, replyFunc) error {
			return nil
		}, controltest.Get("1"), "request was not answered"},
		{"too late", func(ctx context.Context, _ instanceName, _ *ankaios.Request, _ replyFunc) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}, controltest.Get("1"), "no answer in time"},
		{"too late, with a reason", func(ctx context.Context, _ instanceName, _ *ankaios.Request, _ replyFunc) error {
			<-ctx.Done()
			return errors.New("no leader is known")
		}, controltest.Get("1"), "no leader is known"},
		{"subscription without its first answer", func(ctx context.Context, _ instanceName, _ *ankaios.Request, _ replyFunc) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}, controltest.Events("1"), "no answer in time"},
		{"subscription later", func(_ context.Context, _ instanceName, _ *ankaios.Request, reply replyFunc) error {
			return errors.Join(reply(stateResponse("first")), errors.New("events were missed"))
		}, controltest.Events("1"), "events were missed"},
		{"with too large an answer", func(_ context.Context, _ instanceName, _ *ankaios.Request, reply replyFunc) error {
			return reply(stateResponse(strings.Repeat("x", 2<<20)))
		}, controltest.Get("1"), "response too large"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, func(c *control.Config) {
				c.Handler, c.RequestTimeout, c.MaxQueueBytes = test.handler, 20*time.Millisecond, 1<<20
			})
			client := w.session(w.open("w"))
			w.must(client.SendRequest(w.ctx, test.request))
			for {
				response, err := client.Response(w.ctx, "1")
				w.must(err)
				if response.GetError() == nil {
					continue
				}
				if !strings.Contains(response.GetError().GetMessage(), test.want) {
					t.Fatalf("got %q, want %q", response.GetError().GetMessage(), test.want)
				}
				return
			}
		})
	}
}

func TestASubscriptionOutlivesTheTimeOfARequest(t *testing.T) {
	next := make(chan struct{})
	w := newWorld(t, func(c *control.Config) {
		c.RequestTimeout = 10 * time.Millisecond
		c.Handler = handlerFunc(func(ctx context.Context, _ instanceName, r *ankaios.Request, reply replyFunc) error {
			if r.GetRequestId() == "slow" {
				<-ctx.Done()
				close(next)
				return ctx.Err()
			}
			if err := reply(stateResponse("first")); err != nil {
				return err
			}
			<-next
			return reply(stateResponse("second"))
		})
	})
	client := w.session(w.open("w"))
	w.await("the first answer comes in time", func() error {
		response, err := client.Request(w.ctx, controltest.Events("e"))
		w.must(err)
		if response.GetError() != nil {
			return errors.New(response.GetError().GetMessage())
		}
		return nil
	})
	w.must(client.SendRequest(w.ctx, controltest.Get("slow"))) // as long as a request may take
	response, err := client.Response(w.ctx, "e")
	w.must(err)
	if response.GetError() != nil {
		t.Fatalf("got %v, want the second answer", response)
	}
}

func TestCancel(t *testing.T) {
	for _, test := range []struct {
		name                string
		request, cancel     *ankaios.Request
		wantLogs, wantEnded bool
	}{
		{"logs", controltest.Logs("1"), controltest.CancelLogs("1"), true, true},
		{"events", controltest.Events("1"), controltest.CancelEvents("1"), false, true},
		{"logs of another id", controltest.Logs("1"), controltest.CancelLogs("2"), true, false},
		{"events as logs", controltest.Events("1"), controltest.CancelLogs("1"), true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			ended := make(chan error, 1)
			w := newWorld(t, func(c *control.Config) { c.Handler = tellEnd(ended) })
			client := w.session(w.open("w"))
			_, err := client.Request(w.ctx, test.request)
			w.must(err)
			response, err := client.Request(w.ctx, test.cancel)
			w.must(err)
			if (response.GetLogsCancelAccepted() != nil) != test.wantLogs || (response.GetEventsCancelAccepted() != nil) == test.wantLogs {
				t.Fatalf("got %v", response)
			}
			want := control.ErrCancelled
			if !test.wantEnded {
				w.must(w.manager.Close(instance("w")))
				want = control.ErrEnded
			}
			if err := <-ended; !errors.Is(err, want) {
				t.Fatalf("ended by %v, want %v", err, want)
			}
		})
	}
}

func TestNothingFollowsTheAnswerToACancel(t *testing.T) {
	w := newWorld(t, func(c *control.Config) {
		c.Handler = handlerFunc(func(ctx context.Context, _ instanceName, r *ankaios.Request, reply replyFunc) error {
			for r.GetLogsRequest() != nil {
				if err := reply(logResponse("line")); err != nil {
					return err
				}
			}
			return reply(stateResponse("api"))
		})
	})
	client := w.session(w.open("w"))
	_, err := client.Request(w.ctx, controltest.Logs("1"))
	w.must(err)
	w.must(client.SendRequest(w.ctx, controltest.CancelLogs("1")))
	for {
		response, err := client.Response(w.ctx, "1")
		w.must(err)
		if response.GetLogsCancelAccepted() != nil {
			break
		}
	}
	w.must(client.SendRequest(w.ctx, controltest.Get("2")))
	if message := w.receive(client); message.GetResponse().GetRequestId() != "2" {
		t.Fatalf("got %v, want the next answer", message)
	}
}

func TestSubscriptionsAreBounded(t *testing.T) {
	w := newWorld(t, func(c *control.Config) { c.MaxSubscriptions = 2 })
	client := w.session(w.open("w"))
	for _, id := range []string{"1", "2"} {
		_, err := client.Request(w.ctx, controltest.Events(id))
		w.must(err)
	}
	w.must(client.SendRequest(w.ctx, controltest.Events("3")))
	w.wantError(client, "3", "too many subscriptions")
	w.must(client.SendRequest(w.ctx, controltest.Events("1")))
	w.wantError(client, "1", "exists")
	_, err := client.Request(w.ctx, controltest.CancelEvents("1"))
	w.must(err)
	_, err = client.Request(w.ctx, controltest.Events("3"))
	w.must(err)
	_, err = client.Request(w.ctx, controltest.CancelEvents("3"))
	w.must(err)
	w.must(client.SendRequest(w.ctx, controltest.Events("4", strings.Repeat("m", 200<<10))))
	w.wantError(client, "4", "ask for less")
}

func TestRequestsAreBounded(t *testing.T) {
	var mu sync.Mutex
	running, most := 0, 0
	release := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	w := newWorld(t, func(c *control.Config) {
		c.MaxRequests = 3
		c.Handler = handlerFunc(func(ctx context.Context, _ instanceName, r *ankaios.Request, reply replyFunc) error {
			mu.Lock()
			running++
			most = max(most, running)
			if running == c.MaxRequests {
				letGo()
			}
			mu.Unlock()
			<-release
			err := reply(stateResponse("api"))
			mu.Lock()
			running--
			mu.Unlock()
			return err
		})
	})
	client := w.session(w.open("w"))
	sent := make(chan error, 1)
	go func() {
		for i := range 20 {
			if err := client.SendRequest(w.ctx, controltest.Get(fmt.Sprint(i))); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for range 20 {
		w.receive(client)
	}
	w.must(<-sent)
	mu.Lock()
	defer mu.Unlock()
	if most > 3 {
		t.Fatalf("%d requests at once, want 3 at most", most)
	}
}

func TestRequestsSeeTheChangesBeforeThem(t *testing.T) {
	var mu sync.Mutex
	state := ""
	w := newWorld(t, func(c *control.Config) {
		c.Handler = handlerFunc(func(_ context.Context, _ instanceName, r *ankaios.Request, reply replyFunc) error {
			mu.Lock()
			defer mu.Unlock()
			if r.GetUpdateStateRequest() != nil {
				state += r.GetRequestId()
			}
			return reply(stateResponse(state))
		})
	})
	client := w.session(w.open("w"))
	want := ""
	for n := range 10 {
		id := fmt.Sprint(n)
		want += id
		w.must(client.SendRequest(w.ctx, controltest.Update(id, nil)))
		w.must(client.SendRequest(w.ctx, controltest.Get("r"+id)))
	}
	for range 20 {
		response := w.receive(client).GetResponse()
		var n int
		if _, err := fmt.Sscanf(response.GetRequestId(), "r%d", &n); err != nil {
			continue // a change
		}
		if got := response.GetCompleteStateResponse().GetCompleteState().GetDesiredState().GetApiVersion(); !strings.HasPrefix(got, want[:n+1]) || !strings.HasPrefix(want, got) {
			t.Fatalf("read %d saw %q", n, got)
		}
	}
}

func TestTheEndOfAnInterfaceEndsItsRequests(t *testing.T) {
	ended := make(chan error, 2)
	w := newWorld(t, func(c *control.Config) { c.Handler = tellEnd(ended) })
	client := w.session(w.open("w"))
	_, err := client.Request(w.ctx, controltest.Events("1"))
	w.must(err)
	w.must(w.manager.Close(instance("w")))
	if err := <-ended; !errors.Is(err, control.ErrEnded) {
		t.Fatalf("ended by %v, want ErrEnded", err)
	}
	client = w.session(w.open("w"))
	_, err = client.Request(w.ctx, controltest.Logs("1"))
	w.must(err)
	w.stop()
	if err := <-ended; !errors.Is(err, control.ErrEnded) {
		t.Fatalf("ended by %v when the agent stopped, want ErrEnded", err)
	}
}
