package bench

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	etcdpb "github.com/argosy-cluster/argosy/proto/etcd"
)

// measureCost measures the CPU time that a write takes of each process, with
// many clients at once: through the client library, which sends what is under
// way at once on one stream, by a call for each write, and etcd's. Unlike a rate
// it means something on a machine that does other things too.
func measureCost(ctx context.Context, s *suite) error {
	ours, err := s.startPlain(ctx)
	if err != nil {
		return err
	}
	defer ours.close()
	c, err := ours.clientOf(ours.leader)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	followers := make([]int, 0, 2)
	for _, server := range ours.cluster.Servers {
		if server != ours.leader {
			followers = append(followers, server.PID())
		}
	}
	through := func(apply func(context.Context, int, *argosyv1.ApplyRequest) error) operation {
		return func(ctx context.Context, worker, number int) error {
			return apply(ctx, worker, &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{{
				Name: fmt.Sprintf("w%d-%d", worker, number%100), Runtime: "process", RuntimeConfig: fmt.Sprint(payload, number),
			}}})
		}
	}
	library := through(func(ctx context.Context, _ int, req *argosyv1.ApplyRequest) error {
		_, err := c.Apply(ctx, req)
		return err
	})
	if err := s.cost(ctx, "through the client library", ours.leader.PID(), followers, library); err != nil {
		return err
	}
	stubs, stop, err := dialPlain(ours.leader.Endpoint())
	if err != nil {
		return err
	}
	defer stop()
	unary := through(func(ctx context.Context, worker int, req *argosyv1.ApplyRequest) error {
		req.RequestId = client.NewRequestID()
		_, err := stubs[worker%len(stubs)].Apply(ctx, req)
		return err
	})
	if err := s.cost(ctx, "by a call for each", ours.leader.PID(), followers, unary); err != nil {
		return err
	}
	return s.etcdCost(ctx)
}

func (s *suite) etcdCost(ctx context.Context) error {
	etcd, err := s.startEtcd(ctx, "127.61.7")
	if err != nil {
		return err
	}
	defer etcd.close()
	leader, err := etcd.leader(ctx)
	if err != nil {
		return err
	}
	var followers []int
	for _, m := range etcd.members {
		if m != leader {
			followers = append(followers, m.cmd.Process.Pid)
		}
	}
	clients, stop, err := etcd.clients(leader)
	if err != nil {
		return err
	}
	defer stop()
	return s.cost(ctx, "to etcd 3.4", leader.cmd.Process.Pid, followers, func(ctx context.Context, worker, number int) error {
		_, err := clients[worker%len(clients)].Put(ctx, &etcdpb.PutRequest{
			Key: fmt.Appendf(nil, "w%d-%d", worker, number%100), Value: fmt.Append(nil, payload, number),
		})
		return err
	})
}

// dialPlain connects to a server without the client library.
func dialPlain(endpoint string) ([]argosyv1.ClusterServiceClient, func(), error) {
	var stubs []argosyv1.ClusterServiceClient
	var conns []*grpc.ClientConn
	stop := func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
	for range connections {
		conn, err := grpc.NewClient("passthrough:///"+endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			stop()
			return nil, nil, err
		}
		conns = append(conns, conn)
		stubs = append(stubs, argosyv1.NewClusterServiceClient(conn))
	}
	return stubs, stop, nil
}

// cost does a number of operations with 256 clients and reports what each took.
func (s *suite) cost(ctx context.Context, how string, leader int, followers []int, op operation) error {
	const workers = 256
	count := s.times(40_000)
	// The first ones open connections and grow what is kept.
	if err := exactly(ctx, workers, count/10, op); err != nil {
		return err
	}
	pids := append([]int{leader, os.Getpid()}, followers...)
	before, err := secondsOf(pids)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := exactly(ctx, workers, count, op); err != nil {
		return err
	}
	took := time.Since(begin)
	after, err := secondsOf(pids)
	if err != nil {
		return err
	}
	used := func(i int) float64 { return (after[i] - before[i]) * 1e6 / float64(count) }
	follower := 0.0
	for i := range followers {
		follower += used(2+i) / float64(len(followers))
	}
	s.add("writes "+how+", 256 clients", float64(count)/took.Seconds(), "1/s", nil)
	s.add("CPU time of a write "+how+", leader", used(0), "us", nil)
	s.add("CPU time of a write "+how+", each follower", follower, "us", nil)
	s.add("CPU time of a write "+how+", client", used(1), "us", nil)
	return nil
}

func secondsOf(pids []int) ([]float64, error) {
	seconds := make([]float64, len(pids))
	for i, pid := range pids {
		u, err := usageOf(pid)
		if err != nil {
			return nil, err
		}
		seconds[i] = u.seconds
	}
	return seconds, nil
}

// exactly runs an operation so many times, in closed loops.
func exactly(ctx context.Context, workers, count int, op operation) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for number := next.Add(1); number <= int64(count); number = next.Add(1) {
				if err := op(ctx, worker, int(number)); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}
