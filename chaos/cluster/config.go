package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

var (
	// ErrNotRunning is returned when a process that does not run is signalled.
	ErrNotRunning = errors.New("process is not running")
	// ErrRunning is returned when a process that runs is started.
	ErrRunning = errors.New("process is running already")

	// errNoTLS is returned when a certificate is asked of a cluster without TLS.
	errNoTLS = errors.New("cluster has no certificates: it was not configured with TLS")
	// errEnded is why a process is gone that ended unasked, with exit code 0.
	errEnded = errors.New("exit code 0")
)

// Config says what cluster to build.
type Config struct {
	// Binary is the argosy program. Default: the running program itself.
	Binary string
	// Environment is added to that of the processes, such as a variable that
	// makes a test binary behave as the program.
	Environment []string
	// Dir holds data directories, logs and certificates. Required; it is not
	// removed.
	Dir string
	// Servers is the number of servers that bootstrap together. Default 3.
	Servers int
	// Agents is the number of agents. Default 0.
	Agents int
	// AgentName names the agents; it contains one %d, counting from 1. Default
	// "agent-%d".
	AgentName string
	// TLS makes the cluster use mutual TLS with certificates of its own.
	TLS bool
	// Runtimes are those that agents offer. Default "process".
	Runtimes []string
	// PodmanSocket is the podman service that agents use, when Runtimes has
	// podman.
	PodmanSocket string
	// FixedAddresses puts server N on 127.0.0.N instead of on addresses that
	// nothing else uses, so that the command line finds it without a flag.
	FixedAddresses bool
	// Place chooses where the process of a name runs. Default: on this machine, at
	// a loopback address of its own, with its data below Dir.
	Place func(name string) (Place, error)
	// Dial is how clients reach the servers. Default: from this machine.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// ServerArgs and AgentArgs are further arguments.
	ServerArgs, AgentArgs []string
	// HTTP turns the servers' HTTP port on.
	HTTP bool
	// StartTimeout bounds how long Start waits for a cluster to answer. Default
	// 30 s.
	StartTimeout time.Duration
	// Logger is told what is done to the processes. Default: nobody.
	Logger *slog.Logger
}

// Place is where a process runs.
type Place struct {
	// Host is an address that is its own.
	Host string
	// DataDir is its data directory.
	DataDir string
	// Start starts a program there; nil means as any other.
	Start func(*exec.Cmd) error
}

func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("build cluster: no directory given")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return c, fmt.Errorf("build cluster: %w", err)
	}
	c.Dir = dir
	if c.Binary == "" {
		if c.Binary, err = os.Executable(); err != nil {
			return c, fmt.Errorf("build cluster: find own program: %w", err)
		}
	}
	if c.Servers == 0 {
		c.Servers = 3
	}
	if c.AgentName == "" {
		c.AgentName = "agent-%d"
	}
	if len(c.Runtimes) == 0 {
		c.Runtimes = []string{"process"}
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return c, nil
}
