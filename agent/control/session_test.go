package control_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/argosy-cluster/argosy/agent/control"
	"github.com/argosy-cluster/argosy/agent/control/controltest"
	"github.com/argosy-cluster/argosy/proto/ankaios"
)

// framed puts a length before bytes.
func framed(data ...byte) []byte {
	return append(protowire.AppendVarint(nil, uint64(len(data))), data...)
}

func requestFrame(r *ankaios.Request) []byte {
	return controltest.Frame(&ankaios.ToAnkaios{ToAnkaiosEnum: &ankaios.ToAnkaios_Request{Request: r}})
}

func TestHandshake(t *testing.T) {
	for _, test := range []struct {
		name   string
		first  []byte
		closed string // "" when accepted
	}{
		{"the version of SDKs", controltest.Frame(controltest.Hello("1.0.0")), ""},
		{"another version of the same major number", controltest.Frame(controltest.Hello("1.7.3")), ""},
		{"another major number", controltest.Frame(controltest.Hello("2.0.0")), "Unsupported protocol version '2.0.0'. Currently supported '1'"},
		{"a major number that begins alike", controltest.Frame(controltest.Hello("10.0.0")), "Unsupported protocol version '10.0.0'. Currently supported '1'"},
		{"no version", controltest.Frame(controltest.Hello("")), "Unsupported protocol version ''. Currently supported '1'"},
		{"a request", requestFrame(controltest.Get("1")), "Initial Hello missing!"},
		{"what is no message", framed(0xff, 0xff), "Could not decode protobuf data"},
		{"an empty message", framed(), "Could not decode protobuf data"},
		{"a length that is none", bytes.Repeat([]byte{0x80}, 19), "Could not decode protobuf data"},
		{"too large a message", protowire.AppendVarint(nil, 5<<20), "message too large: 5242880 bytes, at most 4194048 are taken"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, nil)
			client := w.dial(w.open("w"))
			w.must(client.Write(w.ctx, test.first))
			if test.closed != "" {
				w.wantClosed(client, test.closed)
				w.must(client.Hello(w.ctx)) // begins anew
			} else if w.receive(client).GetControlInterfaceAccepted() == nil {
				t.Fatal("not accepted")
			}
			w.wantServed(client, "2")
		})
	}
}

func TestHellosThatComeTogetherAreAnsweredOnce(t *testing.T) {
	w := newWorld(t, nil)
	client := w.dial(w.open("w"))
	hello := controltest.Frame(controltest.Hello("1.0.0"))
	w.must(client.Write(w.ctx, append(bytes.Repeat(hello, 3), requestFrame(controltest.Get("1"))...)))
	if w.receive(client).GetControlInterfaceAccepted() == nil {
		t.Fatal("not accepted")
	}
	if message := w.receive(client); message.GetResponse().GetRequestId() != "1" {
		t.Fatalf("got %v, want the response", message)
	}
}

func TestAHelloBeginsAnew(t *testing.T) {
	ended := make(chan error, 1)
	w := newWorld(t, func(c *control.Config) { c.Handler = tellEnd(ended) })
	client := w.session(w.open("w"))
	_, err := client.Request(w.ctx, controltest.Events("e"))
	w.must(err)
	w.must(client.Hello(w.ctx))
	if err := <-ended; !errors.Is(err, control.ErrCancelled) {
		t.Fatalf("subscription of the former session ended by %v, want ErrCancelled", err)
	}
	w.wantServed(client, "1")
}

func TestAWrongHelloEndsTheSession(t *testing.T) {
	w := newWorld(t, nil)
	client := w.session(w.open("w"))
	w.must(client.SendHello(w.ctx, "0.7.0"))
	w.wantClosed(client, "Unsupported protocol version '0.7.0'. Currently supported '1'")
	w.must(client.SendRequest(w.ctx, controltest.Get("1")))
	w.wantClosed(client, "Initial Hello missing!")
}

