package recovery_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/consensus/recovery"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
	"github.com/argosy-cluster/argosy/server/peers"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).triggerFunc"))
}

// replica is a real server.
type replica struct {
	cfg    server.Config
	server *server.Server
	client argosyv1.ClusterServiceClient
	stop   func()
}

func config(t *testing.T, kind storage.Kind) server.Config {
	cfg := server.DefaultConfig()
	cfg.Cluster = fmt.Sprintf("recovery-%d-%x", os.Getpid(), id()[:4])
	cfg.DataDir = t.TempDir()
	cfg.APIAddress, cfg.RaftAddress, cfg.GossipAddress, cfg.HTTPAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", ""
	cfg.TimingMultiplier = 2 // tests share the machine
	cfg.LogStore = kind
	if os.Getenv("ARGOSY_TEST_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	return cfg
}

func mustStart(t *testing.T, cfg server.Config) *replica {
	t.Helper()
	s, err := server.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.APIAddress, cfg.RaftAddress, cfg.GossipAddress = s.Addresses().API, s.Addresses().Raft, s.Addresses().Gossip
	conn, err := grpc.NewClient("passthrough:///"+s.Addresses().API, peers.ClientOptions(nil, nil)...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	r := &replica{cfg: cfg, server: s, client: argosyv1.NewClusterServiceClient(conn)}
	r.stop = func() {
		cancel()
		<-ended
		_ = conn.Close()
	}
	t.Cleanup(r.stop)
	return r
}

// mustFound starts n servers that are one cluster.
func mustFound(t *testing.T, n int, change func(*server.Config)) []*replica {
	t.Helper()
	cfg := config(t, storage.BoltDB)
	cfg.BootstrapExpect = n
	change(&cfg)
	var all []*replica
	for i := range n {
		cfg.Name, cfg.DataDir = fmt.Sprintf("s%d", i+1), t.TempDir()
		all = append(all, mustStart(t, cfg))
		cfg.Join = append(slices.Clone(cfg.Join), all[i].server.Addresses().Gossip)
	}
	return all
}

func id() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return b
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// mustWrite writes a workload, whoever leads, and returns its revision.
func (r *replica) mustWrite(t *testing.T, name string) uint64 {
	t.Helper()
	ctx, request := deadline(t), &argosyv1.ApplyRequest{RequestId: id(), Workloads: []*argosyv1.Workload{
		{Name: name, Agent: "a", Runtime: "process", RuntimeConfig: "x"},
	}}
	for {
		response, err := r.client.Apply(ctx, request)
		if err == nil {
			return response.GetHeader().GetRevision()
		}
		if ctx.Err() != nil {
			t.Fatalf("write %s: %v", name, err)
		}
		pause(ctx)
	}
}

// state reads all workloads, linearizably.
func (r *replica) state(ctx context.Context) (workloads []*argosyv1.Workload, err error) {
	stream, err := r.client.GetState(ctx, &argosyv1.GetStateRequest{})
	for err == nil {
		var chunk *argosyv1.GetStateResponse
		if chunk, err = stream.Recv(); err == nil {
			workloads = append(workloads, chunk.GetWorkloads()...)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return workloads, err
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Millisecond):
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for ctx := deadline(t); !ok(); pause(ctx) {
		if ctx.Err() != nil {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// mustExamine holds a directory for the rest of the test and looks into it.
func mustExamine(t *testing.T, dir string) *recovery.Survey {
	t.Helper()
	held, err := consensus.Hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	survey, err := recovery.Examine(deadline(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	return survey
}

// fingerprint is every file of a directory with its size and time.
func fingerprint(t *testing.T, dir string) (print []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err == nil {
			print = append(print, fmt.Sprint(path, info.Size(), info.ModTime(), info.Mode()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return print
}

func TestAClusterGoesOnFromOneServerAndLeavesTheOthersBehind(t *testing.T) {
	for _, kind := range []storage.Kind{storage.BoltDB, storage.WAL} {
		t.Run(string(kind), func(t *testing.T) {
			all := mustFound(t, 3, func(cfg *server.Config) {
				cfg.LogStore, cfg.SnapshotThreshold, cfg.TrailingLogs = kind, 8, 4
			})
			var written uint64
			for i := range 20 {
				written = all[i%3].mustWrite(t, fmt.Sprintf("w%02d", i))
			}
			survivor := all[2]
			// What one replica answers, every replica that reads has.
			if _, err := survivor.state(deadline(t)); err != nil {
				t.Fatal(err)
			}
			for _, r := range all {
				r.stop()
			}

			before := fingerprint(t, survivor.cfg.DataDir)
			survey := mustExamine(t, survivor.cfg.DataDir)
			if after := fingerprint(t, survivor.cfg.DataDir); !slices.Equal(before, after) {
				t.Fatalf("to look has changed something:\n%s\nnow:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
			}
			if survey.Workloads != 20 || survey.LogStore != kind || survey.EndIndex < written || len(survey.Servers) != 3 || survey.ServerID != survivor.server.ID() {
				t.Fatalf("found %+v", survey)
			}
			plan, err := recovery.NewPlan(survey)
			if err != nil {
				t.Fatal(err)
			}
			if err := plan.CarryOut(); err != nil {
				t.Fatal(err)
			}

			// The survivor goes on alone, with all there was.
			recovered := mustStart(t, survivor.cfg)
			revision := recovered.mustWrite(t, "after")
			if revision <= plan.Revision || plan.Revision < survey.EndIndex+1000 {
				t.Errorf("the first write has revision %d, planned from %d, the last one before was %d", revision, plan.Revision, written)
			}
			workloads, err := recovered.state(deadline(t))
			if err != nil || len(workloads) != 21 {
				t.Fatalf("%d workloads, %v", len(workloads), err)
			}
			for _, w := range workloads {
				if w.GetName() != "after" && w.GetCreatedRevision() > written {
					t.Errorf("workload %s was made anew by the recovery: %v", w.GetName(), w)
				}
			}

			// The two old ones come back: a quorum of the cluster that was. They can
			// elect among themselves, and can neither take the survivor back nor
			// disturb it.
			old := []*replica{mustStart(t, all[0].cfg), mustStart(t, all[1].cfg)}
			old[0].mustWrite(t, "past")
			recovered.mustWrite(t, "present")
			for _, r := range old {
				if _, err := r.client.GetWorkload(deadline(t), &argosyv1.GetWorkloadRequest{Name: "present"}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
					t.Errorf("a server that was left behind has what was written since: %v", err)
				}
			}
			if _, err := recovered.client.GetWorkload(deadline(t), &argosyv1.GetWorkloadRequest{Name: "past"}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
				t.Errorf("the survivor has what the left behind wrote: %v", err)
			}
			status, err := recovered.client.Status(deadline(t), &argosyv1.StatusRequest{})
			if err != nil || status.GetVoters() != 1 {
				t.Fatalf("the recovered cluster: %v, %v", status, err)
			}

			// With empty directories they join.
			for _, r := range old {
				r.stop()
			}
			for i := range 2 {
				cfg := config(t, kind)
				cfg.Cluster, cfg.Name, cfg.Join = survivor.cfg.Cluster, fmt.Sprintf("n%d", i), []string{recovered.server.Addresses().Gossip}
				joined := mustStart(t, cfg)
				eventually(t, "the new server has what was before and after", func() bool {
					workloads, err := joined.state(deadline(t))
					return err == nil && len(workloads) == 22
				})
			}
			eventually(t, "three voters", func() bool {
				status, err := recovered.client.Status(deadline(t), &argosyv1.StatusRequest{})
				return err == nil && status.GetVoters() == 3
			})
			recovered.stop()
			again := mustExamine(t, survivor.cfg.DataDir)
			if again.Incarnation != plan.Incarnation {
				t.Errorf("incarnation %q, planned %q", again.Incarnation, plan.Incarnation)
			}
		})
	}
}

func TestTheNewestIsChosenAsRaftWould(t *testing.T) {
	survey := func(dir string, term, index uint64, incarnation string) *recovery.Survey {
		return &recovery.Survey{Dir: dir, Identity: consensus.Identity{ServerID: dir, ClusterID: "c", Incarnation: incarnation}, EndTerm: term, EndIndex: index}
	}
	for name, test := range map[string]struct {
		a, b *recovery.Survey
		want string
	}{
		"the longer log":        {survey("a", 3, 10, ""), survey("b", 3, 11, ""), "b"},
		"a higher term":         {survey("a", 4, 10, ""), survey("b", 3, 11, ""), "a"},
		"a higher incarnation":  {survey("a", 4, 10, ""), survey("b", 3, 9, "1-0000000a"), "b"},
		"the first of two like": {survey("a", 3, 10, ""), survey("b", 3, 10, ""), "a"},
	} {
		got, err := recovery.Newest([]*recovery.Survey{test.a, test.b})
		if err != nil || got.Dir != test.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	other := survey("b", 1, 1, "")
	other.ClusterID = "d"
	if _, err := recovery.Newest([]*recovery.Survey{survey("a", 1, 1, ""), other}); !errors.Is(err, recovery.ErrMixed) {
		t.Errorf("two clusters: %v", err)
	}
	twin := survey("b", 1, 1, "")
	twin.ServerID = "a"
	if _, err := recovery.Newest([]*recovery.Survey{survey("a", 1, 1, ""), twin}); !errors.Is(err, recovery.ErrMixed) {
		t.Errorf("a copy: %v", err)
	}
}

func TestWhatIsLeftOfAQuorum(t *testing.T) {
	server := func(id string, voter bool) consensus.Server {
		return consensus.Server{ID: id, RaftAddress: id + ":1", Voter: voter}
	}
	survey := func(id string) *recovery.Survey {
		return &recovery.Survey{Dir: id, Identity: consensus.Identity{ServerID: id, ClusterID: "c"},
			Servers: []consensus.Server{server("a", true), server("b", true), server("c", true), server("n", false)}}
	}
	for name, test := range map[string]struct {
		dirs, answer []string
		left         bool
	}{
		"one directory, nobody answers":     {[]string{"a"}, nil, false},
		"one directory, one answers":        {[]string{"a"}, []string{"b"}, true},
		"one directory, two answer":         {[]string{"a"}, []string{"b", "c"}, true},
		"two directories":                   {[]string{"a", "b"}, nil, true},
		"a server without a vote answers":   {[]string{"a"}, []string{"n"}, false},
		"the server of the directory alone": {[]string{"a"}, []string{"a"}, false},
	} {
		var all []*recovery.Survey
		for _, dir := range test.dirs {
			all = append(all, survey(dir))
		}
		q := recovery.LookForQuorum(deadline(t), all[0], all, func(_ context.Context, address string) error {
			if slices.Contains(test.answer, strings.TrimSuffix(address, ":1")) {
				return nil
			}
			return errors.New("refused")
		})
		if q.Left() != test.left || q.Voters != 3 || q.Needed != 2 {
			t.Errorf("%s: %+v", name, q)
		}
	}
}

func TestWhatCannotBeRecoveredFrom(t *testing.T) {
	one := mustFound(t, 1, func(*server.Config) {})[0]
	one.mustWrite(t, "w")
	t.Run("a server that runs", func(t *testing.T) {
		if _, err := consensus.Hold(one.cfg.DataDir); !errors.Is(err, consensus.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
			t.Fatalf("held: %v", err)
		}
	})
	one.stop()
	spoiled := func(spoil func(dir string) error) error {
		dir := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(one.cfg.DataDir)); err != nil {
			t.Fatal(err)
		}
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		before := fingerprint(t, dir)
		_, err := recovery.Examine(deadline(t), dir)
		if after := fingerprint(t, dir); !slices.Equal(before, after) {
			t.Error("to look has changed something")
		}
		return err
	}
	for name, test := range map[string]struct {
		spoil func(dir string) error
		want  error
	}{
		"no data directory":   {func(dir string) error { return os.Remove(filepath.Join(dir, "server-id")) }, consensus.ErrDataDir},
		"no cluster":          {func(dir string) error { return os.Remove(filepath.Join(dir, "cluster-id")) }, recovery.ErrNoState},
		"no Raft state":       {func(dir string) error { return os.RemoveAll(filepath.Join(dir, "raft")) }, recovery.ErrNoState},
		"a log cut in half":   {func(dir string) error { return os.Truncate(filepath.Join(dir, "raft", "raft.db"), 9000) }, recovery.ErrDamaged},
		"a log that is gone":  {func(dir string) error { return os.Remove(filepath.Join(dir, "raft", "raft.db")) }, recovery.ErrDamaged},
		"a vote that is torn": {func(dir string) error { return os.Truncate(filepath.Join(dir, "raft", "stable"), 100) }, recovery.ErrDamaged},
		"a newer format": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "format"), []byte(`{"version":9}`), 0o600)
		}, consensus.ErrTooNew},
	} {
		if err := spoiled(test.spoil); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if err := spoiled(func(string) error { return nil }); err != nil {
		t.Errorf("an unspoiled copy: %v", err)
	}
	if _, err := consensus.Hold(t.TempDir()); !errors.Is(err, consensus.ErrDataDir) {
		t.Errorf("an empty directory: %v", err)
	}
}

func TestARecoveryThatWasCutOffCanBeMadeAgain(t *testing.T) {
	one := mustFound(t, 1, func(*server.Config) {})[0]
	one.mustWrite(t, "w")
	one.stop()
	// What a crash leaves before the exchange: half a new directory, and the
	// new incarnation.
	aside := filepath.Join(one.cfg.DataDir, "raft.recovered")
	if err := errors.Join(os.Mkdir(aside, 0o700), os.WriteFile(filepath.Join(aside, "raft.db"), []byte("half"), 0o600),
		consensus.WriteIncarnation(one.cfg.DataDir, "1-0000000a")); err != nil {
		t.Fatal(err)
	}
	plan, err := recovery.NewPlan(mustExamine(t, one.cfg.DataDir))
	if err != nil {
		t.Fatal(err)
	}
	if n := argosyv1.IncarnationNumber(plan.Incarnation); n != 2 {
		t.Fatalf("the next incarnation is %s", plan.Incarnation)
	}
	if err := plan.CarryOut(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(plan.Backup, "raft.db")); err != nil {
		t.Errorf("the state of before is not kept: %v", err)
	}
	again := mustStart(t, one.cfg)
	again.mustWrite(t, "v")
	if left, err := filepath.Glob(filepath.Join(one.cfg.DataDir, "raft*")); err != nil || len(left) != 2 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
}
