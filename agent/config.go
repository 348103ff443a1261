package agent

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/argosy-cluster/argosy/agent/load"
	"github.com/argosy-cluster/argosy/agent/reconcile"
	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/session"
	"github.com/argosy-cluster/argosy/network"
)

// Config is how an agent works.
type Config struct {
	// Name of the agent, unique in the cluster: 1 to 63 characters of
	// [a-zA-Z0-9_-]. Required.
	Name string
	// DataDir is where the agent remembers its assignments. Required; made when
	// it does not exist. No two agents may share one.
	DataDir string
	// RunFolder is where the files and the control interfaces of workloads are, in
	// a folder for each agent. It is made when it does not exist; it has to belong
	// to the user that the agent runs as, and nobody else may write to it. Default:
	// run in DataDir.
	RunFolder string
	// Servers are API addresses to begin with, host:port. With Gossip it may be
	// empty.
	Servers []string
	// Gossip tells of servers; nil when there is no gossip. FromMembership makes
	// one.
	Gossip session.Directory
	// Runtimes run the workloads. At least one.
	Runtimes []runtime.Runtime
	// TLS is how servers are dialled; nil means without TLS.
	TLS *tls.Config
	// Network is by what servers are dialled. Default nil: the system's.
	Network network.Streams
	// Tags of the agent. Default: none.
	Tags map[string]string
	// Version of the binary, for people.
	Version string
	// BootID tells this boot of the machine from others. Default: what the kernel
	// says.
	BootID string
	// StartupPatience is how long the first session waits for runtimes to tell
	// what they have. Default 2 s. Longer spares users the sight of states that
	// are not known yet; shorter has the agent back sooner when a runtime hangs.
	StartupPatience time.Duration
	// Session and Reconcile are the details. Names, tags and loggers in them are
	// filled in from above.
	Session   session.Config
	Reconcile reconcile.Config
	// Logger gets one line an event. Nil discards.
	Logger *slog.Logger
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		StartupPatience: 2 * time.Second,
		Session:         session.DefaultConfig(),
		Reconcile:       reconcile.DefaultConfig(),
	}
}

var namePattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,63}$`)

// ValidateName tells what is wrong with the name alone, before anything that
// uses it is made.
func (c Config) ValidateName() error {
	if !namePattern.MatchString(c.Name) {
		return fmt.Errorf("agent name %q: want 1 to 63 characters of [a-zA-Z0-9_-]: %w", c.Name, ErrConfig)
	}
	return nil
}

// Validate tells what cannot work.
func (c Config) Validate() error {
	if err := c.ValidateName(); err != nil {
		return err
	}
	switch {
	case c.DataDir == "":
		return fmt.Errorf("agent %s: the data directory is missing: %w", c.Name, ErrConfig)
	case len(c.Servers) == 0 && c.Gossip == nil:
		return fmt.Errorf("agent %s: neither a server's address nor gossip is given: %w", c.Name, ErrConfig)
	case len(c.Runtimes) == 0:
		return fmt.Errorf("agent %s: no runtime is given: %w", c.Name, ErrConfig)
	case c.StartupPatience < 0:
		return fmt.Errorf("agent %s: the start-up patience is below zero: %w", c.Name, ErrConfig)
	}
	for _, address := range c.Servers {
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			return fmt.Errorf("agent %s: server address %q: want host:port: %w", c.Name, address, ErrConfig)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Tags)) {
		if key == "" || !utf8.ValidString(key) || !utf8.ValidString(c.Tags[key]) {
			return fmt.Errorf("agent %s: tag %q=%q: want a key and valid UTF-8: %w", c.Name, key, c.Tags[key], ErrConfig)
		}
	}
	return nil
}

// runFolder returns the absolute path of the run folder.
func (c Config) runFolder() (string, error) {
	folder := c.RunFolder
	if folder == "" {
		folder = filepath.Join(c.DataDir, "run")
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", fmt.Errorf("find run folder: %w", err)
	}
	return folder, nil
}

func (c Config) bootID() string {
	if c.BootID != "" {
		return c.BootID
	}
	return load.BootID()
}