func TestMessagesThatCannotBeDecoded(t *testing.T) {
	// A request whose field mask is no UTF-8.
	withID := append([]byte{0x1a, 0x0b, 0x0a, 0x01, 'x', 0x1a, 0x06, 0x0a, 0x04}, 0xff, 0xff, 0xff, 0xff)
	for _, test := range []struct {
		name, log string
		data      []byte
		answered  string
	}{
		{"with an id", "could not be decoded", withID, "Could not decode protobuf data"},
		{"without one", "could not be decoded", []byte{0xff, 0xff, 0xff}, ""},
		{"empty", "could not be decoded", nil, ""},
		{"with too long an id", "request id of 2000 bytes is longer than", requestFrame(controltest.Get(strings.Repeat("i", 2000)))[2:], ""},
		{"with too many elements", "too many elements", manyElements("x", 5000), "Could not decode protobuf data"},
		{"nested too deep", "could not be decoded", nested("x", 200), "Could not decode protobuf data"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, func(c *control.Config) { c.MaxElements = 1000 })
			client := w.session(w.open("w"))
			w.must(client.Write(w.ctx, framed(test.data...)))
			if test.answered != "" {
				w.wantError(client, "x", test.answered)
			}
			w.wantServed(client, "next")
			if !w.log.contains(test.log) {
				t.Errorf("log does not say %q", test.log)
			}
		})
	}
}

func manyElements(id string, n int) []byte {
	r := controltest.Logs(id)
	for range n {
		r.GetLogsRequest().WorkloadNames = append(r.GetLogsRequest().WorkloadNames, &ankaios.WorkloadInstanceName{})
	}
	_, n = protowire.ConsumeVarint(requestFrame(r))
	return requestFrame(r)[n:]
}

func nested(id string, depth int) []byte {
	item := &ankaios.ConfigItem{ConfigItemEnum: &ankaios.ConfigItem_String_{String_: "x"}}
	for range depth {
		item = &ankaios.ConfigItem{ConfigItemEnum: &ankaios.ConfigItem_Array{Array: &ankaios.ConfigArray{Values: []*ankaios.ConfigItem{item}}}}
	}
	frame := requestFrame(controltest.Update(id, &ankaios.CompleteState{DesiredState: &ankaios.State{
		Configs: &ankaios.ConfigMap{Configs: map[string]*ankaios.ConfigItem{"c": item}}}}))
	_, n := protowire.ConsumeVarint(frame)
	return frame[n:]
}

func TestAMessageOfTheGreatestSize(t *testing.T) {
	w := newWorld(t, func(c *control.Config) {
		c.Handler = handlerFunc(func(_ context.Context, _ instanceName, r *ankaios.Request, reply replyFunc) error {
			return reply(stateResponse(r.GetUpdateStateRequest().GetNewState().GetDesiredState().GetApiVersion()))
		})
	})
	client := w.session(w.open("w"))
	text := strings.Repeat("x", 4<<20-1024)
	response, err := client.Request(w.ctx, controltest.Update("1", &ankaios.CompleteState{DesiredState: &ankaios.State{ApiVersion: text}}))
	w.must(err)
	if response.GetCompleteStateResponse().GetCompleteState().GetDesiredState().GetApiVersion() != text {
		t.Fatal("text came back changed")
	}
}

func TestAStreamThatIsLost(t *testing.T) {
	whole := requestFrame(controltest.Get("half", strings.Repeat("m", 100)))
	for _, test := range []struct {
		name string
		data []byte
	}{
		{"by garbage", bytes.Repeat([]byte{0xff}, 1000)},
		{"by too large a message", append(protowire.AppendVarint(nil, 1<<40), whole...)},
		{"by half a message and silence", whole[:20]},
		{"by half a length and silence", []byte{0x80}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, func(c *control.Config) { c.HalfMessageTimeout = 20 * time.Millisecond })
			client := w.session(w.open("w"))
			w.must(client.Write(w.ctx, test.data))
			if message := w.receive(client); message.GetConnectionClosed() == nil {
				t.Fatalf("got %v, want connection closed", message)
			}
			w.must(client.Write(w.ctx, requestFrame(controltest.Get("ignored")))) // nobody knows what that is
			w.awaitHello(client)
			w.wantServed(client, "1")
		})
	}
}

