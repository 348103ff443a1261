package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/control"
	"github.com/argosy-cluster/argosy/agent/control/controltest"
	"github.com/argosy-cluster/argosy/proto/ankaios"
)

// The SDK of Python looks whether the pipe has something to read, reads all there
// is, and takes one message of it.
func TestAReadingBringsOneMessage(t *testing.T) {
	for _, test := range []struct {
		name string
		size int
	}{
		{"of some bytes", 10},
		{"of several pages", 100 << 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, func(c *control.Config) {
				c.Handler = handlerFunc(func(_ context.Context, _ instanceName, r *ankaios.Request, reply replyFunc) error {
					return reply(stateResponse(strings.Repeat("x", test.size)))
				})
			})
			client := w.session(w.open("w"))
			var requests []byte
			for n := range 10 {
				requests = append(requests, requestFrame(controltest.Get(fmt.Sprint(n)))...)
			}
			w.must(client.Write(w.ctx, requests))
			response := stateResponse(strings.Repeat("x", test.size))
			response.RequestId = "1" // as long as any of them
			want := len(controltest.Frame(&ankaios.FromAnkaios{FromAnkaiosEnum: &ankaios.FromAnkaios_Response{Response: response}}))
			for range 10 {
				var message []byte
				for len(message) < want {
					data, err := client.ReadOnce(w.ctx)
					w.must(err)
					message = append(message, data...)
				}
				if len(message) != want {
					t.Fatalf("%d bytes came, want a message of %d: %.100q", len(message), want, message)
				}
			}
		})
	}
}

// SDKs begin to listen to a subscription only after they have seen its first
// response.
func TestASubscriptionPausesAfterItsFirstResponse(t *testing.T) {
	for _, test := range []struct {
		name    string
		request *ankaios.Request
		cancel  *ankaios.Request
	}{
		{"events", controltest.Events("s"), controltest.CancelEvents("s")},
		{"logs", controltest.Logs("s"), controltest.CancelLogs("s")},
	} {
		t.Run(test.name, func(t *testing.T) {
			second, ended := make(chan struct{}), make(chan error, 1)
			w := newWorld(t, func(c *control.Config) {
				c.SubscriptionPause = time.Hour
				c.Handler = handlerFunc(func(ctx context.Context, i instanceName, r *ankaios.Request, reply replyFunc) error {
					if r.GetRequestId() != "s" {
						return answerState(ctx, i, r, reply)
					}
					if err := reply(stateResponse("first")); err != nil {
						return err
					}
					close(second)
					err := reply(stateResponse("second"))
					ended <- err
					return err
				})
			})
			client := w.session(w.open("w"))
			_, err := client.Request(w.ctx, test.request)
			w.must(err)
			<-second
			for n := range 10 {
				w.must(client.SendRequest(w.ctx, controltest.Get(fmt.Sprint(n))))
				if message := w.receive(client); message.GetResponse().GetRequestId() == "s" {
					t.Fatalf("got %v, want the answer to another request", message)
				}
			}
			w.must(client.SendRequest(w.ctx, test.cancel))
			if err := <-ended; !errors.Is(err, control.ErrCancelled) {
				t.Fatalf("ended by %v, want %v", err, control.ErrCancelled)
			}
		})
	}
}

func TestASubscriptionGoesOnAfterThePause(t *testing.T) {
	w := newWorld(t, func(c *control.Config) {
		c.SubscriptionPause = time.Millisecond
		c.Handler = handlerFunc(func(_ context.Context, _ instanceName, _ *ankaios.Request, reply replyFunc) error {
			return errors.Join(reply(stateResponse("a")), reply(stateResponse("b")), reply(stateResponse("c")))
		})
	})
	client := w.session(w.open("w"))
	w.must(client.SendRequest(w.ctx, controltest.Events("s")))
	var got bytes.Buffer
	for range 3 {
		response, err := client.Response(w.ctx, "s")
		w.must(err)
		got.WriteString(response.GetCompleteStateResponse().GetCompleteState().GetDesiredState().GetApiVersion())
	}
	if got.String() != "abc" {
		t.Fatalf("got %q", got.String())
	}
}
