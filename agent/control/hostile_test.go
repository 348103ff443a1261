package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/agent/control"
	"github.com/argosy-cluster/argosy/agent/control/controltest"
	"github.com/argosy-cluster/argosy/proto/ankaios"
)

// wantUnread says how many bytes wait in the pipe to the agent.
func wantUnread(c *controltest.Client, want int) error {
	if n, err := c.Unread(); err != nil || n != want {
		return fmt.Errorf("%d bytes wait, want %d: %w", n, want, err)
	}
	return nil
}

// talkative sends logs until that fails, and tells why.
func talkative(ended chan<- error) handlerFunc {
	return func(ctx context.Context, i instanceName, r *ankaios.Request, reply replyFunc) error {
		if r.GetLogsRequest() == nil {
			return answerState(ctx, i, r, reply)
		}
		for {
			if err := reply(logResponse(strings.Repeat("x", 10000))); err != nil {
				ended <- err
				return err
			}
		}
	}
}

func TestAWorkloadThatNeverReads(t *testing.T) {
	ended := make(chan error, 2)
	w := newWorld(t, func(c *control.Config) {
		c.Handler, c.StallTimeout, c.MaxQueueBytes = talkative(ended), 20*time.Millisecond, 1<<20
	})
	client := w.session(w.open("mute"))
	other := w.session(w.open("other"))
	w.must(client.SendRequest(w.ctx, controltest.Logs("1")))
	if err := <-ended; !errors.Is(err, control.ErrNotRead) {
		t.Fatalf("logs ended by %v, want ErrNotRead", err)
	}
	w.wantServed(other, "1")
	// All it missed is the rest, and it is told so.
	for {
		response, err := client.Response(w.ctx, "1")
		w.must(err)
		if response.GetError() != nil {
			if !strings.Contains(response.GetError().GetMessage(), "messages are not read") {
				t.Fatalf("got %v", response)
			}
			break
		}
	}
	w.wantServed(client, "2")
}

func TestRequestsAreRefusedWhileNothingIsRead(t *testing.T) {
	w := newWorld(t, func(c *control.Config) {
		c.MaxQueueMessages, c.RequestTimeout = 4, 20*time.Millisecond
		c.Handler = handlerFunc(func(_ context.Context, _ instanceName, _ *ankaios.Request, reply replyFunc) error {
			return reply(stateResponse(strings.Repeat("x", 300<<10))) // more than the pipe takes
		})
	})
	client := w.session(w.open("mute"))
	for n := range 30 {
		w.must(client.SendRequest(w.ctx, controltest.Get(fmt.Sprint(n))))
	}
	w.await("all was taken", func() error { return wantUnread(client, 0) })
	answers, refusals := 0, 0
	for answers+refusals < 30 {
		response := w.receive(client).GetResponse()
		switch {
		case response.GetError() == nil:
			answers++
		default:
			refusals++
		}
	}
	if refusals == 0 {
		t.Fatal("none was refused")
	}
	w.await("requests are answered now that there is room", func() error {
		response, err := client.Request(w.ctx, controltest.Get("last"))
		w.must(err)
		if response.GetError() != nil {
			return errors.New(response.GetError().GetMessage())
		}
		return nil
	})
}

func TestAWorkloadWhoseReaderIsGone(t *testing.T) {
	ended := make(chan error, 2)
	w := newWorld(t, func(c *control.Config) {
		c.Handler, c.ReaderTimeout = talkative(ended), 20*time.Millisecond
	})
	folder := w.open("w")
	client := w.session(folder)
	w.must(client.SendRequest(w.ctx, controltest.Logs("1")))
	client.CloseInput()
	if err := <-ended; !errors.Is(err, control.ErrNotRead) {
		t.Fatalf("logs ended by %v, want ErrNotRead", err)
	}
	w.await("a new reader is served", func() error {
		w.must(client.OpenInput(folder))
		ctx, cancel := context.WithTimeout(w.ctx, 100*time.Millisecond)
		defer cancel()
		_, err := client.Request(ctx, controltest.Get("2"))
		if err != nil {
			client.CloseInput()
		}
		return err
	})
}

func TestANewReaderBeginsWithAWholeMessage(t *testing.T) {
	w := newWorld(t, func(c *control.Config) {
		c.Handler = handlerFunc(func(_ context.Context, _ instanceName, _ *ankaios.Request, reply replyFunc) error {
			return reply(stateResponse(strings.Repeat("x", 1<<20)))
		})
	})
	folder := w.open("w")
	client := w.session(folder)
	w.must(client.SendRequest(w.ctx, controltest.Get("1")))
	w.await("a part of the answer is there", client.WantInput)
	client.CloseInput()
	w.awaitLog("workload closed its pipe")
	w.must(client.OpenInput(folder))
	_, err := client.Response(w.ctx, "1")
	w.must(err)
}