// awaitHello says Hello as an SDK that tries again: what is written together with
// garbage is lost with it.
func (w *world) awaitHello(c *controltest.Client) {
	w.Helper()
	w.await("hello is accepted", func() error {
		ctx, cancel := context.WithTimeout(w.ctx, 100*time.Millisecond)
		defer cancel()
		return c.Hello(ctx)
	})
}

func TestHalfAMessageAndTheEndOfThePipe(t *testing.T) {
	w := newWorld(t, nil)
	folder := w.open("w")
	client := w.session(folder)
	reader := w.dial(folder)
	w.must(client.Write(w.ctx, requestFrame(controltest.Get("half"))[:5]))
	client.CloseInput()
	other, err := controltest.DialWriteOnly(folder)
	w.must(err)
	other.Close() // with another writer about, the pipe has not ended
	reader.Close()
	client.Close()
	w.awaitLog("closed within a message")

	again := w.dial(folder)
	w.wantClosed(again, "Could not decode protobuf data")
	w.must(again.Hello(w.ctx))
	w.wantServed(again, "1")
}

func TestHalfAMessageAndAHelloOfTheNext(t *testing.T) {
	w := newWorld(t, nil)
	client := w.session(w.open("w"))
	w.must(client.Write(w.ctx, requestFrame(controltest.Get("half", strings.Repeat("m", 100)))[:50]))
	w.await("the agent has read it", func() error { return wantUnread(client, 0) })
	w.must(client.Hello(w.ctx))
	w.wantServed(client, "1")
}

func TestAHelloBehindGarbage(t *testing.T) {
	w := newWorld(t, nil)
	client := w.session(w.open("w"))
	garbage := bytes.Repeat([]byte{0xff}, 1000)
	w.must(client.Write(w.ctx, garbage))
	w.wantClosed(client, "Could not decode protobuf data")
	w.must(client.Write(w.ctx, append(garbage, controltest.Frame(controltest.Hello("1.0.0"))...)))
	if message := w.receive(client); message.GetControlInterfaceAccepted() == nil {
		t.Fatalf("got %v, want accepted", message)
	}
	w.wantServed(client, "1")
}

func TestAHelloIsNotAnsweredWithWhatWasMeantForAnother(t *testing.T) {
	w := newWorld(t, nil)
	folder := w.open("w")
	client, err := controltest.DialWriteOnly(folder)
	w.await("the agent has the pipe open", func() error {
		client, err = controltest.DialWriteOnly(folder)
		return err
	})
	defer client.Close()
	w.must(client.SendRequest(w.ctx, controltest.Get("1"))) // Initial Hello missing
	w.must(client.SendHello(w.ctx, "1.0.0"))
	w.await("the agent has read both", func() error { return wantUnread(client, 0) })
	w.awaitLog("began a session")
	w.must(client.OpenInput(folder))
	if message := w.receive(client); message.GetControlInterfaceAccepted() == nil {
		t.Fatalf("got %v, want accepted", message)
	}
}

func TestAWorkloadThatOpensThePipeForEachMessage(t *testing.T) {
	w := newWorld(t, nil)
	folder := w.open("w")
	client := w.session(folder)
	for _, id := range []string{"1", "2", "3"} {
		once, err := controltest.DialWriteOnly(folder)
		w.must(err)
		w.must(once.SendRequest(w.ctx, controltest.Get(id)))
		once.Close()
		_, err = client.Response(w.ctx, id)
		w.must(err)
	}
}

