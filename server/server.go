package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"

	"github.com/argosy-cluster/argosy/fsm"
	"github.com/argosy-cluster/argosy/manifest"
	"github.com/argosy-cluster/argosy/membership"
	"github.com/argosy-cluster/argosy/membership/identity"
	"github.com/argosy-cluster/argosy/network"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/api"
	"github.com/argosy-cluster/argosy/server/audit"
	"github.com/argosy-cluster/argosy/server/autopilot"
	"github.com/argosy-cluster/argosy/server/backup"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/diskspace"
	"github.com/argosy-cluster/argosy/server/forward"
	"github.com/argosy-cluster/argosy/server/leaderships"
	"github.com/argosy-cluster/argosy/server/limits"
	"github.com/argosy-cluster/argosy/server/logs"
	"github.com/argosy-cluster/argosy/server/metrics"
	"github.com/argosy-cluster/argosy/server/observed"
	"github.com/argosy-cluster/argosy/server/peers"
	"github.com/argosy-cluster/argosy/server/reader"
	"github.com/argosy-cluster/argosy/server/rebuild"
	"github.com/argosy-cluster/argosy/server/sessions"
)

// Server is one replica.
type Server struct {
	cfg      Config
	log      *slog.Logger
	identity *identity.Identity
	startup  *manifest.Manifest

	machine   *fsm.Machine
	node      *consensus.Node
	members   atomic.Pointer[membership.Membership]
	peers     *peers.Pool
	store     *observed.Store
	router    *forward.Router
	reader    *reader.Reader
	sessions  *sessions.Service
	relay     *logs.Relay
	space     *diskspace.Monitor
	calls     *limits.Calls
	backups   *backup.Scheduler
	metrics   *metrics.Metrics
	autopilot *autopilot.Autopilot
	history   *leaderships.Recorder
	auditor   *audit.Auditor
	levelNote levelNote
	// rebuilds are those of the data directory, before this server was opened.
	rebuilds rebuild.Rebuilds

	listeners listeners
	api       *api.Service
	grpc      *grpc.Server
	health    *health.Server
	http      *http.Server

	// kicked wakes the director, founded the founder.
	kicked  chan struct{}
	founded chan struct{}
	// reign is the present leadership, nil while this server does not lead.
	reign atomic.Pointer[reign]
	view  atomic.Pointer[outlook]

	// started is when this process came up; rival is who was asked last whether it
	// is this server, too, of the founder's.
	started time.Time
	rival   membership.Member
	// admission is taken while a server is added and while settings are kept.
	admission admission

	promiseMu sync.Mutex
	promises  promises
	founding  atomic.Pointer[string]

	// serving ends when the server begins to stop serving.
	serving     context.Context
	stopServing context.CancelFunc

	closeOnce sync.Once
	closeErr  error
	ran       atomic.Bool
}

// Addresses are where a server is reached by others.
type Addresses struct {
	// API, Raft, Gossip and HTTP are host:port; HTTP is empty when there is none.
	API, Raft, Gossip, HTTP string
}

type listeners struct {
	api  net.Listener
	http net.Listener
}

// Open makes a server: it takes its data directory and its addresses. Run must
// be called for it to serve, or Close to give everything back.
func Open(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure server: %w", err)
	}
	s := &Server{
		cfg:       cfg,
		log:       cfg.Logger,
		kicked:    make(chan struct{}, 1),
		founded:   make(chan struct{}, 1),
		admission: make(admission, 1),
		started:   time.Now(),
		metrics:   metrics.New(cfg.Version),
	}
	s.serving, s.stopServing = context.WithCancel(context.Background())
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.log = s.log.With("server", cfg.name())
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open server: %w", sayWhatTakesRoom(err, cfg.DataDir)), s.Close())
	}
	return s, nil
}

func (s *Server) open() error {
	if err := s.loadIdentity(); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	if err := s.openState(); err != nil {
		return err
	}
	if err := s.loadStartupManifest(); err != nil {
		return err
	}
	if s.cfg.BootstrapExpect == 1 && !s.node.Initialized() && s.node.ClusterID() == "" {
		// Nobody has to be heard for a cluster of one.
		if err := s.bootstrapAlone(); err != nil {
			return err
		}
	}
	if err := s.openServices(); err != nil {
		return err
	}
	return s.openMembership()
}

