package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/peers"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// A probe of gossip that gets no answer waits out its interval, which its
		// shutdown does not shorten: seconds at most.
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).triggerFunc"))
}

// patience bounds what a test waits for that fails; a test that passes never
// waits so long, however busy the machine is.
const patience = 3 * time.Minute

// replica is one real server of a test: real Raft, real gossip, a real disk.
type replica struct {
	*Server
	argosyv1.ClusterServiceClient

	cfg    Config
	conn   *grpc.ClientConn
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
}

// testConfig is what the servers of tests have in common.
func testConfig(t *testing.T) Config {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Cluster = t.Name()[:min(len(t.Name()), 60)] + fmt.Sprint(os.Getpid())
	cfg.DataDir = t.TempDir()
	cfg.APIAddress, cfg.RaftAddress, cfg.GossipAddress, cfg.HTTPAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", ""
	cfg.TimingMultiplier = 5 // tests share the machine
	cfg.Logger = logger(t)
	return cfg
}

// logger shows the servers' logs of a test that failed, if ARGOSY_TEST_LOG is
// set; if it is "live", as they come, for a test that hangs.
func logger(t *testing.T) *slog.Logger {
	var mu sync.Mutex
	var lines []byte
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		if t.Failed() && os.Getenv("ARGOSY_TEST_LOG") != "" {
			t.Logf("%s", lines)
		}
	})
	return slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		if os.Getenv("ARGOSY_TEST_LOG") == "live" {
			return os.Stderr.Write(p)
		}
		lines = append(lines, p...)
		return len(p), nil
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func mustStart(t *testing.T, cfg Config) *replica {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return mustRun(t, s, cfg)
}

// mustRun runs a server that was opened.
func mustRun(t *testing.T, s *Server, cfg Config) *replica {
	t.Helper()
	var err error
	r := &replica{Server: s, cfg: cfg, ended: make(chan struct{})}
	// The same addresses when it is started again.
	r.cfg.APIAddress, r.cfg.RaftAddress, r.cfg.GossipAddress = s.Addresses().API, s.Addresses().Raft, s.Addresses().Gossip
	if r.conn, err = grpc.NewClient("passthrough:///"+s.Addresses().API, peers.ClientOptions(s.clientTLS(), nil)...); err != nil {
		t.Fatal(err)
	}
	r.ClusterServiceClient = argosyv1.NewClusterServiceClient(r.conn)
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.ended)
		r.err = s.Run(ctx)
	}()
	t.Cleanup(func() {
		r.conn.Close()
		r.cancel()
		<-r.ended
	})
	return r
}

// stop stops a server gracefully.
func (r *replica) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	<-r.ended
	if r.err != nil {
		t.Errorf("server ended with %v", r.err)
	}
	r.conn.Close()
}

// crash takes a server away without a word to the others.
func (r *replica) crash(t *testing.T) {
	t.Helper()
	r.grpc.Stop()
	_ = r.node.Halt(context.Background())
	r.cancel()
	<-r.ended
	r.conn.Close()
}

// mustCluster starts servers that found a cluster, and waits until it has a
// leader that all of them have heard of.
func mustCluster(t *testing.T, n int, change func(i int, cfg *Config)) []*replica {
	t.Helper()
	var all []*replica
	for i := range n {
		cfg := testConfig(t)
		cfg.Name = fmt.Sprintf("s%d", i+1)
		cfg.BootstrapExpect = n
		for _, r := range all {
			cfg.Join = append(cfg.Join, r.Addresses().Gossip)
		}
		if change != nil {
			change(i, &cfg)
		}
		all = append(all, mustStart(t, cfg))
	}
	mustLeader(t, all...)
	eventually(t, "all servers to be in the cluster", func() bool {
		for _, r := range all {
			if _, ok := r.machine.View().Cluster(); !ok {
				return false
			}
		}
		return true
	})
	return all
}

// mustLeader waits until one of the servers leads and serves, and returns it.
func mustLeader(t *testing.T, all ...*replica) *replica {
	t.Helper()
	var found *replica
	eventually(t, "a leader", func() bool {
		for _, r := range all {
			if reign := r.reign.Load(); reign != nil && r.machine.View() != nil {
				if _, ok := r.machine.View().Cluster(); ok {
					found = r
					return true
				}
			}
		}
		return false
	})
	return found
}

func others(all []*replica, not *replica) []*replica {
	var rest []*replica
	for _, r := range all {
		if r != not {
			rest = append(rest, r)
		}
	}
	return rest
}

// eventually waits for a condition. The time only bounds a test that fails.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func requestContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func newID() []byte {
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	return id
}

func workload(name, config string) *argosyv1.Workload {
	return &argosyv1.Workload{Name: name, Agent: "a1", Runtime: "process", RuntimeConfig: config}
}

func applyOf(workloads ...*argosyv1.Workload) *argosyv1.ApplyRequest {
	return &argosyv1.ApplyRequest{RequestId: newID(), Workloads: workloads}
}

func mustApply(t *testing.T, r *replica, req *argosyv1.ApplyRequest) *argosyv1.WriteResponse {
	t.Helper()
	return mustDo(t, "apply through "+r.cfg.Name, func() (*argosyv1.WriteResponse, error) { return r.Apply(requestContext(t), req) })
}

func mustGet(t *testing.T, r *replica, name string) *argosyv1.GetWorkloadResponse {
	t.Helper()
	return mustDo(t, "get through "+r.cfg.Name, func() (*argosyv1.GetWorkloadResponse, error) {
		return r.GetWorkload(requestContext(t), &argosyv1.GetWorkloadRequest{Name: name})
	})
}

// mustDo makes a request until what comes of it is not a matter of who leads: on a
// machine that is busy leaders change, and a write may be repeated under its id.
func mustDo[T any](t *testing.T, what string, do func() (T, error)) T {
	t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(5 * time.Millisecond) {
		result, err := do()
		if err == nil {
			return result
		}
		if !retryable(err) || time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// retryable tells, like the client library, whether a request may be tried at
// another server.
func retryable(err error) bool {
	switch argosyv1.CodeOf(err) {
	case argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN,
		argosyv1.ErrorCode_ERROR_CODE_STOPPING, argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER:
		return true
	}
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.Canceled || errors.Is(err, context.Canceled)
}

func mustDial(t *testing.T, address string, config *tls.Config) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, peers.ClientOptions(config, nil)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
