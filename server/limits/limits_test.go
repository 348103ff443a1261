package limits

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustCalls(t *testing.T, change func(*Config)) *Calls {
	t.Helper()
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	c, err := NewCalls(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantOverloaded(t *testing.T, err error) {
	t.Helper()
	e, ok := argosyv1.AsError(err)
	if !ok || e.Code() != argosyv1.ErrorCode_ERROR_CODE_OVERLOADED || e.Detail.GetRetryAfterMs() == 0 {
		t.Fatalf("refused with %v", err)
	}
}

func TestACallWithoutADeadlineGetsOne(t *testing.T) {
	c := mustCalls(t, nil)
	left := func(ctx context.Context, method string) (left time.Duration, ok bool) {
		_, err := c.Unary(ctx, nil, method, func(ctx context.Context, _ any) (any, error) {
			var at time.Time
			at, ok = ctx.Deadline()
			left = time.Until(at)
			return nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return left, ok
	}
	if d, ok := left(t.Context(), argosyv1.ClusterService_Status_FullMethodName); !ok || d > c.cfg.CallTimeout {
		t.Errorf("a call without a deadline has %v, %v", d, ok)
	}
	hour, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if d, _ := left(hour, argosyv1.ClusterService_Status_FullMethodName); d < 59*time.Minute {
		t.Errorf("a call with a deadline of an hour has %v", d)
	}
	if _, ok := left(t.Context(), argosyv1.PeerService_Join_FullMethodName); ok {
		t.Error("a call of a server was bounded")
	}
}

func TestCallsBeyondTheLimitAreRefused(t *testing.T) {
	c := mustCalls(t, func(cfg *Config) { cfg.MaxCalls, cfg.MaxWatches = 2, 1 })
	method := argosyv1.ClusterService_GetWorkload_FullMethodName
	nested := func(depth int) (err error) {
		var call func(left int) error
		call = func(left int) error {
			_, err := c.Unary(t.Context(), nil, method, func(context.Context, any) (any, error) {
				if left > 1 {
					return nil, call(left - 1)
				}
				return nil, nil
			})
			return err
		}
		return call(depth)
	}
	if err := nested(2); err != nil {
		t.Fatal(err)
	}
	wantOverloaded(t, nested(3))
	if err := nested(2); err != nil {
		t.Fatalf("a refused call took a place: %v", err)
	}
}

// quiet is a stream whose client takes messages only when the test lets it.
type quiet struct {
	grpc.ServerStream
	ctx  context.Context
	take chan struct{}
}

func (q *quiet) Context() context.Context { return q.ctx }

func (q *quiet) SendMsg(any) error {
	select {
	case <-q.take:
		return nil
	case <-q.ctx.Done():
		return q.ctx.Err()
	}
}

var watching = &grpc.StreamServerInfo{FullMethod: argosyv1.ClusterService_Watch_FullMethodName, IsServerStream: true}

func TestAClientThatTakesNothingIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustCalls(t, func(cfg *Config) { cfg.MaxWatches = 1 })
		ctx, cancel := context.WithCancel(t.Context())
		stream := &quiet{ctx: ctx, take: make(chan struct{})}
		began := time.Now()
		err := c.Stream(nil, stream, watching, func(_ any, s grpc.ServerStream) error { return s.SendMsg(nil) })
		if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_SLOW_CONSUMER {
			t.Fatalf("ended with %v", err)
		}
		if took := time.Since(began); took < c.cfg.SlowAfter || took > 2*c.cfg.SlowAfter {
			t.Errorf("it was cut off after %v", took)
		}
		if c.Watches() != 0 {
			t.Errorf("it still counts")
		}
		cancel() // as gRPC does when a call has returned
		synctest.Wait()
	})
}

func TestAWatchThatHasNothingToSayGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustCalls(t, nil)
		stream := &quiet{ctx: t.Context(), take: make(chan struct{}, 1)}
		done := errors.New("over")
		err := c.Stream(nil, stream, watching, func(_ any, s grpc.ServerStream) error {
			for range 3 {
				time.Sleep(time.Hour)
				stream.take <- struct{}{}
				if err := s.SendMsg(nil); err != nil {
					return err
				}
			}
			return done
		})
		if !errors.Is(err, done) {
			t.Fatalf("ended with %v", err)
		}
	})
}

func TestWatchesBeyondTheLimitAreRefused(t *testing.T) {
	c := mustCalls(t, func(cfg *Config) { cfg.MaxWatches = 1 })
	err := c.Stream(nil, &quiet{ctx: t.Context()}, watching, func(any, grpc.ServerStream) error {
		return c.Stream(nil, &quiet{ctx: t.Context()}, watching, func(any, grpc.ServerStream) error { return nil })
	})
	wantOverloaded(t, err)
}

func TestConnectionsBeyondTheLimitAreClosedAndTheirPlacesGivenBack(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.MaxConnections = 2
	l := cfg.Listener(inner, slog.New(slog.DiscardHandler))
	accepted := make(chan net.Conn, 10)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	dial()
	dial()
	first := <-accepted
	<-accepted
	if _, err := dial().Read(make([]byte, 1)); err == nil {
		t.Fatal("a third connection was served")
	} else if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		var refused *net.OpError
		if !errors.As(err, &refused) {
			t.Fatal(err)
		}
	}
	// Twice, as gRPC does.
	first.Close()
	first.Close()
	dial()
	<-accepted
	if _, err := dial().Read(make([]byte, 1)); err == nil {
		t.Fatal("closing twice gave two places back")
	}
}
