package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/writer"
)

// peer is the other server: a real gRPC server with nothing but a Receiver.
type peer struct {
	argosyv1.UnimplementedPeerServiceServer
	receiver *Receiver
	server   *grpc.Server
	client   argosyv1.PeerServiceClient
}

func (p *peer) Forward(stream grpc.BidiStreamingServer[argosyv1.ForwardRequest, argosyv1.ForwardResponse]) error {
	return p.receiver.Serve(stream)
}

func newPeer(t *testing.T, local Target, check func(*argosyv1.PeerHandshake) error) *peer {
	t.Helper()
	if check == nil {
		check = func(*argosyv1.PeerHandshake) error { return nil }
	}
	p := &peer{server: grpc.NewServer(), receiver: &Receiver{
		Local: func() (Target, bool) { return local, local != nil },
		Hello: func() *argosyv1.PeerHandshake { return &argosyv1.PeerHandshake{ServerId: "leader"} },
		Check: check,
	}}
	argosyv1.RegisterPeerServiceServer(p.server, p)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- p.server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	p.client = argosyv1.NewPeerServiceClient(conn)
	t.Cleanup(func() {
		conn.Close()
		p.server.Stop()
		<-served
	})
	return p
}

func open(t *testing.T, p *peer, check func(*argosyv1.PeerHandshake) error) *Stream {
	t.Helper()
	if check == nil {
		check = func(h *argosyv1.PeerHandshake) error {
			if h.GetServerId() != "leader" {
				return errors.New("not the leader's handshake")
			}
			return nil
		}
	}
	s := NewStream(context.Background(), p.client, &argosyv1.PeerHandshake{ServerId: "follower"}, check)
	t.Cleanup(s.Close)
	return s
}

func send(s *Stream, name string) (*writer.Request, <-chan writer.Outcome) {
	done := make(chan writer.Outcome, 1)
	r := &writer.Request{
		Principal: "ann",
		Apply:     &argosyv1.ApplyRequest{RequestId: []byte("0123456789abcdef"), Workloads: []*argosyv1.Workload{{Name: name}}},
		Done:      func(o writer.Outcome) { done <- o },
	}
	s.Submit(r)
	return r, done
}

func TestAStreamCarriesWritesAndTheirAnswers(t *testing.T) {
	echo := &leader{answer: func(r *writer.Request) (writer.Outcome, bool) {
		if r.Principal != "ann" {
			return writer.Outcome{Err: errors.New("principal is " + r.Principal)}, true
		}
		return writer.Outcome{Revision: 9, Replayed: true, Result: &argosyv1.WriteResult{
			Changes: []*argosyv1.WorkloadChange{{Name: r.Apply.GetWorkloads()[0].GetName()}}}}, true
	}}
	s := open(t, newPeer(t, echo, nil), nil)
	var tasks sync.WaitGroup
	for i := range 50 {
		tasks.Go(func() {
			for j := range 20 {
				name := fmt.Sprintf("w%d-%d", i, j)
				_, done := send(s, name)
				o := <-done
				if o.Err != nil || o.Revision != 9 || !o.Replayed || o.Result.GetChanges()[0].GetName() != name {
					t.Errorf("outcome of %s is %+v", name, o)
				}
			}
		})
	}
	tasks.Wait()
}

func TestAStreamTellsTheLeaderOfARepeatAndThatItsRefusalIsRecorded(t *testing.T) {
	s := open(t, newPeer(t, &leader{answer: func(r *writer.Request) (writer.Outcome, bool) {
		return writer.Outcome{Err: &argosyv1.Error{Detail: &argosyv1.ErrorDetail{Code: argosyv1.ErrorCode_ERROR_CODE_CONFLICT, Recorded: r.Repeat}}}, true
	}}, nil), nil)
	for _, repeat := range []bool{false, true} {
		done := make(chan writer.Outcome, 1)
		s.Submit(&writer.Request{Apply: &argosyv1.ApplyRequest{}, Repeat: repeat, Done: func(o writer.Outcome) { done <- o }})
		if e, ok := argosyv1.AsError((<-done).Err); !ok || e.Detail.GetRecorded() != repeat {
			t.Errorf("a repeat: %v, answered %v", repeat, e)
		}
	}
}

func TestAnswersKeepTheirMeaningOnTheWay(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want func(error) bool
	}{
		"certainly not done": {fmt.Errorf("%w: deposed", writer.ErrNotDone), func(err error) bool { return errors.Is(err, writer.ErrNotDone) }},
		"fate unknown":       {fmt.Errorf("%w: deposed", writer.ErrFateUnknown), func(err error) bool { return errors.Is(err, writer.ErrFateUnknown) }},
		"conflict": {&argosyv1.Error{Detail: &argosyv1.ErrorDetail{Code: argosyv1.ErrorCode_ERROR_CODE_CONFLICT, CurrentRevision: 44}, Message: "m"}, func(err error) bool {
			e, ok := argosyv1.AsError(err)
			return ok && e.Code() == argosyv1.ErrorCode_ERROR_CODE_CONFLICT && e.Detail.GetCurrentRevision() == 44 && e.Message == "m"
		}},
		"another error": {errors.New("oops"), func(err error) bool { return argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_INTERNAL }},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, newPeer(t, says(writer.Outcome{Err: c.err}), nil), nil)
			_, done := send(s, "w")
			if o := <-done; !c.want(o.Err) {
				t.Errorf("arrived as %v", o.Err)
			}
		})
	}
}