func (s *Server) loadIdentity() error {
	if s.cfg.TLS.Empty() {
		return nil
	}
	if err := s.cfg.TLS.Validate(); err != nil {
		return err
	}
	loaded, err := identity.Load(s.cfg.TLS)
	if err != nil {
		return err
	}
	if err := loaded.CheckServer(); err != nil {
		return err
	}
	s.identity = loaded
	return nil
}

func (s *Server) listen() error {
	var streams network.Streams = network.System{}
	if s.cfg.Network != nil {
		streams = s.cfg.Network
	}
	var err error
	if s.listeners.api, err = streams.Listen(s.serving, s.cfg.APIAddress); err != nil {
		return fmt.Errorf("listen for the API: %w; is another server running? choose another --api-address", err)
	}
	if s.cfg.HTTPAddress == "" {
		return nil
	}
	if s.listeners.http, err = streams.Listen(s.serving, s.cfg.HTTPAddress); err != nil {
		return fmt.Errorf("listen for HTTP: %w; choose another --http-address, or \"off\"", err)
	}
	return nil
}

// openState opens the state machine and Raft below it.
func (s *Server) openState() error {
	var err error
	if s.machine, err = fsm.New(fsm.DefaultConfig()); err != nil {
		return err
	}
	s.peers = peers.NewPool(peers.ClientOptions(s.clientTLS(), s.cfg.Network), s.kick)
	timing, err := consensus.TimingProfile(s.cfg.Timing, s.cfg.TimingMultiplier)
	if err != nil {
		return err
	}
	raft := consensus.DefaultConfig(s.cfg.DataDir, s.cfg.RaftAddress)
	raft.Timing = timing
	raft.LogStore = s.cfg.LogStore
	raft.LogSegmentBytes = s.cfg.LogSegmentBytes
	raft.Network = s.cfg.Network
	raft.Disk = s.cfg.Disk
	raft.SnapshotThreshold = s.cfg.SnapshotThreshold
	raft.TrailingLogs = s.cfg.TrailingLogs
	raft.DiskStall = time.Duration(float64(raft.DiskStall) * max(s.cfg.TimingMultiplier, 1))
	raft.TLS = s.identity
	raft.FeatureLevel = s.cfg.FeatureLevel
	raft.Logger = s.log.With("part", "raft")
	if s.cfg.Advertise != "" {
		raft.AdvertiseAddress = net.JoinHostPort(s.cfg.advertisedHost(), "0")
	}
	s.node, err = consensus.Open(raft, consensus.Deps{
		Machine:     s.machine,
		Contact:     s.contact,
		RaftAddress: s.raftAddressOf,
		Meter:       s.metrics,
	})
	if err != nil {
		return err
	}
	return s.openLevel()
}

// openServices makes everything that does not depend on gossip.
func (s *Server) openServices() error {
	var err error
	cfg := s.cfg.Observed
	cfg.Logger = s.log.With("part", "observed")
	if s.store, err = observed.New(cfg); err != nil {
		return err
	}
	if s.router, err = forward.NewRouter(s.cfg.Forward, s.absence); err != nil {
		return err
	}
	s.router.TellRefused(s.metrics.WriteRefused)
	if s.reader, err = reader.New(reader.Deps{Applied: s.machine, Observed: mirrored{s.store}, Absence: s.absence, Meter: s.metrics}, s.cfg.Reader); err != nil {
		return err
	}
	if s.sessions, err = sessions.New(sessions.Deps{
		ServerID:    s.node.ID(),
		ClusterID:   s.node.ClusterID,
		Incarnation: s.node.Incarnation,
		Store:       s.store,
		Machine:     s.machine,
		Directory:   directory{s},
		PeerNames:   identity.PeerNames,
		Logger:      s.log.With("part", "sessions"),
	}, s.cfg.Sessions); err != nil {
		return err
	}
	if s.relay, err = logs.New(logs.Deps{
		Agents:    s.sessions,
		Store:     s.store,
		PeerNames: identity.PeerNames,
		Logger:    s.log.With("part", "logs"),
	}, logs.DefaultConfig()); err != nil {
		return err
	}
	if err := s.openSpace(); err != nil {
		return err
	}
	if err := s.openAutopilot(); err != nil {
		return err
	}
	if err := s.openAPI(); err != nil {
		return err
	}
	if err := s.openAudit(); err != nil {
		return err
	}
	return s.openHTTP()
}

