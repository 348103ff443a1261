package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	etcdpb "github.com/argosy-cluster/argosy/proto/etcd"
	"google.golang.org/grpc"
)

// connections is how many connections each kind of client uses: two to four do
// better than one or eight.
const connections = 4

// operation is one call of a closed loop; worker and number name it.
type operation func(ctx context.Context, worker, number int) error

// loop runs an operation in closed loops and returns how many were done in a
// second, and how long they took.
func loop(ctx context.Context, workers int, length time.Duration, op operation) (float64, sample, error) {
	ctx, cancel := context.WithTimeout(ctx, length+time.Minute)
	defer cancel()
	durations := make([]sample, workers)
	errs := make([]error, workers)
	var group sync.WaitGroup
	begin := time.Now()
	for worker := range workers {
		group.Go(func() {
			for number := 0; time.Since(begin) < length; number++ {
				start := time.Now()
				if err := op(ctx, worker, number); err != nil {
					errs[worker] = err
					return
				}
				durations[worker] = append(durations[worker], time.Since(start))
			}
		})
	}
	group.Wait()
	took := time.Since(begin)
	var all sample
	for _, d := range durations {
		all = append(all, d...)
	}
	return float64(len(all)) / took.Seconds(), all, errors.Join(errs...)
}

// payload is 1 KB.
var payload = "command: /bin/true # " + strings.Repeat("x", 1000)

// measureWrites measures durable writes, ours and etcd's in turns, so that the
// noise of the machine hits both alike.
func measureWrites(ctx context.Context, s *suite) error {
	flushes, err := s.flushesPerSecond()
	if err != nil {
		return err
	}
	s.add("fdatasync of 4 KiB appended to a file, per second", flushes, "1/s", nil)
	etcd, err := s.startEtcd(ctx, "127.61.2")
	if err != nil {
		return err
	}
	defer etcd.close()
	if err := s.boltWrites(ctx, etcd); err != nil {
		return err
	}
	return s.walWrites(ctx, etcd)
}

func (s *suite) boltWrites(ctx context.Context, etcd *etcdCluster) error {
	ours, err := s.startPlain(ctx)
	if err != nil {
		return err
	}
	defer ours.close()
	for _, workers := range []int{1, 16, 64, 256} {
		var leader, follower, theirs float64
		turns := 1
		if workers == 256 {
			turns = 3
		}
		for range turns {
			viaLeader, _, err := ours.writes(ctx, ours.leader, workers, s.seconds(5))
			if err != nil {
				return err
			}
			viaFollower, _, err := ours.writes(ctx, ours.follower, workers, s.seconds(5))
			if err != nil {
				return err
			}
			viaEtcd, _, err := etcd.writes(ctx, workers, s.seconds(5))
			if err != nil {
				return err
			}
			leader += viaLeader / float64(turns)
			follower += viaFollower / float64(turns)
			theirs += viaEtcd / float64(turns)
		}
		s.add(fmt.Sprintf("durable writes of 1 KB through the leader, %d clients", workers), leader, "1/s", nil)
		s.add(fmt.Sprintf("durable writes of 1 KB through a follower, %d clients", workers), follower, "1/s", nil)
		s.add(fmt.Sprintf("etcd 3.4: durable writes of 1 KB through the leader, %d clients", workers), theirs, "1/s", nil)
		viaLeader, viaFollower := (*goal)(nil), (*goal)(nil)
		if workers == 256 {
			viaLeader, viaFollower = atLeast(2.2), atLeast(1.7)
		}
		s.add(fmt.Sprintf("writes through the leader against etcd, %d clients", workers), leader/theirs, "times", viaLeader)
		s.add(fmt.Sprintf("writes through a follower against etcd, %d clients", workers), follower/theirs, "times", viaFollower)
	}
	return nil
}

// walWrites measures the faster store of the log, in turns with etcd.
func (s *suite) walWrites(ctx context.Context, etcd *etcdCluster) error {
	ours, err := s.startPlain(ctx, "--log-store", "wal")
	if err != nil {
		return err
	}
	defer ours.close()
	for _, workers := range []int{1, 256} {
		var rate, theirRate float64
		var took, theirs sample
		const turns = 2
		for range turns {
			r, t, err := ours.writes(ctx, ours.leader, workers, s.seconds(5))
			if err != nil {
				return err
			}
			rate, took = rate+r/turns, append(took, t...)
			if r, t, err = etcd.writes(ctx, workers, s.seconds(5)); err != nil {
				return err
			}
			theirRate, theirs = theirRate+r/turns, append(theirs, t...)
		}
		s.add(fmt.Sprintf("durable writes of 1 KB through the leader with wal, %d clients", workers), rate, "1/s", nil)
		s.add(fmt.Sprintf("etcd 3.4 in turns with it, %d clients", workers), theirRate, "1/s", nil)
		if workers == 1 {
			s.add("one write with wal, p50", milliseconds(took.at(0.5)), "ms", nil)
			s.add("etcd 3.4: one write in turns with it, p50", milliseconds(theirs.at(0.5)), "ms", nil)
			s.add("the former against the latter", milliseconds(took.at(0.5))/milliseconds(theirs.at(0.5)), "times", atMost(1.2))
			continue
		}
		s.add(fmt.Sprintf("writes through the leader with wal against etcd, %d clients", workers), rate/theirRate, "times", atLeast(2.5))
	}
	return nil
}