func TestAServerThatDoesNotLeadHandsTheWriteBack(t *testing.T) {
	s := open(t, newPeer(t, nil, nil), nil)
	_, done := send(s, "w")
	if o := <-done; !errors.Is(o.Err, writer.ErrNotDone) {
		t.Errorf("outcome is %v", o.Err)
	}
}

func TestWhenTheStreamBreaksWhatWasSentIsUnknownAndTheRestNotDone(t *testing.T) {
	reached := make(chan struct{}, 1)
	p := newPeer(t, &leader{answer: func(r *writer.Request) (writer.Outcome, bool) {
		reached <- struct{}{}
		return writer.Outcome{}, false
	}}, nil)
	s := open(t, p, nil)
	_, sent := send(s, "w")
	<-reached
	p.server.Stop()
	<-s.Lost()
	if o := <-sent; !errors.Is(o.Err, writer.ErrFateUnknown) {
		t.Errorf("sent: %v", o.Err)
	}
	_, late := send(s, "w")
	if o := <-late; !errors.Is(o.Err, writer.ErrNotDone) {
		t.Errorf("late: %v", o.Err)
	}
}

func TestAPeerThatDoesNotAnswerADialLosesTheStream(t *testing.T) {
	p := newPeer(t, good(), nil)
	p.server.Stop()
	s := open(t, p, nil)
	_, done := send(s, "w")
	<-s.Lost()
	if o := <-done; o.Err == nil {
		t.Error("no error")
	}
}

func TestAStrangerIsRefusedOnBothSides(t *testing.T) {
	refuse := func(*argosyv1.PeerHandshake) error {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE, "another cluster")
	}
	l := good()
	s := open(t, newPeer(t, l, refuse), nil)
	<-s.Lost()
	if l.asked() != 0 {
		t.Error("a write of a stranger was carried out")
	}
	s = open(t, newPeer(t, good(), nil), refuse)
	<-s.Lost()
}

func TestAStoppingServerEndsItsStreams(t *testing.T) {
	p := newPeer(t, silent(), nil)
	stopping := make(chan struct{})
	p.receiver.Stopping = stopping
	s := open(t, p, nil)
	send(s, "w")
	close(stopping)
	<-s.Lost()
}

func TestAWithdrawnWriteIsNotSent(t *testing.T) {
	p := newPeer(t, good(), nil)
	s := &Stream{ready: make(chan struct{}, 1), sent: map[uint64]held{}}
	r, _ := send(s, "w")
	if !r.Withdraw() {
		t.Fatal("could not withdraw")
	}
	if s.next() != nil {
		t.Error("it was sent")
	}
	_ = p
}

func TestMessagesAreBoundedBySize(t *testing.T) {
	s := &Stream{ready: make(chan struct{}, 1), sent: map[uint64]held{}}
	for range 5 {
		s.Submit(&writer.Request{Apply: &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{{RuntimeConfig: string(make([]byte, maxBytes/2-100))}}}})
	}
	var counts []int
	for m := s.next(); m != nil; m = s.next() {
		counts = append(counts, len(m.GetWrites()))
	}
	if fmt.Sprint(counts) != "[2 2 1]" {
		t.Errorf("messages carry %v writes", counts)
	}
}

func TestAStreamHoldsNoMoreThanItsLeaderWouldTake(t *testing.T) {
	refusal := func(s *Stream, r *writer.Request) (err error) {
		r.Done = func(o writer.Outcome) { err = o.Err }
		s.Submit(r)
		return err
	}
	small := func() *writer.Request { return &writer.Request{Delete: &argosyv1.DeleteRequest{}} }
	large := func() *writer.Request {
		return &writer.Request{Apply: &argosyv1.ApplyRequest{RequestId: make([]byte, maxHeldBytes/4)}}
	}
	for name, c := range map[string]struct {
		request func() *writer.Request
		fits    int
	}{"by number": {small, maxHeld}, "by size": {large, 3}} {
		t.Run(name, func(t *testing.T) {
			s := &Stream{ready: make(chan struct{}, 1), sent: map[uint64]held{}}
			for i := range c.fits {
				if err := refusal(s, c.request()); err != nil {
					t.Fatalf("write %d: %v", i, err)
				}
				if i%100 == 0 {
					s.next() // what is sent counts until it is answered
				}
			}
			e, ok := argosyv1.AsError(refusal(s, c.request()))
			if !ok || e.Code() != argosyv1.ErrorCode_ERROR_CODE_OVERLOADED || e.Detail.GetRetryAfterMs() == 0 {
				t.Fatalf("one more: %v", e)
			}
		})
	}
}
