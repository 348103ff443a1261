package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/membership/identity"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// LogDir is the name of the directory, below that of a cluster, with what its
// processes print.
const LogDir = "logs"

// Cluster is a cluster of processes.
type Cluster struct {
	// Servers and Agents, in order of their numbers.
	Servers, Agents []*Process

	config  Config
	block   block
	spawn   *spawner
	certs   *certificates
	moved   int
	places  map[string]Place
	closing sync.Once
}

// New prepares a cluster: addresses, directories, certificates. It starts
// nothing.
func New(config Config) (*Cluster, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cluster{config: config, block: block{0, 0}, places: map[string]Place{}}
	switch {
	case config.Place != nil:
		// Addresses are its business.
	case config.FixedAddresses:
		// Servers that are there already would answer in place of those that find
		// no room.
		if err := c.block.free(config.Servers, config.Agents); err != nil {
			return nil, fmt.Errorf("build cluster: %w: end the cluster that runs there, or give this one other addresses", err)
		}
	default:
		if c.block, err = leaseBlock(config.Servers, config.Agents); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(config.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("build cluster: %w", err)
	}
	if config.TLS {
		if c.certs, err = newCertificates(filepath.Join(config.Dir, "certs")); err != nil {
			return nil, err
		}
	}
	c.spawn = newSpawner()
	for n := 1; n <= config.Servers; n++ {
		if _, err := c.AddServer(true); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	for n := 1; n <= config.Agents; n++ {
		if _, err := c.AddAgent(fmt.Sprintf(config.AgentName, n)); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// AddServer prepares one more server. One that does not bootstrap joins those
// that are there.
func (c *Cluster) AddServer(bootstraps bool) (*Process, error) {
	n := len(c.Servers) + 1
	name := serverName(n)
	place, err := c.place(name, n)
	if err != nil {
		return nil, err
	}
	seeds, err := c.gossipSeeds()
	if err != nil {
		return nil, err
	}
	host := place.Host
	args := []string{
		"server", "--name", name, "--data-dir", place.DataDir,
		"--api-address", net.JoinHostPort(host, apiPort),
		"--raft-address", net.JoinHostPort(host, raftPort),
		"--gossip-address", net.JoinHostPort(host, gossipPort),
		"--join", strings.Join(seeds, ","),
	}
	if c.config.HTTP {
		args = append(args, "--http-address", net.JoinHostPort(host, httpPort))
	} else {
		args = append(args, "--http-address", "off")
	}
	if bootstraps {
		args = append(args, "--bootstrap-expect", fmt.Sprint(c.config.Servers))
	}
	if c.certs != nil {
		files, err := c.certs.server(name)
		if err != nil {
			return nil, err
		}
		args = append(args, files...)
	} else if c.config.Place != nil {
		args = append(args, "--insecure")
	}
	p := c.process(name, place, append(args, c.config.ServerArgs...))
	c.Servers = append(c.Servers, p)
	return p, nil
}

// AddAgent prepares one more agent.
func (c *Cluster) AddAgent(name string) (*Process, error) {
	place, err := c.place(name, firstAgent+len(c.Agents)+1)
	if err != nil {
		return nil, err
	}
	seeds, err := c.gossipSeeds()
	if err != nil {
		return nil, err
	}
	host := place.Host
	args := []string{
		"agent", "--name", name, "--data-dir", place.DataDir,
		"--server", strings.Join(c.Endpoints(), ","),
		"--join", strings.Join(seeds, ","),
		"--gossip-address", net.JoinHostPort(host, gossipPort),
		"--runtimes", strings.Join(c.config.Runtimes, ","),
	}
	if c.config.PodmanSocket != "" {
		args = append(args, "--podman-socket", c.config.PodmanSocket)
	}
	if c.certs != nil {
		files, err := c.certs.agent(name)
		if err != nil {
			return nil, err
		}
		args = append(args, files...)
	} else if c.config.Place != nil {
		args = append(args, "--insecure")
	}
	p := c.process(name, place, append(args, c.config.AgentArgs...))
	// Its run folder is there: agents of other clusters have the same names. The
	// former release has no flag for it.
	p.environment = append(slices.Clone(p.environment), "TMPDIR="+place.DataDir)
	c.Agents = append(c.Agents, p)
	return p, nil
}

func (c *Cluster) process(name string, place Place, args []string) *Process {
	spawn := place.Start
	if spawn == nil {
		spawn = c.spawn.start
	}
	return &Process{
		Name: name, Host: place.Host, DataDir: place.DataDir,
		LogPath: filepath.Join(c.config.Dir, LogDir, name+".log"),
		binary:  c.config.Binary, args: args, environment: c.config.Environment, spawn: spawn, log: c.config.Logger,
	}
}

func serverName(n int) string { return fmt.Sprintf("server-%d", n) }

// place returns where the process of a name runs; the number is that of its
// loopback address, if it has one.
func (c *Cluster) place(name string, number int) (Place, error) {
	if c.config.Place == nil {
		return Place{Host: c.block.host(number), DataDir: filepath.Join(c.config.Dir, name)}, nil
	}
	place, ok := c.places[name]
	if ok {
		return place, nil
	}
	place, err := c.config.Place(name)
	if err != nil {
		return place, fmt.Errorf("find a place for %s: %w", name, err)
	}
	c.places[name] = place
	return place, nil
}

// Relocate gives a server that does not run another host of its own: everything
// that knew it by its address has to learn the new one.
func (c *Cluster) Relocate(p *Process) error {
	if p.Running() {
		return fmt.Errorf("relocate %s: %w", p.Name, ErrRunning)
	}
	c.moved++
	host := c.block.host(firstAgent - c.moved)
	for i, arg := range p.args {
		for _, port := range []string{apiPort, raftPort, gossipPort, httpPort} {
			if arg == net.JoinHostPort(p.Host, port) {
				p.args[i] = net.JoinHostPort(host, port)
			}
		}
	}
	p.Host = host
	return nil
}

// gossipSeeds are the servers that bootstrap; they are known before they run.
func (c *Cluster) gossipSeeds() ([]string, error) {
	var seeds []string
	for n := 1; n <= c.config.Servers; n++ {
		place, err := c.place(serverName(n), n)
		if err != nil {
			return nil, err
		}
		seeds = append(seeds, net.JoinHostPort(place.Host, gossipPort))
	}
	return seeds, nil
}

// Endpoint returns a server's API address.
func (p *Process) Endpoint() string { return net.JoinHostPort(p.Host, apiPort) }

// HTTPAddress returns a server's HTTP address.
func (p *Process) HTTPAddress() string { return net.JoinHostPort(p.Host, httpPort) }

// Endpoints returns the API addresses of all servers.
func (c *Cluster) Endpoints() []string {
	var endpoints []string
	for _, p := range c.Servers {
		endpoints = append(endpoints, p.Endpoint())
	}
	return endpoints
}

// Client makes a client for the given endpoints, or for all servers when none
// is given.
func (c *Cluster) Client(config client.Config) (*client.Client, error) {
	if len(config.Endpoints) == 0 {
		config.Endpoints = c.Endpoints()
	}
	var err error
	if config.TLS, err = c.clientTLS(); err != nil {
		return nil, err
	}
	config.Dial = c.config.Dial
	return client.New(config)
}

func (c *Cluster) clientTLS() (*tls.Config, error) {
	if c.certs == nil {
		return nil, nil
	}
	return c.certs.client()
}

// Issue writes one more certificate of the cluster's authority; the cluster must
// use TLS.
func (c *Cluster) Issue(name string, dnsNames ...string) (identity.Files, error) {
	if c.certs == nil {
		return identity.Files{}, errNoTLS
	}
	return c.certs.files(name, dnsNames...)
}

// CLIArgs returns the arguments that make the command line talk to this cluster.
func (c *Cluster) CLIArgs() []string {
	args := []string{"--server", strings.Join(c.Endpoints(), ",")}
	if c.certs != nil {
		args = append(args, c.certs.user()...)
	}
	return args
}

// Start starts all processes and waits until the cluster answers and all agents
// are connected.
func (c *Cluster) Start(ctx context.Context) error {
	for _, p := range append(append([]*Process{}, c.Servers...), c.Agents...) {
		if err := p.Start(); err != nil {
			return err
		}
	}
	return c.WaitReady(ctx)
}

// WaitReady waits until there is a leader and every agent that runs is
// connected.
func (c *Cluster) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.StartTimeout)
	defer cancel()
	cl, err := c.Client(client.Config{})
	if err != nil {
		return err
	}
	defer func() { _ = cl.Close() }()
	err = poll(ctx, func() error {
		for _, p := range append(append([]*Process{}, c.Servers...), c.Agents...) {
			if err := p.collapsed(); err != nil {
				return &fatalError{fmt.Errorf("%s ended: %w: see %s:\n%s", p.Name, err, p.LogPath, lastLines(p.LogPath, 5))}
			}
		}
		status, err := askStatus(ctx, cl)
		if err != nil {
			return err
		}
		if status.GetHeader().GetLeaderId() == "" {
			return fmt.Errorf("no leader: %s", status.GetNoLeaderReason())
		}
		if connected := int(status.GetAgentsConnected()); connected < c.runningAgents() {
			return fmt.Errorf("%d of %d agents are connected", connected, c.runningAgents())
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("start cluster: %w (logs are in %s)\n%s", err, filepath.Join(c.config.Dir, LogDir), c.testimony())
	}
	return nil
}

// testimony is what each server says for itself, and the end of its log.
func (c *Cluster) testimony() string {
	var all strings.Builder
	for _, p := range c.Servers {
		fmt.Fprintf(&all, "%s: %s\n%s\n", p.Name, c.opinion(p), lastLines(p.LogPath, 5))
	}
	return all.String()
}

// opinion is what one server says of who leads.
func (c *Cluster) opinion(p *Process) string {
	cl, err := c.Client(client.Config{Endpoints: []string{p.Endpoint()}})
	if err != nil {
		return err.Error()
	}
	defer func() { _ = cl.Close() }()
	status, err := askStatus(context.Background(), cl)
	switch {
	case err != nil:
		return err.Error()
	case status.GetHeader().GetLeaderId() == "":
		return status.GetNoLeaderReason()
	}
	return "server " + status.GetHeader().GetLeaderId() + " leads"
}

func (c *Cluster) runningAgents() int {
	n := 0
	for _, p := range c.Agents {
		if p.Running() {
			n++
		}
	}
	return n
}

// Leader returns the server that leads, as a server that runs says.
func (c *Cluster) Leader(ctx context.Context) (*Process, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.StartTimeout)
	defer cancel()
	cl, err := c.Client(client.Config{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = cl.Close() }()
	var leader *Process
	err = poll(ctx, func() error {
		status, err := askStatus(ctx, cl)
		if err != nil {
			return err
		}
		for _, p := range c.Servers {
			if p.Endpoint() == status.GetHeader().GetLeaderAddress() && p.Running() {
				leader = p
				return nil
			}
		}
		return fmt.Errorf("no leader: %s", status.GetNoLeaderReason())
	})
	if err != nil {
		return nil, fmt.Errorf("find leader: %w", err)
	}
	return leader, nil
}

// askStatus asks once, for a short time: what is waited for may have become
// impossible meanwhile.
func askStatus(ctx context.Context, cl *client.Client) (*argosyv1.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return cl.Status(ctx)
}

// fatalError ends a poll: waiting longer is of no use.
type fatalError struct{ error }

// poll repeats a check until it passes, fails for good, or the context ends.
func poll(ctx context.Context, check func() error) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	var last error
	for {
		err := check()
		var fatal *fatalError
		if err == nil || errors.As(err, &fatal) {
			return err
		}
		// A check that was cut off by the end tells nothing.
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", context.Cause(ctx), last)
		}
	}
}

// Close ends everything that was started, keepers and their workloads too. It
// may be called twice.
func (c *Cluster) Close() error {
	c.closing.Do(func() {
		var group sync.WaitGroup
		for _, p := range append(append([]*Process{}, c.Agents...), c.Servers...) {
			group.Go(func() { p.end(5 * time.Second) })
		}
		group.Wait()
		for _, p := range c.Agents {
			EndHolders(p.DataDir)
		}
		c.spawn.close()
	})
	return nil
}

func lastLines(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
