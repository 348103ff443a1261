package backup_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/backup"
	"github.com/argosy-cluster/argosy/server/consensus"
)

// leader is the server around a service, which leads.
type leader struct {
	*fsm.Machine
	dir      string
	replaced *fsm.View
}

func (l *leader) Header() *argosyv1.ResponseHeader { return &argosyv1.ResponseHeader{ServerId: "self"} }
func (l *leader) StalenessMillis() uint64          { return 42 }
func (l *leader) Await(context.Context) error      { return nil }

func (l *leader) Leader(ctx context.Context, _ string) (argosyv1.OperatorServiceClient, context.Context, error) {
	return nil, ctx, nil
}

func (l *leader) Replace(_ context.Context, source consensus.RestoreSource) (uint64, error) {
	state, err := source(5000)
	if err != nil {
		return 0, err
	}
	l.replaced = state.(*fsm.View)
	return 5000, nil
}

// mustLeader returns a server with a state of its own, at a feature level.
func mustLeader(t *testing.T, level uint32) (*leader, *backup.Service) {
	t.Helper()
	l := &leader{Machine: mustMachine(t), dir: t.TempDir()}
	mustApply(t, l.Machine, 3, put(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey, "", &argosyv1.ClusterSettings{
		ClusterId: clusterID, Incarnation: "2-0a0b0c0d", FeatureLevel: level, StateQuotaBytes: 1 << 20,
	}))
	return l, mustService(t, l)
}