func TestAFloodOfGarbage(t *testing.T) {
	w := newWorld(t, nil)
	other := w.session(w.open("other"))
	ctx, cancel := context.WithCancel(w.ctx)
	var floods sync.WaitGroup
	for name, garbage := range map[string]byte{"lengths": 0xff, "messages": 0} {
		flooding := w.session(w.open(name))
		floods.Go(func() {
			for flooding.Write(ctx, bytes.Repeat([]byte{garbage}, 1<<15)) == nil {
			}
		})
	}
	for n := range 100 {
		w.wantServed(other, fmt.Sprint(n))
	}
	w.awaitLog("cannot be followed")
	w.awaitLog("could not be decoded")
	cancel()
	floods.Wait()
}

// impostors are what a workload may put in the place of a pipe.
var impostors = map[string]func(path, target string) error{
	"nothing":           func(string, string) error { return nil },
	"a file":            func(path, _ string) error { return os.WriteFile(path, []byte("x"), 0o644) },
	"a link":            func(path, target string) error { return os.Symlink(target, path) },
	"a link to nowhere": func(path, target string) error { return os.Symlink(target+"x", path) },
	"a folder with something in it": func(path, target string) error {
		return errors.Join(os.Mkdir(path, 0o700), os.Symlink(filepath.Dir(target), filepath.Join(path, "link")))
	},
	"another pipe":     func(path, _ string) error { return unix.Mkfifo(path, 0o600) },
	"a name of a file": func(path, target string) error { return os.Link(target, path) },
	"another pipe's other": func(path, target string) error {
		return errors.Join(unix.Mkfifo(target+"p", 0o600), os.Link(target+"p", path))
	},
}

func TestAPipeIsReplaced(t *testing.T) {
	for name, put := range impostors {
		for _, pipe := range []string{"input", "output"} {
			for _, when := range []string{"while it is served", "while no agent runs"} {
				t.Run(pipe+" by "+name+" "+when, func(t *testing.T) {
					w := newWorld(t, nil)
					folder := w.open("w")
					target := filepath.Join(t.TempDir(), "target")
					w.must(os.WriteFile(target, []byte("precious"), 0o600))
					client := w.session(folder)
					if when == "while no agent runs" {
						w.stop()
					}
					path := filepath.Join(folder, pipe)
					w.must(os.Remove(path))
					if err := put(path, target); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
						t.Fatal(err) // the agent is quicker at times
					}
					client.Close()
					if when == "while no agent runs" {
						w.startAgent()
						w.open("w")
					}
					w.await("a new client is served", func() error { return w.tryServed(folder) })
					text, err := os.ReadFile(target)
					if err != nil || string(text) != "precious" {
						t.Fatalf("target is %q, %v", text, err)
					}
				})
			}
		}
	}
}

// tryServed tells why a new client is not served.
func (w *world) tryServed(folder string) error {
	ctx, cancel := context.WithTimeout(w.ctx, 100*time.Millisecond)
	defer cancel()
	for _, pipe := range []string{"input", "output"} {
		info, err := os.Lstat(filepath.Join(folder, pipe))
		if err != nil || info.Mode()&fs.ModeType != fs.ModeNamedPipe {
			return fmt.Errorf("%s is no pipe: %v, %w", pipe, info, err)
		}
	}
	client, err := controltest.Dial(folder)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Hello(ctx); err != nil {
		return err
	}
	_, err = client.Request(ctx, controltest.Get("1"))
	return err
}

func TestTheFolderIsReplaced(t *testing.T) {
	for name, put := range impostors {
		if strings.Contains(name, "pipe") || name == "a folder with something in it" {
			continue
		}
		t.Run("by "+name, func(t *testing.T) {
			w := newWorld(t, nil)
			folder := w.open("w")
			target := filepath.Join(t.TempDir(), "target")
			w.must(os.WriteFile(target, []byte("precious"), 0o600))
			w.must(os.Rename(folder, folder+".away"))
			if err := put(folder, target); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, unix.EISDIR) {
				t.Fatal(err) // the agent is quicker at times
			}
			w.await("a new client is served", func() error { return w.tryServed(folder) })
			text, err := os.ReadFile(target)
			if err != nil || string(text) != "precious" {
				t.Fatalf("target is %q, %v", text, err)
			}
		})
	}
}
