package membership

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/argosy-cluster/argosy/network"
)

// Config is how a member takes part in gossip. Start from DefaultConfig.
type Config struct {
	// Cluster is the name of the cluster, the label of every packet. Members
	// with another name cannot hear this one. Default "argosy".
	Cluster string
	// Self is what this member tells of itself. ID and Role are required;
	// GossipAddress, Alive, Left and LeadingTerm are found here.
	Self Member
	// BindAddress is where to listen, host:port, for TCP and UDP. Port 0 is any
	// free one. Default 127.0.0.1:25553.
	BindAddress string
	// AdvertiseAddress is the host, or host:port, that others reach this member
	// by. Default: the one bound to, or that of the default route when bound to
	// all.
	AdvertiseAddress string
	// Join are members to start from, host or host:port. The own address may be
	// among them. All of them should be servers, which seldom move.
	Join []string
	// KeyringFile is a JSON list of base64 AES keys, the first of which encrypts.
	// Default none: gossip in the clear, and nobody proves to be a member.
	KeyringFile string
	// Timing is how eagerly members watch each other. Default TimingLAN.
	Timing Timing
	// LeaveTimeout is how long Close waits for gossip to spread that this member
	// leaves. All live members were told by datagram before; where that was lost,
	// a shorter wait makes them take it for dead. Default: a round of gossip and a
	// fifth of one, 120 ms with TimingLAN.
	LeaveTimeout time.Duration
	// RememberDead is for how long members that died or left are shown and, if
	// they died, tried again. Default 1 h.
	RememberDead time.Duration
	// Resolver looks up names of hosts. Default net.DefaultResolver.
	Resolver Resolver
	// Network is by what it talks to others. Default: the system's.
	Network network.Network
	// Logger hears of members that come and go and of refused ones. Default: none.
	Logger *slog.Logger
}

// DefaultConfig returns the defaults. Self has yet to be filled in.
func DefaultConfig() Config {
	return Config{
		Cluster:      "argosy",
		BindAddress:  fmt.Sprintf("127.0.0.1:%d", DefaultPort),
		Timing:       TimingLAN(),
		RememberDead: time.Hour,
		Resolver:     net.DefaultResolver,
		Network:      network.System{},
		Logger:       slog.New(slog.DiscardHandler),
	}
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	defaults := DefaultConfig()
	setDefault(&c.Cluster, defaults.Cluster)
	setDefault(&c.BindAddress, defaults.BindAddress)
	setDefault(&c.Timing, defaults.Timing)
	setDefault(&c.LeaveTimeout, c.Timing.GossipInterval*6/5)
	setDefault(&c.RememberDead, defaults.RememberDead)
	setDefault(&c.Resolver, defaults.Resolver)
	setDefault(&c.Network, defaults.Network)
	setDefault(&c.Logger, defaults.Logger)
	return c
}

func setDefault[T comparable](value *T, byDefault T) {
	var zero T
	if *value == zero {
		*value = byDefault
	}
}

// Validate checks what can be checked without touching the network or a file.
// What was left out counts as its default.
func (c Config) Validate() error {
	c = c.withDefaults()
	var problems []error
	if len(c.Cluster) > memberlist.LabelMaxSize {
		problems = append(problems, fmt.Errorf("cluster name has %d bytes, must have at most %d", len(c.Cluster), memberlist.LabelMaxSize))
	}
	if c.Self.Role != RoleServer && c.Self.Role != RoleAgent {
		problems = append(problems, fmt.Errorf("this member has no role"))
	}
	if c.Self.ID == "" {
		problems = append(problems, fmt.Errorf("this member has no id"))
	}
	if len(c.Self.ID) > maxID {
		problems = append(problems, fmt.Errorf("%w: its id has %d bytes, must have at most %d: %q", ErrTooLong, len(c.Self.ID), maxID, c.Self.ID))
	}
	if c.Self.BootstrapExpect < 0 {
		problems = append(problems, fmt.Errorf("bootstrap-expect must not be negative, got %d", c.Self.BootstrapExpect))
	}
	if _, err := parseEndpoint(c.BindAddress, DefaultPort); err != nil {
		problems = append(problems, fmt.Errorf("bind: %w", err))
	}
	for _, seed := range c.Join {
		if _, err := parseSeed(seed); err != nil {
			problems = append(problems, err)
		}
	}
	if c.LeaveTimeout < 0 || c.RememberDead < 0 {
		problems = append(problems, fmt.Errorf("leave timeout and memory of the dead must not be negative, got %s and %s", c.LeaveTimeout, c.RememberDead))
	}
	problems = append(problems, c.Timing.validate())
	return errors.Join(problems...)
}

// maxID keeps names of nodes so short that they and the metadata fit into one
// packet.
const maxID = 128

func parseSeed(text string) (endpoint, error) {
	seed, err := parseEndpoint(text, DefaultPort)
	switch {
	case err != nil:
		return endpoint{}, fmt.Errorf("join: %w", err)
	case seed.host == "" || seed.port == 0:
		return endpoint{}, fmt.Errorf("join: %w %q: host and port must be given", ErrAddress, text)
	}
	return seed, nil
}

// memberlistConfig is what memberlist runs with. On memory: nothing below is
// allocated ahead. The queue of packets that wait holds 1024 of at most 1400
// bytes, and is empty but for bursts; see transport for the packet buffers.
func (c Config) memberlistConfig() *memberlist.Config {
	config := memberlist.DefaultLANConfig()
	c.Timing.apply(config)
	config.Name = c.Self.nodeName()
	config.Label = c.Cluster
	// A stream carries at most some 600 bytes a member. The time only matters
	// against a peer that froze in the middle.
	config.TCPTimeout = 5 * time.Second
	// Compression would take 64 KiB and more of memory for each packet, of which
	// most have less than 100 bytes.
	config.EnableCompression = false
	// A dead member's name is free for one with another address at once: it is
	// the same member, which came back elsewhere.
	config.DeadNodeReclaimTime = time.Nanosecond
	return config
}