func mustService(t *testing.T, l *leader) *backup.Service {
	t.Helper()
	s, err := backup.New(backup.Deps{
		Replica: l, Reads: l, State: l, Restorer: l, SpoolDir: l.dir,
		Meta: func() backup.Meta { return backup.Meta{ClusterID: clusterID, ClusterName: "fleet"} },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// upload is the stream of a restore.
type upload struct {
	grpc.ServerStream
	ctx      context.Context
	messages []*argosyv1.RestoreSnapshotRequest
	response *argosyv1.RestoreSnapshotResponse
}

func (u *upload) Context() context.Context { return u.ctx }

func (u *upload) Recv() (*argosyv1.RestoreSnapshotRequest, error) {
	if len(u.messages) == 0 {
		return nil, io.EOF
	}
	message := u.messages[0]
	u.messages = u.messages[1:]
	return message, nil
}

func (u *upload) SendAndClose(response *argosyv1.RestoreSnapshotResponse) error {
	u.response = response
	return nil
}

func restore(t *testing.T, s *backup.Service, options *argosyv1.RestoreOptions, file []byte) (*argosyv1.RestoreSnapshotResponse, error) {
	t.Helper()
	u := &upload{ctx: t.Context(), messages: []*argosyv1.RestoreSnapshotRequest{{Options: options, Data: file[:len(file)/2]}, {Data: file[len(file)/2:]}}}
	err := s.Restore(u)
	return u.response, err
}

// The agents that there are stay, with what they may have: neither is the backup's
// to say. What users said of them, is.
func TestAgentsAfterARestore(t *testing.T) {
	agent := func(a *argosyv1.Agent) *argosyv1.Mutation {
		return put(argosyv1.RowKind_ROW_KIND_AGENT, a.GetName(), "", a)
	}
	runs := func(name, on string) *argosyv1.Mutation {
		return put(argosyv1.RowKind_ROW_KIND_WORKLOAD, name, on, &argosyv1.Workload{Name: name, Agent: on})
	}
	tags := func(text string) *argosyv1.Tags { return &argosyv1.Tags{Tags: map[string]string{"is": text}} }
	owing := func(names ...string) *argosyv1.Owing { return &argosyv1.Owing{Workloads: names} }
	saved := mustMachine(t)
	mustApply(t, saved, 100, runs("kept", "old"), runs("moved", "old"),
		agent(&argosyv1.Agent{Name: "old", UserTags: tags("saved"), Returns: 3, Owing: owing("b")}), agent(&argosyv1.Agent{Name: "removed", Returns: 1}))
	l, s := mustLeader(t, argosyv1.FeatureLevel)
	mustApply(t, l.Machine, 200, runs("kept", "old"), runs("moved", "new"), runs("later", "new"), runs("nowhere", ""),
		agent(&argosyv1.Agent{Name: "old", Tags: map[string]string{"zone": "a"}, UserTags: tags("changed"), Returns: 2, Owing: owing("a")}),
		agent(&argosyv1.Agent{Name: "new", UserTags: tags("new")}))
	if _, err := restore(t, s, &argosyv1.RestoreOptions{OtherCluster: true}, mustWrite(t, saved.View())); err != nil {
		t.Fatal(err)
	}
	want := map[string]*argosyv1.Agent{
		"old": {Name: "old", Tags: map[string]string{"zone": "a"}, UserTags: tags("saved"), Returns: 3, Owing: owing("a", "b"), CreatedRevision: 200, Revision: 5000},
		"new": {Name: "new", UserTags: tags("new"), Owing: owing("later"), CreatedRevision: 200, Revision: 5000},
		// It may run what comes back with it.
		"removed": {Name: "removed", Returns: 1, CreatedRevision: 100, Revision: 5000},
	}
	for row := range l.replaced.Agents() {
		if found, err := row.Agent(); err != nil || !proto.Equal(found, want[row.Key]) {
			t.Errorf("%s is %v (%v), want %v", row.Key, found, err, want[row.Key])
		}
		delete(want, row.Key)
	}
	if len(want) > 0 {
		t.Errorf("not there are %v", want)
	}
}

// What the cluster is stays; how it shall be run comes from the backup.
func TestSettingsAfterARestore(t *testing.T) {
	l, s := mustLeader(t, 2)
	m := mustSeed(t, 4)
	mustApply(t, m, 100, put(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey, "", &argosyv1.ClusterSettings{
		ClusterId: "another", Incarnation: "7-ffffffff", FeatureLevel: 1, StateQuotaBytes: 12345678,
		Autopilot: &argosyv1.AutopilotSettings{MinVoters: 5},
	}))
	response, err := restore(t, s, &argosyv1.RestoreOptions{OtherCluster: true}, mustWrite(t, m.View()))
	if err != nil {
		t.Fatal(err)
	}
	if response.GetHeader().GetRevision() != 5000 || response.GetRestored().GetWorkloads() != 4 || response.GetReplaced().GetRevision() != 3 {
		t.Errorf("answered %v", response)
	}
	settings, _ := l.replaced.Cluster()
	if settings.GetClusterId() != clusterID || settings.GetIncarnation() != "2-0a0b0c0d" || settings.GetFeatureLevel() != 2 ||
		!settings.GetStartupManifestDone() || settings.GetStateQuotaBytes() != 12345678 || settings.GetAutopilot().GetMinVoters() != 5 ||
		settings.GetRevision() != 5000 {
		t.Errorf("settings are %v", settings)
	}
}

func TestBackupThatDoesNotFitIsRefused(t *testing.T) {
	mustBe := func(name string, err error, want argosyv1.ErrorCode, text string) {
		t.Helper()
		if argosyv1.CodeOf(err) != want || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("%s: %v", name, err)
		}
	}
	newer := mustSeed(t, 1)
	mustApply(t, newer, 100, put(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey, "",
		&argosyv1.ClusterSettings{ClusterId: clusterID, FeatureLevel: argosyv1.FeatureLevel + 1}))
	large := mustSeed(t, 100)
	mustApply(t, large, 200, put(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey, "",
		&argosyv1.ClusterSettings{ClusterId: clusterID, StateQuotaBytes: 1000}))

	l, s := mustLeader(t, 2)
	_, err := restore(t, s, nil, mustWrite(t, newer.View()))
	mustBe("feature level of a newer version", err, argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE, "upgrade the servers first")
	_, err = restore(t, s, nil, mustWrite(t, large.View()))
	mustBe("beyond its quota", err, argosyv1.ErrorCode_ERROR_CODE_NO_SPACE, "the quota that it brings along is 1000")
	if l.replaced != nil {
		t.Error("the state was replaced")
	}
	old, s := mustLeader(t, 1)
	_, err = restore(t, s, nil, mustWrite(t, mustSeed(t, 1).View()))
	mustBe("feature level above the cluster's", err, argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE, "this one is at 1")
	if old.replaced != nil {
		t.Error("the state was replaced")
	}
}

// The file that a backup is put together in does not stay, whatever happens.
func TestNothingIsLeftOfARestore(t *testing.T) {
	l, s := mustLeader(t, 2)
	file := mustWrite(t, mustSeed(t, 4).View())
	for _, bad := range [][]byte{file, file[:len(file)-3], {}} {
		_, _ = restore(t, s, nil, bad)
	}
	if err := os.WriteFile(filepath.Join(l.dir, ".restore-123"), []byte("left by a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.dir, "server-id"), []byte("id"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustService(t, l)
	entries, err := os.ReadDir(l.dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "server-id" {
		t.Fatalf("left are %v: %v", entries, err)
	}
}

// download is the stream of a save.
type download struct {
	grpc.ServerStream
	ctx    context.Context
	header *argosyv1.ResponseHeader
	file   bytes.Buffer
	begun  chan struct{} // closed at the first message
	hold   <-chan struct{}
}

func (d *download) Context() context.Context { return d.ctx }

func (d *download) Send(message *argosyv1.SaveSnapshotResponse) error {
	if message.GetHeader() != nil {
		d.header = message.GetHeader()
		close(d.begun)
		<-d.hold
	}
	d.file.Write(message.GetData())
	return nil
}

func TestOnlySoManyBackupsAreSentAtOnce(t *testing.T) {
	_, s := mustLeader(t, 2)
	hold := make(chan struct{})
	ended := make(chan error)
	request := &argosyv1.SaveSnapshotRequest{Consistency: argosyv1.Consistency_CONSISTENCY_STALE}
	var all []*download
	for range 4 {
		d := &download{ctx: t.Context(), begun: make(chan struct{}), hold: hold}
		all = append(all, d)
		go func() { ended <- s.Save(request, d) }()
		<-d.begun
	}
	one := &download{ctx: t.Context(), begun: make(chan struct{}), hold: hold}
	if err := s.Save(request, one); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_OVERLOADED {
		t.Errorf("a fifth: %v", err)
	}
	close(hold)
	for _, d := range all {
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if d.header.GetRevision() != 3 || d.header.GetStalenessMs() != 42 {
			t.Errorf("header is %v", d.header)
		}
	}
	if err := s.Save(request, one); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Inspect(&one.file); err != nil {
		t.Fatal(err)
	}
}
