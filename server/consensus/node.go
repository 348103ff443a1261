package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// Node is a running member of a Raft cluster, or one that waits to become one.
type Node struct {
	cfg       Config
	deps      Deps
	log       *slog.Logger
	dir       *dataDir
	store     *storage.Store
	guard     *guard
	layer     *layer
	transport *transport
	raft      *raft.Raft
	applier   applier
	snapshots *notedSnapshots

	leadership *leadership
	vigil      *vigil
	readers    readers
	gate       gate          // of proposals and changes of the configuration
	verifying  gate          // of questions to the quorum
	changing   chan struct{} // held by who changes the configuration
	restores   restores
	tentative  tentatives

	stall   stall
	endings *endings
	handing atomic.Pointer[handing] // nil while no transfer is under way
	opened  atomic.Bool             // when everything is there that events may touch

	ctx    context.Context // ends when the node stops
	cancel context.CancelFunc
	work   sync.WaitGroup

	brokenOnce sync.Once
	brokenErr  atomic.Pointer[error]
	broken     chan struct{}

	stopOnce sync.Once
	stopErr  error
	halted   atomic.Bool
}

// Open opens the data directory and starts the node. A server that is in a
// cluster takes part in it at once; an empty one waits for Bootstrap, or to be
// led by others once it knows the cluster's id.
func Open(cfg Config, deps Deps) (_ *Node, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Machine == nil {
		return nil, fmt.Errorf("open node: no state machine")
	}
	if deps.Meter == nil {
		deps.Meter = unmetered{}
	}
	n := &Node{
		cfg:      cfg,
		deps:     deps,
		log:      cfg.Logger,
		applier:  applier{machine: deps.Machine, meter: deps.Meter, reconfigured: make(chan struct{}, 1)},
		changing: make(chan struct{}, 1),
		endings:  newEndings(),
		broken:   make(chan struct{}),
	}
	n.applier.takeover = n.takeoverFailed
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, n.release())
		}
	}()
	if n.dir, err = openDataDir(cfg.DataDir, argosyv1.KnownLevel(cfg.FeatureLevel)); err != nil {
		return nil, err
	}
	if err := n.dir.checkWhole(); err != nil {
		return nil, err
	}
	if err := n.openStore(); err != nil {
		return nil, err
	}
	if err := n.checkVote(); err != nil {
		return nil, err
	}
	if err := n.tentative.open(filepath.Join(cfg.DataDir, "raft", tentativeFile)); err != nil {
		return nil, err
	}
	if err := n.openTransport(); err != nil {
		return nil, err
	}
	n.leadership = newLeadership(
		func() uint64 { return n.raft.CurrentTerm() },
		func(r *reign) { n.work.Go(func() { n.establish(r) }) })
	if n.raft, err = n.startRaft(); err != nil {
		return nil, err
	}
	if err := n.checkState(); err != nil {
		return nil, errors.Join(err, n.raft.Shutdown().Error())
	}
	if err := n.clearOldLog(); err != nil {
		return nil, errors.Join(err, n.raft.Shutdown().Error())
	}
	if err := n.checkTwinFirst(); err != nil {
		return nil, errors.Join(err, n.raft.Shutdown().Error())
	}
	n.guard.running.Store(true)
	n.opened.Store(true)
	n.transport.start()
	n.raft.RegisterObserver(raft.NewObserver(nil, false, n.leadership.observe))

	n.work.Go(func() { n.leadership.follow(n.ctx) })
	n.work.Go(func() { n.leadership.deliver(n.ctx) })
	n.work.Go(func() { n.vigil.run(n.ctx) })
	n.work.Go(n.watchCommits)
	n.work.Go(n.watchMachine)
	n.work.Go(n.keepRoster)
	n.log.Info("opened", "id", n.ID(), "cluster", n.ClusterID(), "incarnation", n.Incarnation(), "raft", n.Address(), "data", cfg.DataDir, "log-store", string(cfg.LogStore), "last-index", n.raft.LastIndex(), "term", n.raft.CurrentTerm())
	return n, nil
}

func (n *Node) openStore() (err error) {
	cfg := storage.DefaultConfig(filepath.Join(n.cfg.DataDir, "raft"))
	cfg.Kind = n.cfg.LogStore
	cfg.SegmentBytes = n.cfg.LogSegmentBytes
	cfg.Stall = n.cfg.DiskStall
	cfg.Disk = n.cfg.Disk
	cfg.Logger = n.log
	cfg.OnStore = n.deps.Meter.Stored
	cfg.OnStall = func(stalled bool) {
		n.stall.set(stalled)
		if stalled {
			n.deps.Meter.Stalled()
			if n.opened.Load() {
				n.own(argosyv1.LeadershipEnd_LEADERSHIP_END_DISK, "its disk did not answer for %v", n.cfg.DiskStall)
			}
			n.log.Error("disk does not answer: falling silent so that another server can lead", "limit", n.cfg.DiskStall)
		} else {
			n.log.Warn("disk answers again")
		}
	}
	if n.store, err = storage.Open(cfg); err != nil {
		return err
	}
	n.guard = &guard{
		Store: n.store, broken: n.fail, refused: n.storeFailed, restored: n.lastTaken,
		leads: func() bool { return n.raft.State() == raft.Leader },
	}
	return nil
}

