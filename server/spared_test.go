package server

import (
	"context"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// electing is a server of a cluster that finds its leader between two questions.
type electing struct {
	argosyv1.UnimplementedPeerServiceServer
	asked atomic.Int32
}

func (e *electing) ReadIndex(context.Context, *argosyv1.ReadIndexRequest) (*argosyv1.ReadIndexResponse, error) {
	if e.asked.Add(1) == 1 {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "give a read index: not the leader")
	}
	return &argosyv1.ReadIndexResponse{}, nil
}

// What damaged one server has often taken the leader as well.
func TestADamagedServerWaitsForAnElectionOfTheOthers(t *testing.T) {
	cfg := testConfig(t)
	cfg.BootstrapExpect = 1
	r := mustStart(t, cfg)
	mustLeader(t, r)
	r.stop(t)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	other, server := &electing{}, grpc.NewServer()
	argosyv1.RegisterPeerServiceServer(server, other)
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-served })
	nobody := strings.Replace(listener.Addr().String(), "127.0.0.1", "127.0.0.2", 1)
	if err := os.WriteFile(apisPath(cfg.DataDir), []byte(nobody+"\n"+listener.Addr().String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Spared(t.Context(), cfg); err != nil || other.asked.Load() != 2 {
		t.Errorf("asked %d times: %v", other.asked.Load(), err)
	}
}
