package peers

import (
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type describer struct {
	argosyv1.UnimplementedPeerServiceServer
	id string
}

func (d describer) Describe(context.Context, *argosyv1.DescribeRequest) (*argosyv1.DescribeResponse, error) {
	return &argosyv1.DescribeResponse{Server: &argosyv1.ServerStatus{Id: d.id}}, nil
}

// serve runs a server at an address until the returned function is called.
func serve(t *testing.T, address, id string) (string, func()) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(ServerOptions(nil)...)
	argosyv1.RegisterPeerServiceServer(s, describer{id: id})
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(listener)
	}()
	stop := func() {
		s.Stop()
		<-served
	}
	t.Cleanup(stop)
	return listener.Addr().String(), stop
}

func mustPool(t *testing.T) (*Pool, <-chan struct{}) {
	t.Helper()
	changed := make(chan struct{}, 1)
	p := NewPool(ClientOptions(nil, nil), func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	t.Cleanup(p.Close)
	return p, changed
}

func mustGet(t *testing.T, p *Pool, id string) *Peer {
	t.Helper()
	peer, ok := p.Get(id)
	if !ok {
		t.Fatalf("no peer %s", id)
	}
	return peer
}

func TestAConnectionStandsBeforeItIsNeededAndComesBack(t *testing.T) {
	p, changed := mustPool(t)
	address, stop := serve(t, "127.0.0.1:0", "a")
	if err := p.Set("a", address, true); err != nil {
		t.Fatal(err)
	}
	peer := mustGet(t, p, "a")
	for !peer.Connected() {
		<-changed
	}
	stop()
	for peer.Connected() {
		<-changed
	}
	serve(t, address, "a")
	// Gossip says that it is back.
	if err := p.Set("a", address, true); err != nil {
		t.Fatal(err)
	}
	for !peer.Connected() {
		<-changed
	}
	if mustGet(t, p, "a") != peer {
		t.Error("the same server at the same address got another connection")
	}
}

func TestANewAddressIsANewConnection(t *testing.T) {
	p, _ := mustPool(t)
	first, _ := serve(t, "127.0.0.1:0", "old")
	second, _ := serve(t, "127.0.0.1:0", "new")
	if err := p.Set("a", first, true); err != nil {
		t.Fatal(err)
	}
	old := mustGet(t, p, "a")
	if err := p.Set("a", second, true); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	answer, err := mustGet(t, p, "a").Describe(ctx, &argosyv1.DescribeRequest{}, grpc.WaitForReady(true))
	if err != nil || answer.GetServer().GetId() != "new" {
		t.Errorf("answer is %v, %v", answer, err)
	}
	if _, err := old.Describe(ctx, &argosyv1.DescribeRequest{}); err == nil {
		t.Error("the old connection still answers")
	}
}

func TestServersThatAreNotWantedAreLetGo(t *testing.T) {
	p, _ := mustPool(t)
	address, _ := serve(t, "127.0.0.1:0", "a")
	for _, id := range []string{"a", "b"} {
		if err := p.Set(id, address, true); err != nil {
			t.Fatal(err)
		}
	}
	p.Keep(func(id string) bool { return id == "b" })
	if _, ok := p.Get("a"); ok || len(p.All()) != 1 {
		t.Error("a is still there")
	}
	p.Close()
	p.Close()
	if err := p.Set("c", address, true); err != nil || len(p.All()) != 0 {
		t.Error("a closed pool took a peer")
	}
}
