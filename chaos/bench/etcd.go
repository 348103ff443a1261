package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/argosy-cluster/argosy/chaos/wait"
	etcdpb "github.com/argosy-cluster/argosy/proto/etcd"
)

// etcdCluster is three members of etcd with its defaults, for comparison.
type etcdCluster struct {
	dir     string
	base    string
	members []*etcdMember
	clean   func()
}

type etcdMember struct {
	name, host string
	cmd        *exec.Cmd
	done       chan struct{}
}

var errNoEtcd = errors.New("etcd is not installed")

// startEtcd starts three members on the addresses base.1 to base.3.
func (s *suite) startEtcd(ctx context.Context, base string) (*etcdCluster, error) {
	if _, err := exec.LookPath("etcd"); err != nil {
		return nil, errNoEtcd
	}
	dir, clean, err := s.dir("etcd")
	if err != nil {
		return nil, err
	}
	c := &etcdCluster{dir: dir, base: base, clean: clean}
	for n := 1; n <= 3; n++ {
		c.members = append(c.members, &etcdMember{name: fmt.Sprintf("e%d", n), host: fmt.Sprintf("%s.%d", base, n)})
	}
	for _, m := range c.members {
		if err := c.start(m); err != nil {
			c.close()
			return nil, err
		}
	}
	deadline, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if _, err := c.leader(deadline); err == nil {
			return c, nil
		}
		if err := wait.For(deadline, 50*time.Millisecond); err != nil {
			c.close()
			return nil, fmt.Errorf("start etcd: %w", err)
		}
	}
}

func (m *etcdMember) endpoint() string { return m.host + ":2379" }

func (c *etcdCluster) start(m *etcdMember) error {
	var initial []string
	for _, other := range c.members {
		initial = append(initial, other.name+"=http://"+other.host+":2380")
	}
	cmd := exec.Command("etcd", "--name", m.name, "--data-dir", filepath.Join(c.dir, m.name),
		"--listen-client-urls", "http://"+m.endpoint(), "--advertise-client-urls", "http://"+m.endpoint(),
		"--listen-peer-urls", "http://"+m.host+":2380", "--initial-advertise-peer-urls", "http://"+m.host+":2380",
		"--initial-cluster", strings.Join(initial, ","), "--log-level", "error")
	logFile, err := os.Create(filepath.Join(c.dir, m.name+".log"))
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	defer func() { _ = logFile.Close() }()
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	m.cmd, m.done = cmd, make(chan struct{})
	go func(done chan struct{}) { _ = cmd.Wait(); close(done) }(m.done)
	return nil
}

func (m *etcdMember) kill() {
	_ = m.cmd.Process.Signal(syscall.SIGKILL)
	<-m.done
}

func (c *etcdCluster) close() {
	for _, m := range c.members {
		if m.cmd != nil {
			m.kill()
		}
	}
	c.clean()
}

// leader returns the member that leads.
func (c *etcdCluster) leader(ctx context.Context) (*etcdMember, error) {
	for _, m := range c.members {
		conn, err := dialEtcd(m.endpoint())
		if err != nil {
			return nil, err
		}
		bounded, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		status, err := etcdpb.NewMaintenanceClient(conn).Status(bounded, &etcdpb.StatusRequest{})
		cancel()
		_ = conn.Close()
		if err == nil && status.GetLeader() != 0 && status.GetLeader() == status.GetHeader().GetMemberId() {
			return m, nil
		}
	}
	return nil, errors.New("etcd has no leader")
}

func dialEtcd(endpoint string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+endpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, MaxDelay: time.Second}, MinConnectTimeout: time.Second}))
}