// plain is a cluster of three servers without agents.
type plain struct {
	cluster          *cluster.Cluster
	leader, follower *cluster.Process
	clean            func()
}

func (s *suite) startPlain(ctx context.Context, serverArgs ...string) (*plain, error) {
	dir, clean, err := s.dir("plain")
	if err != nil {
		return nil, err
	}
	c, err := cluster.New(cluster.Config{Binary: s.config.Binary, Dir: dir, ServerArgs: serverArgs})
	if err != nil {
		clean()
		return nil, err
	}
	p := &plain{cluster: c, clean: clean}
	if err := c.Start(ctx); err != nil {
		p.close()
		return nil, err
	}
	if p.leader, err = c.Leader(ctx); err != nil {
		p.close()
		return nil, err
	}
	for _, server := range c.Servers {
		if server != p.leader {
			p.follower = server
		}
	}
	return p, nil
}

func (p *plain) close() {
	_ = p.cluster.Close()
	p.clean()
}

func (p *plain) clientOf(server *cluster.Process) (*client.Client, error) {
	return p.cluster.Client(client.Config{Endpoints: []string{server.Endpoint()}, Connections: connections})
}

func (p *plain) writes(ctx context.Context, server *cluster.Process, workers int, length time.Duration) (float64, sample, error) {
	c, err := p.clientOf(server)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = c.Close() }()
	return loop(ctx, workers, length, func(ctx context.Context, worker, number int) error {
		_, err := c.Apply(ctx, &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{{
			Name: fmt.Sprintf("w%d-%d", worker, number%100), Runtime: "process", RuntimeConfig: fmt.Sprint(payload, number),
		}}})
		return err
	})
}

func (c *etcdCluster) clients(m *etcdMember) ([]etcdpb.KVClient, func(), error) {
	var clients []etcdpb.KVClient
	var conns []*grpc.ClientConn
	stop := func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
	for range connections {
		conn, err := dialEtcd(m.endpoint())
		if err != nil {
			stop()
			return nil, nil, err
		}
		conns = append(conns, conn)
		clients = append(clients, etcdpb.NewKVClient(conn))
	}
	return clients, stop, nil
}

func (c *etcdCluster) writes(ctx context.Context, workers int, length time.Duration) (float64, sample, error) {
	leader, err := c.leader(ctx)
	if err != nil {
		return 0, nil, err
	}
	clients, stop, err := c.clients(leader)
	if err != nil {
		return 0, nil, err
	}
	defer stop()
	return loop(ctx, workers, length, func(ctx context.Context, worker, number int) error {
		_, err := clients[worker%len(clients)].Put(ctx, &etcdpb.PutRequest{
			Key: fmt.Appendf(nil, "w%d-%d", worker, number%100), Value: fmt.Append(nil, payload, number),
		})
		return err
	})
}

// flushesPerSecond measures the disk alone.
func (s *suite) flushesPerSecond() (float64, error) {
	dir, clean, err := s.dir("disk")
	if err != nil {
		return 0, err
	}
	defer clean()
	file, err := os.Create(filepath.Join(dir, "flush"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	page := make([]byte, 4096)
	begin, n := time.Now(), 0
	for ; time.Since(begin) < 2*time.Second; n++ {
		if _, err := file.Write(page); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(file.Fd())); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}

// measureReads measures linearizable reads on a follower, ours and etcd's.
func measureReads(ctx context.Context, s *suite) error {
	ours, err := s.startPlain(ctx)
	if err != nil {
		return err
	}
	defer ours.close()
	etcd, err := s.startEtcd(ctx, "127.61.3")
	if err != nil {
		return err
	}
	defer etcd.close()
	const workers = 64
	c, err := ours.clientOf(ours.follower)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Apply(ctx, &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{{Name: "read", Runtime: "process", RuntimeConfig: payload}}}); err != nil {
		return err
	}
	leader, err := etcd.leader(ctx)
	if err != nil {
		return err
	}
	var follower *etcdMember
	for _, m := range etcd.members {
		if m != leader {
			follower = m
		}
	}
	clients, stop, err := etcd.clients(follower)
	if err != nil {
		return err
	}
	defer stop()
	if _, err := clients[0].Put(ctx, &etcdpb.PutRequest{Key: []byte("read"), Value: []byte(payload)}); err != nil {
		return err
	}
	rate, _, err := loop(ctx, workers, s.seconds(5), func(ctx context.Context, _, _ int) error {
		_, err := c.GetWorkload(ctx, &argosyv1.GetWorkloadRequest{Name: "read"})
		return err
	})
	if err != nil {
		return err
	}
	theirs, _, err := loop(ctx, workers, s.seconds(5), func(ctx context.Context, worker, _ int) error {
		_, err := clients[worker%len(clients)].Range(ctx, &etcdpb.RangeRequest{Key: []byte("read")})
		return err
	})
	if err != nil {
		return err
	}
	s.add("linearizable reads on a follower, 64 clients", rate, "1/s", nil)
	s.add("etcd 3.4: linearizable reads on a follower, 64 clients", theirs, "1/s", nil)
	s.add("linearizable reads on a follower against etcd, 64 clients", rate/theirs, "times", atLeast(1.3))
	return nil
}
