package consensus

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// The benchmarks in this file run three servers as processes of their own (this
// test binary, started again), end or stop the leader, and measure the time to
// the next acknowledged write of one client that tries the next server at once:
//
//	go test ./server/consensus -run '^$' -bench Leader -benchtime 30x
//
// ARGOSY_BENCH_LOG=1 shows the log of the servers.

const memberEnv = "ARGOSY_CONSENSUS_MEMBER"

// plan is what a member process is started with.
type plan struct {
	Self    int
	Cluster string
	Dirs    []string
	Raft    []string // addresses
	API     []string
	IDs     []string
}

func runMember(text string) {
	var p plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		panic(err)
	}
	cfg := DefaultConfig(p.Dirs[p.Self], p.Raft[p.Self])
	if os.Getenv("ARGOSY_BENCH_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("member", p.Self)
	}
	node, err := Open(cfg, Deps{
		Machine: newCounter(),
		Contact: func(ctx context.Context, id string, request *argosyv1.ContactRequest) (*argosyv1.ContactResponse, error) {
			return askMember(ctx, p.API[slices.Index(p.IDs, id)], request)
		},
	})
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", p.API[p.Self])
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveMember(node, conn)
		}
	}()
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	<-term
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := node.Shutdown(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "shutdown:", err)
	}
}

// serveMember answers 'w' with the index of a write or 0, and 'c' and a
// question about the leader with the answer.
func serveMember(node *Node, conn net.Conn) {
	defer conn.Close()
	kind := make([]byte, 1)
	for {
		if _, err := io.ReadFull(conn, kind); err != nil {
			return
		}
		if kind[0] == 'c' {
			var request argosyv1.ContactRequest
			if err := readMessage(conn, &request); err != nil {
				return
			}
			if err := writeMessage(conn, node.HandleContact(&request)); err != nil {
				return
			}
			continue
		}
		var index uint64
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		if node.Barrier(ctx) == nil {
			if at, _, err := node.Propose(make([]byte, 256)).Wait(ctx); err == nil {
				index = at
			}
		}
		cancel()
		if _, err := conn.Write(binary.BigEndian.AppendUint64(nil, index)); err != nil {
			return
		}
	}
}

func askMember(ctx context.Context, address string, request *argosyv1.ContactRequest) (*argosyv1.ContactResponse, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	limit, _ := ctx.Deadline()
	if err := conn.SetDeadline(limit); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte{'c'}); err != nil {
		return nil, err
	}
	if err := writeMessage(conn, request); err != nil {
		return nil, err
	}
	response := new(argosyv1.ContactResponse)
	return response, readMessage(conn, response)
}

func writeMessage(w io.Writer, message proto.Message) error {
	text, err := proto.Marshal(message)
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	return err
}

func readMessage(r io.Reader, message proto.Message) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	text := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(r, text); err != nil {
		return err
	}
	return proto.Unmarshal(text, message)
}

// processes is a cluster of member processes and one client.
type processes struct {
	b       *testing.B
	plan    plan
	running []*exec.Cmd
	conns   []net.Conn
	at      int // the member that the client writes to
}

func mustStartProcesses(b *testing.B) *processes {
	b.Helper()
	p := &processes{b: b, plan: plan{Cluster: uuid.NewString()}, running: make([]*exec.Cmd, 3), conns: make([]net.Conn, 3)}
	base := b.TempDir()
	for i := range 3 {
		p.plan.Dirs = append(p.plan.Dirs, filepath.Join(base, fmt.Sprint(i)))
		p.plan.Raft = append(p.plan.Raft, freeAddress(b, i))
		p.plan.API = append(p.plan.API, freeAddress(b, i))
	}
	p.mustFound()
	for i := range 3 {
		p.start(i)
	}
	b.Cleanup(func() {
		for i := range 3 {
			p.kill(i)
		}
	})
	return p
}

// mustFound writes the data directories of a new cluster.
func (p *processes) mustFound() {
	p.b.Helper()
	var nodes []*Node
	var servers []Server
	for i, dir := range p.plan.Dirs {
		node, err := Open(DefaultConfig(dir, p.plan.Raft[i]), Deps{Machine: newCounter()})
		if err != nil {
			p.b.Fatal(err)
		}
		nodes = append(nodes, node)
		servers = append(servers, Server{ID: node.ID(), RaftAddress: node.Address()})
		p.plan.IDs = append(p.plan.IDs, node.ID())
	}
	for i, node := range nodes {
		if err := node.SetClusterID(p.plan.Cluster); err != nil {
			p.b.Fatal(err)
		}
		if i == 0 {
			if err := node.Bootstrap(p.plan.Cluster, servers); err != nil {
				p.b.Fatal(err)
			}
		}
	}
	for _, node := range nodes {
		if err := node.Shutdown(context.Background()); err != nil {
			p.b.Fatal(err)
		}
	}
}