func (n *Node) openTransport() error {
	streams := n.cfg.Network
	if streams == nil {
		streams = systemNetwork()
	}
	listener, err := streams.Listen(n.ctx, n.cfg.RaftAddress)
	if err != nil {
		return fmt.Errorf("listen for Raft on %s: %w: is another server running? choose another --raft-address", n.cfg.RaftAddress, err)
	}
	advertise, err := advertisedAddress(n.cfg.AdvertiseAddress, listener.Addr())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	n.vigil = newVigil(n.ID(), n.cfg.Timing, n.log)
	n.vigil.raft = n
	n.vigil.accuse = n.endings.note
	n.vigil.contact = n.deps.Contact
	n.vigil.realm = n.dir.realm
	n.vigil.probe = func(ctx context.Context, address string) error {
		ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.Silence/2)
		defer cancel()
		conn, err := streams.Dial(ctx, address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	routes := newRoutes(n.deps.RaftAddress)
	n.layer = &layer{
		listener:  listener,
		advertise: advertised(advertise),
		self:      n.ID(),
		process:   newProcessID(),
		realm:     n.dir.realm,
		tls:       n.cfg.TLS,
		network:   streams,
		patience:  max(5*n.cfg.Timing.Heartbeat, time.Second),
		lost:      n.connectionLost,
		dialled:   routes.note,
		log:       n.log,
		quiet:     newLimiter(10 * time.Second),
	}
	n.layer.start()
	n.transport = newTransport(transportConfig{
		layer:    n.layer,
		timeout:  n.cfg.Timing.RPC,
		log:      newRaftLog(n.log),
		routes:   routes,
		healthy:  n.stall.over,
		voting:   n.balloted,
		known:    n.known,
		chosen:   n.handedOver,
		patience: n.cfg.Timing.Election,

		screen:     n.screen,
		installing: n.installing,
	})
	return nil
}

// advertisedAddress completes the address that others dial by the one that is
// listened on.
func advertisedAddress(wanted string, bound net.Addr) (string, error) {
	boundHost, boundPort, err := net.SplitHostPort(bound.String())
	if err != nil {
		return "", fmt.Errorf("advertise Raft address: %w", err)
	}
	host, port := boundHost, boundPort
	if wanted != "" {
		if host, port, err = net.SplitHostPort(wanted); err != nil {
			return "", fmt.Errorf("advertise Raft address %q: %w", wanted, err)
		}
		if port == "" || port == "0" {
			port = boundPort
		}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return "", fmt.Errorf("advertise Raft address %s: others cannot dial it; say under which address they reach this server", net.JoinHostPort(host, port))
	}
	return net.JoinHostPort(host, port), nil
}

func (n *Node) startRaft() (node *raft.Raft, err error) {
	files, err := storage.OpenSnapshots(filepath.Join(n.cfg.DataDir, "raft"), 2, newRaftLog(n.log))
	if err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	paced := &pacedSnapshots{SnapshotStore: files, ctx: n.ctx, dir: filepath.Join(n.cfg.DataDir, "raft")}
	if n.snapshots, err = noteSnapshots(paced); err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	snaps := &unreadSnapshots{SnapshotStore: n.snapshots, guard: n.guard}
	n.applier.unrestored = snaps.note
	cfg := raft.DefaultConfig()
	cfg.LocalID = n.id()
	cfg.HeartbeatTimeout = n.cfg.Timing.Heartbeat
	cfg.ElectionTimeout = n.cfg.Timing.Election
	cfg.LeaderLeaseTimeout = n.cfg.Timing.Lease
	cfg.CommitTimeout = n.cfg.Timing.Commit
	cfg.MaxAppendEntries = 512
	cfg.BatchApplyCh = true
	cfg.ShutdownOnRemove = false
	cfg.TrailingLogs = n.cfg.TrailingLogs
	cfg.SnapshotInterval = n.cfg.SnapshotInterval
	cfg.SnapshotThreshold = n.cfg.SnapshotThreshold
	cfg.NoLegacyTelemetry = true
	cfg.NotifyCh = n.leadership.notify
	cfg.Logger = newRaftLog(n.log)
	defer func() {
		if cause := recover(); cause != nil {
			reason, ok := cause.(error)
			if !ok {
				reason = fmt.Errorf("%v", cause)
			}
			node, err = nil, startError(reason, n.guard.unread, snaps.why())
		}
	}()
	node, err = raft.NewRaft(cfg, n.applier, n.guard, n.guard, snaps, n.transport)
	if err != nil {
		return nil, startError(err, n.guard.unread, snaps.why())
	}
	return node, nil
}

// startError says why Raft did not start. Raft itself does not pass on the
// errors that it met on the way.
func startError(err, unread, unrestored error) error {
	switch {
	case unread != nil:
		err = unread
	case errors.Is(err, raft.ErrLogNotFound):
		err = fmt.Errorf("%w (there is no entry that comes after the newest snapshot that can be read)", storage.ErrForgotten)
	}
	if unrestored != nil {
		err = fmt.Errorf("%w: %w", err, unrestored)
	}
	return fmt.Errorf("start Raft: %w", err)
}

// Reread reads the whole log. It fails with storage.ErrCorrupt when it is damaged,
// and with storage.ErrForgotten when it lacks an entry that no snapshot stands
// for. It calls rest now and then, which ends it by an error.
func (n *Node) Reread(rest func() error) error {
	return n.store.Reread(func() uint64 {
		index, _ := n.lastTaken()
		return index
	}, rest)
}

// ID returns the server's id.
func (n *Node) ID() string { return n.dir.serverID }

// Address returns the Raft address that the others dial.
func (n *Node) Address() string { return n.layer.Addr().String() }

// ClusterID returns the id of the cluster, empty when the server is in none.
func (n *Node) ClusterID() string { return n.dir.cluster() }

// SetClusterID binds the server to a cluster, for good.
func (n *Node) SetClusterID(id string) error { return n.dir.setCluster(id) }

// Leadership returns who leads.
func (n *Node) Leadership() Leadership {
	at := n.standing()
	leads := at.state == raft.Leader
	if leads {
		at.leader, at.leaderAddress = n.ID(), n.Address()
	}
	return Leadership{Leader: leads, Term: at.term, LeaderID: at.leader, LeaderRaftAddress: at.leaderAddress}
}

// WatchLeadership returns a channel that gets a value after Leadership changed
// (several changes may come as one), and a function that ends this.
func (n *Node) WatchLeadership() (<-chan struct{}, func()) { return n.leadership.watch() }

// LeadershipEvents returns the gains and losses of leadership by this server
// in their order. None is dropped, but a leadership that was over before its
// gain was taken is left out. There is one channel, for one reader; it is
// closed when the node stops, which ends a leadership too.
func (n *Node) LeadershipEvents() <-chan LeadershipEvent { return n.leadership.events }

// Campaigns returns how often this server campaigned by evidence, by cause.
func (n *Node) Campaigns() map[Cause]uint64 { return n.vigil.campaigns() }

// HandleContact answers another server's question about the leader.
func (n *Node) HandleContact(request *argosyv1.ContactRequest) *argosyv1.ContactResponse {
	asker := request.GetHandshake()
	if n.stopped() || n.dir.realm() != (realm{asker.GetClusterId(), asker.GetIncarnation()}) {
		return &argosyv1.ContactResponse{}
	}
	return n.vigil.answer(time.Now())
}

// standing implements subject. The values are read one by one: until the term
// is the same before and after.
func (n *Node) standing() standing {
	for {
		term := n.raft.CurrentTerm()
		address, leader := n.raft.LeaderWithID()
		at := standing{
			state:         n.raft.State(),
			term:          term,
			leader:        string(leader),
			leaderAddress: string(address),
			heard:         n.raft.LastContact(),
		}
		if n.raft.CurrentTerm() != term {
			continue
		}
		for _, id := range n.voters() {
			at.voters = append(at.voters, string(id))
		}
		return at
	}
}

func (n *Node) stalled() bool { return n.store.Stalled() }

func (n *Node) changes() (<-chan struct{}, func()) { return n.leadership.watch() }

// stopped reports whether Shutdown was called.
func (n *Node) stopped() bool { return n.halted.Load() }

// fail ends the node's usefulness.
func (n *Node) fail(err error) {
	n.brokenOnce.Do(func() {
		err = fmt.Errorf("%w: %w", ErrBroken, err)
		n.brokenErr.Store(&err)
		n.log.Error("cannot go on", "error", err)
		close(n.broken)
	})
}

// FailedC is closed when the node cannot go on; the server must stop then.
func (n *Node) FailedC() <-chan struct{} { return n.broken }

// Err returns why the node cannot go on, nil when it can.
func (n *Node) Err() error {
	if err := n.brokenErr.Load(); err != nil {
		return *err
	}
	return nil
}

func (n *Node) watchMachine() {
	select {
	case <-n.deps.Machine.FailedC():
		n.fail(n.deps.Machine.Failed())
	case <-n.ctx.Done():
	}
}