func (s *Server) openMembership() error {
	timing := membership.TimingLAN()
	if s.cfg.Timing == "wan" {
		timing = membership.TimingWAN()
	}
	cfg := membership.DefaultConfig()
	cfg.Cluster = s.cfg.Cluster
	cfg.BindAddress = s.cfg.GossipAddress
	cfg.AdvertiseAddress = s.cfg.advertisedHost()
	seeds, err := s.seeds()
	if err != nil {
		return err
	}
	cfg.Join = seeds
	cfg.KeyringFile = s.cfg.KeyringFile
	cfg.Timing = timing.Scale(s.cfg.TimingMultiplier)
	cfg.Network = s.cfg.Network
	cfg.Logger = s.log.With("part", "gossip")
	cfg.Self = membership.Member{
		ID:              s.node.ID(),
		Name:            s.cfg.name(),
		Role:            membership.RoleServer,
		APIAddress:      s.apiAddress(),
		RaftAddress:     s.node.Address(),
		Version:         s.cfg.Version,
		ClusterID:       s.node.ClusterID(),
		Incarnation:     s.node.Incarnation(),
		FeatureLevel:    s.cfg.FeatureLevel,
		BootstrapExpect: s.cfg.BootstrapExpect,
	}
	members, err := membership.Open(cfg)
	if err != nil {
		return err
	}
	s.members.Store(members)
	return nil
}

// mirrored waits for the mirror of observed state.
type mirrored struct{ store *observed.Store }

func (m mirrored) Reached(term, sequence uint64) bool {
	return m.store.Position().Reached(observed.Position{Term: term, Sequence: sequence})
}

func (m mirrored) WaitPosition(ctx context.Context, term, sequence uint64) error {
	return m.store.WaitPosition(ctx, observed.Position{Term: term, Sequence: sequence})
}

// ID returns the id of the server.
func (s *Server) ID() string { return s.node.ID() }

// Addresses returns where the server is reached by others.
func (s *Server) Addresses() Addresses {
	a := Addresses{API: s.apiAddress(), Raft: s.node.Address()}
	if members := s.members.Load(); members != nil {
		a.Gossip = members.Self().GossipAddress
	}
	if s.listeners.http != nil {
		a.HTTP = s.listeners.http.Addr().String()
	}
	return a
}

func (s *Server) apiAddress() string { return s.cfg.advertised(s.listeners.api.Addr()) }

// handshake is what this server says of itself to others.
func (s *Server) handshake() *argosyv1.PeerHandshake {
	return &argosyv1.PeerHandshake{
		ClusterId:    s.node.ClusterID(),
		ServerId:     s.node.ID(),
		Protocol:     argosyv1.SupportedProtocol(),
		Incarnation:  s.node.Incarnation(),
		FeatureLevel: s.cfg.FeatureLevel,
	}
}

// raftAddressOf returns where a server's Raft is now, as gossip has it.
func (s *Server) raftAddressOf(id string) string {
	members := s.members.Load()
	if members == nil {
		return ""
	}
	for _, m := range members.Members() {
		if m.ID == id && m.Role == membership.RoleServer {
			return m.RaftAddress
		}
	}
	return ""
}

func (s *Server) contact(ctx context.Context, id string, req *argosyv1.ContactRequest) (*argosyv1.ContactResponse, error) {
	// Raft begins to ask before Open has all parts together.
	if s.members.Load() == nil {
		return nil, fmt.Errorf("contact server %s: this server is still starting", id)
	}
	peer, ok := s.peers.Get(id)
	if !ok {
		return nil, fmt.Errorf("contact server %s: its API address is not known yet", id)
	}
	req.Handshake = s.handshake()
	return peer.Contact(ctx, req)
}

// kick makes the director look again.
func (s *Server) kick() {
	select {
	case s.kicked <- struct{}{}:
	default:
	}
}

// Limits of a graceful stop.
const (
	stepAsideTimeout = 3 * time.Second
	drainTimeout     = 2 * time.Second
	shutdownTimeout  = 5 * time.Second
)