func TestOpeningThePipesNeverBlocks(t *testing.T) {
	w := newWorld(t, nil)
	folder := w.open("w")
	input, err := os.Open(filepath.Join(folder, "input")) // without O_NONBLOCK
	w.must(err)
	defer input.Close()
	output, err := os.OpenFile(filepath.Join(folder, "output"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0)
	w.must(err)
	defer output.Close()
	_, err = output.Write(controltest.Frame(controltest.Hello("1.0.0")))
	w.must(err)
	answer := make([]byte, 3)
	if _, err := io.ReadFull(input, answer); err != nil || !bytes.Equal(answer, []byte{2, 0x22, 0}) {
		t.Fatalf("got %x, %v; want accepted", answer, err)
	}
}

// write writes as soon as an agent is there.
func (w *world) write(c *controltest.Client, data []byte) {
	w.Helper()
	w.await("an agent is there", func() error { return c.Write(w.ctx, data) })
}

func TestTheAgentStartsAgain(t *testing.T) {
	t.Run("a workload that did not notice is served", func(t *testing.T) {
		w := newWorld(t, nil)
		client := w.session(w.open("w"))
		w.stop()
		w.startAgent()
		w.open("w")
		w.write(client, requestFrame(controltest.Get("0")))
		w.wantServed(client, "1")
	})
	t.Run("a workload that says Hello again is served", func(t *testing.T) {
		w := newWorld(t, nil)
		client := w.session(w.open("w"))
		w.stop()
		if _, err := client.Receive(w.ctx); !errors.Is(err, io.EOF) {
			t.Fatalf("workload saw %v, want the end of the pipe", err)
		}
		w.startAgent()
		w.open("w")
		w.write(client, controltest.Frame(controltest.Hello("1.0.0")))
		if message := w.receive(client); message.GetControlInterfaceAccepted() == nil {
			t.Fatalf("got %v, want accepted", message)
		}
		w.wantServed(client, "1")
	})
	t.Run("a request that the former agent did not take is served, and the Hello after it", func(t *testing.T) {
		served := make(chan string, 1)
		w := newWorld(t, func(c *control.Config) {
			c.Handler = handlerFunc(func(_ context.Context, _ instanceName, r *ankaios.Request, _ replyFunc) error {
				served <- r.GetRequestId()
				return nil
			})
		})
		client := w.session(w.open("w"))
		w.stop()
		w.startAgent()
		w.open("w")
		w.write(client, append(requestFrame(controltest.Get("stale")), controltest.Frame(controltest.Hello("1.0.0"))...))
		for w.receive(client).GetControlInterfaceAccepted() == nil {
		}
		if id := <-served; id != "stale" {
			t.Fatalf("served %q, want the stale request", id)
		}
	})
	t.Run("a workload that was started meanwhile has to say Hello", func(t *testing.T) {
		w := newWorld(t, nil)
		folder := w.open("w")
		client := w.session(folder)
		w.stop()
		client.Close()
		w.startAgent()
		w.open("w")
		client = w.dial(folder)
		// It came after the agent had seen that nobody was there, or before.
		w.must(client.Hello(w.ctx))
		w.wantServed(client, "1")
	})
	t.Run("one that ended within a message closes the connection", func(t *testing.T) {
		w := newWorld(t, nil)
		client := w.session(w.open("w"))
		whole := requestFrame(controltest.Update("half", &ankaios.CompleteState{DesiredState: &ankaios.State{ApiVersion: strings.Repeat("\xf4\x8f\xbf\xbf", 50)}}))
		w.must(client.Write(w.ctx, whole[:30]))
		w.await("the agent has read it", func() error { return wantUnread(client, 0) })
		w.stop()
		w.startAgent()
		w.open("w")
		w.write(client, whole[30:])
		if message := w.receive(client); message.GetConnectionClosed() == nil {
			t.Fatalf("got %v, want connection closed", message)
		}
		w.awaitHello(client)
		w.wantServed(client, "1")
	})
}
