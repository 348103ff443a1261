package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/sim/fabric"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
	"github.com/argosy-cluster/argosy/server/rebuild"
)

const apiPort, raftPort, gossipPort = "25551", "25552", "25553"

// replica is a server with its host and its disk, through all of its lives.
type replica struct {
	world *world
	name  string
	addr  netip.Addr
	disk  *disk

	// dir is its present data directory, of which there was one for each life
	// before.
	dir   string
	lives int
	life  atomic.Pointer[life] // nil while it is down
	// returning is set while a fault that has spoiled its data lets it come back.
	returning atomic.Bool
	// level is the feature level that it knows, or will from its first life on.
	level atomic.Uint32
	// absence is what is known of one that ended by itself.
	absence *fault.Absence
	// pause is for how long it is left alone when it ends by itself.
	pause atomic.Int64
}

// life is one life of a server or an agent.
type life struct {
	host *fabric.Host
	// ctx ends when it shall stop, or has died.
	ctx  context.Context
	stop context.CancelFunc
	dead atomic.Bool
	done chan struct{}
	err  error // valid when done is closed
}

func newLife(host *fabric.Host) *life {
	l := &life{host: host, done: make(chan struct{})}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

// logger hears what a life has to say.
func (w *world) logger(process string, l *life) (*slog.Logger, *atomic.Pointer[string]) {
	id := &atomic.Pointer[string]{}
	unknown := ""
	id.Store(&unknown)
	return slog.New(&listener{Handler: w.log.WithAttrs([]slog.Attr{slog.String("process", process)}), world: w, process: process, id: id, dead: &l.dead}), id
}

func (r *replica) endpoint() string { return r.addr.String() + ":" + apiPort }

func (r *replica) config(l *life, log *slog.Logger) server.Config {
	s := r.world.plan.Settings
	cfg := server.DefaultConfig()
	cfg.DataDir, cfg.Name, cfg.Version = r.dir, r.name, "simulated"
	cfg.APIAddress = r.endpoint()
	cfg.RaftAddress = r.addr.String() + ":" + raftPort
	cfg.GossipAddress = r.addr.String() + ":" + gossipPort
	cfg.HTTPAddress = ""
	cfg.BootstrapExpect = s.Servers
	for _, other := range r.world.servers {
		cfg.Join = append(cfg.Join, other.addr.String()+":"+gossipPort)
	}
	cfg.TimingMultiplier = s.TimingMultiplier
	cfg.LogStore, cfg.LogSegmentBytes = storage.Kind(s.LogStore), segmentBytes
	cfg.SnapshotThreshold, cfg.TrailingLogs = s.SnapshotThreshold, s.TrailingLogs
	// The machine's own disk is none of the simulation's business.
	cfg.DiskFloor = 0
	cfg.Network = l.host
	cfg.Disk = r.disk.attach(l.host.Dead(), filepath.Join(r.dir, "raft"), r.world.still)
	cfg.Logger = log
	return cfg
}

// segmentBytes lets a WAL go on to its next file every some hundred entries, as it
// does after many thousands elsewhere.
const segmentBytes = 256 << 10

// knows returns the feature level that a server knows which is opened now.
func (r *replica) knows() uint32 {
	if r.world.upgraded.Load() && r.level.Swap(argosyv1.FeatureLevel) < argosyv1.FeatureLevel {
		r.world.record.Level(history.Level{Server: r.name, At: r.world.clock(), Knows: argosyv1.FeatureLevel})
	}
	return r.level.Load()
}

// start begins a life.
func (r *replica) start() {
	l := newLife(r.world.fabric.Boot(r.addr))
	r.life.Store(l)
	r.lives++
	log, id := r.world.logger(r.name, l)
	cfg := r.config(l, log)
	// As the program does it: what finds its data damaged goes on as a new server.
	keep := rebuild.DefaultConfig(r.dir, func() (rebuild.Replica, error) {
		cfg.FeatureLevel = r.knows()
		s, err := server.Open(cfg)
		if err != nil {
			return nil, err
		}
		self := s.ID()
		id.Store(&self)
		return s, nil
	})
	keep.Logger = log
	keep.Spared = func(ctx context.Context) error { return server.Spared(ctx, cfg) }
	go func() {
		defer close(l.done)
		l.err = rebuild.Run(l.ctx, keep)
	}()
	r.world.graves.Go(func() { r.supervise(l) })
}

// stopLimit is how long a server may take to stop, its farewells included.
const stopLimit = 2 * time.Minute

// halt stops it in order.
func (r *replica) halt() error {
	l := r.life.Load()
	if l == nil {
		return nil
	}
	l.stop()
	select {
	case <-l.done:
	case <-time.After(stopLimit):
		return fmt.Errorf("stop %s: it does not stop within %v", r.name, stopLimit)
	}
	r.life.Store(nil)
	l.dead.Store(true)
	r.world.buried(r.name)
	l.host.Die(false)
	if l.err == nil {
		return nil
	}
	// Such as that its disk did not let it: then it has files open until its
	// process ends, which it does not here.
	r.world.record.Line(history.Line{Process: r.name, At: r.world.clock(), Kind: "error", Text: "stopped: " + l.err.Error()})
	left := r.dir
	r.dir = r.world.dataDir(r.name, r.lives)
	return r.world.still(func() error { return os.CopyFS(r.dir, os.DirFS(left)) })
}

// kill ends its life as it is. What it would still do happens to a directory that
// nobody looks at again.
func (r *replica) kill(power bool) error {
	l := r.life.Load()
	if l == nil || !r.life.CompareAndSwap(l, nil) {
		return nil
	}
	l.host.Die(power)
	l.dead.Store(true)
	r.world.buried(r.name)
	left := r.dir
	r.dir = r.world.dataDir(r.name, r.lives)
	if err := r.world.still(func() error { return os.CopyFS(r.dir, os.DirFS(left)) }); err != nil {
		return fmt.Errorf("kill %s: keep its data directory: %w", r.name, err)
	}
	l.stop()
	r.world.graves.Go(func() {
		<-l.done
		r.world.fail(os.RemoveAll(left))
	})
	return nil
}

func (w *world) dataDir(name string, life int) string {
	return filepath.Join(w.dir, name, strconv.Itoa(life))
}

// errEnded is returned when something ended that should be running.
var errEnded = errors.New("it ended by itself")

// up tells what is wrong with a server that should be running.
func (r *replica) up() error {
	l := r.life.Load()
	if l == nil {
		return nil
	}
	select {
	case <-l.done:
		return fmt.Errorf("%s: %w: %w", r.name, errEnded, l.err)
	default:
		return nil
	}
}