func freeAddress(b *testing.B, i int) string {
	b.Helper()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.91.%d:0", i+1))
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func (p *processes) start(i int) {
	p.plan.Self = i
	text, err := json.Marshal(p.plan)
	if err != nil {
		p.b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), memberEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		p.b.Fatal(err)
	}
	p.running[i] = cmd
}

func (p *processes) kill(i int) {
	if cmd := p.running[i]; cmd != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		p.running[i] = nil
	}
}

// write writes once and returns when that was acknowledged by a member other
// than the one that is down.
func (p *processes) write(down int) {
	for {
		if p.at != down && p.try(p.at) {
			return
		}
		p.at = (p.at + 1) % 3
		<-time.After(200 * time.Microsecond)
	}
}

func (p *processes) try(i int) bool {
	if p.conns[i] == nil {
		conn, err := net.DialTimeout("tcp", p.plan.API[i], 50*time.Millisecond)
		if err != nil {
			return false
		}
		p.conns[i] = conn
	}
	answer := make([]byte, 8)
	_, err := p.conns[i].Write([]byte{'w'})
	if err == nil {
		_, err = io.ReadFull(p.conns[i], answer)
	}
	if err != nil {
		p.hangUp(i)
		return false
	}
	return binary.BigEndian.Uint64(answer) > 0
}

func (p *processes) hangUp(i int) {
	if p.conns[i] != nil {
		_ = p.conns[i].Close()
		p.conns[i] = nil
	}
}

// measure runs rounds of writes, a failure of the leader and its repair.
func (p *processes) measure(fail func(leader int) (down int), repair func(leader int)) {
	writeFor := func(d time.Duration) {
		for began := time.Now(); time.Since(began) < d; {
			p.write(-1)
		}
	}
	var outages []time.Duration
	p.write(-1)
	for p.b.Loop() {
		writeFor(500 * time.Millisecond)
		leader := p.at
		began := time.Now()
		p.write(fail(leader))
		outages = append(outages, time.Since(began))
		repair(leader)
		writeFor(500 * time.Millisecond)
	}
	slices.Sort(outages)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	p.b.ReportMetric(0, "ns/op")
	p.b.ReportMetric(ms(outages[len(outages)/2]), "p50-ms")
	p.b.ReportMetric(ms(outages[len(outages)*9/10]), "p90-ms")
	p.b.ReportMetric(ms(outages[len(outages)-1]), "max-ms")
}

func BenchmarkLeaderKilled(b *testing.B) {
	p := mustStartProcesses(b)
	p.measure(func(leader int) int {
		p.kill(leader)
		return -1
	}, func(leader int) { p.start(leader) })
}

func BenchmarkLeaderFrozen(b *testing.B) {
	p := mustStartProcesses(b)
	p.measure(func(leader int) int {
		_ = p.running[leader].Process.Signal(syscall.SIGSTOP)
		p.hangUp(leader)
		return leader
	}, func(leader int) { _ = p.running[leader].Process.Signal(syscall.SIGCONT) })
}

func BenchmarkLeaderStopped(b *testing.B) {
	p := mustStartProcesses(b)
	p.measure(func(leader int) int {
		_ = p.running[leader].Process.Signal(syscall.SIGTERM)
		return -1
	}, func(leader int) {
		_ = p.running[leader].Wait()
		p.start(leader)
	})
}

// BenchmarkLeaderKept writes for a second at a time while four busy loops keep
// both processors from the servers. Nobody failed: there is nobody to replace.
func BenchmarkLeaderKept(b *testing.B) {
	p := mustStartProcesses(b)
	p.write(-1)
	for range 4 {
		loop := exec.Command("sh", "-c", "while :; do :; done")
		loop.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := loop.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			_ = loop.Process.Kill()
			_ = loop.Wait()
		})
	}
	changes, writes := 0, 0
	var worst time.Duration
	for b.Loop() {
		for began := time.Now(); time.Since(began) < time.Second; writes++ {
			leader, sent := p.at, time.Now()
			p.write(-1)
			worst = max(worst, time.Since(sent))
			if p.at != leader {
				changes++
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(changes), "leader-changes")
	b.ReportMetric(float64(writes)/float64(b.N), "writes/s")
	b.ReportMetric(float64(worst)/float64(time.Millisecond), "worst-ms")
}
