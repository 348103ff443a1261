package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/backup"
	"github.com/argosy-cluster/argosy/server/consensus"
)

func (r *replica) operator() argosyv1.OperatorServiceClient {
	return argosyv1.NewOperatorServiceClient(r.conn)
}

func mustSave(t *testing.T, r *replica, consistency argosyv1.Consistency) []byte {
	t.Helper()
	stream, err := r.operator().SaveSnapshot(requestContext(t), &argosyv1.SaveSnapshotRequest{Consistency: consistency})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return file.Bytes()
		}
		if err != nil {
			t.Fatalf("save through %s: %v", r.cfg.Name, err)
		}
		file.Write(message.GetData())
	}
}

func restoreSnapshot(ctx context.Context, r *replica, options *argosyv1.RestoreOptions, file []byte) (*argosyv1.RestoreSnapshotResponse, error) {
	stream, err := r.operator().RestoreSnapshot(ctx)
	if err != nil {
		return nil, err
	}
	message := &argosyv1.RestoreSnapshotRequest{Options: options}
	for len(file) > 0 {
		n := min(len(file), 1000)
		message.Data, file = file[:n], file[n:]
		if err := stream.Send(message); err != nil {
			break // the answer says why
		}
		message = &argosyv1.RestoreSnapshotRequest{}
	}
	return stream.CloseAndRecv()
}

// mustAgree waits until all servers have the same state, and returns it.
func mustAgree(t *testing.T, all []*replica) map[string]uint64 {
	t.Helper()
	eventually(t, "the servers to agree", func() bool {
		first := all[0].machine.View()
		for _, r := range all[1:] {
			if r.machine.View().Hash() != first.Hash() {
				return false
			}
		}
		return true
	})
	view := all[0].machine.View()
	if view.Rehash() != view.Hash() {
		t.Error("the state has not the hash that it says")
	}
	found := map[string]uint64{}
	for row := range view.Workloads() {
		found[row.Key] = row.Revision
	}
	return found
}

// What was acknowledged before a restore is replaced, and nothing that was
// acknowledged after it is lost, whoever was asked.
func TestRestoreUnderWritesReplacesWhatWasBeforeAndLosesNothingAfter(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	mustApply(t, leader, applyOf(workload("saved-a", "x"), workload("saved-b", "x")))
	file := mustSave(t, others(all, leader)[0], argosyv1.Consistency_CONSISTENCY_LINEARIZABLE)
	summary, err := backup.Inspect(bytes.NewReader(file))
	if err != nil || summary.Workloads != 2 || summary.ClusterID != leader.node.ClusterID() {
		t.Fatalf("saved %+v: %v", summary, err)
	}
	mustApply(t, leader, applyOf(workload("saved-a", "changed after it was saved")))

	type acknowledged struct {
		name     string
		revision uint64
	}
	var mu sync.Mutex
	var writes []acknowledged
	ctx, stop := context.WithCancel(requestContext(t))
	defer stop()
	var writers sync.WaitGroup
	for i, r := range all {
		for j := range 3 {
			writers.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					name := fmt.Sprintf("w-%d-%d-%d", i, j, n)
					// A write that is under way may end: only the next does not begin.
					response, err := r.Apply(context.WithoutCancel(ctx), applyOf(workload(name, "x")))
					if err != nil {
						t.Errorf("write %s: %v", name, err)
						return
					}
					mu.Lock()
					writes = append(writes, acknowledged{name, response.GetHeader().GetRevision()})
					mu.Unlock()
				}
			})
		}
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(writes)
	}
	var restored []uint64
	for _, r := range append(others(all, leader), leader) {
		enough := count() + 30
		eventually(t, "writes", func() bool { return count() >= enough })
		response, err := restoreSnapshot(requestContext(t), r, nil, file)
		if err != nil {
			t.Fatalf("restore through %s: %v", r.cfg.Name, err)
		}
		restored = append(restored, response.GetHeader().GetRevision())
		if response.GetRestored().GetRevision() != summary.Revision || response.GetReplaced().GetWorkloads() < 2 {
			t.Errorf("restored %v", response)
		}
		// Whoever reads now, anywhere, sees it.
		for _, other := range all {
			got := mustGet(t, other, "saved-a")
			if got.GetWorkload().GetRevision() != response.GetHeader().GetRevision() || got.GetWorkload().GetRuntimeConfig() != "x" {
				t.Errorf("%s answers %v after the restore at %d", other.cfg.Name, got.GetWorkload(), response.GetHeader().GetRevision())
			}
		}
	}
	enough := count() + 30
	eventually(t, "writes", func() bool { return count() >= enough })
	stop()
	writers.Wait()

	last := restored[len(restored)-1]
	want := map[string]uint64{"saved-a": last, "saved-b": last}
	for _, w := range writes {
		if w.revision > last {
			want[w.name] = w.revision
		}
	}
	found := mustAgree(t, all)
	for name, revision := range want {
		if found[name] != revision {
			t.Errorf("%s is at revision %d, want %d", name, found[name], revision)
		}
	}
	for name, revision := range found {
		if want[name] == 0 {
			t.Errorf("%s of revision %d is there, the restore was at %d", name, revision, last)
		}
	}
}

// A request that is repeated after a restore is carried out: what it was
// answered before is not so any more.
func TestRequestRepeatedAfterARestoreIsNotAnsweredFromBefore(t *testing.T) {
	all := mustCluster(t, 1, nil)
	file := mustSave(t, all[0], argosyv1.Consistency_CONSISTENCY_LINEARIZABLE)
	request := applyOf(workload("w", "x"))
	mustApply(t, all[0], request)
	if !mustApply(t, all[0], request).GetReplayed() {
		t.Fatal("a repeated request was carried out again")
	}
	if _, err := restoreSnapshot(requestContext(t), all[0], nil, file); err != nil {
		t.Fatal(err)
	}
	if mustApply(t, all[0], request).GetReplayed() {
		t.Fatal("the answer of before the restore was given")
	}
	mustGet(t, all[0], "w")
}

func TestWatchEndsAtARestoreAndBeginsAnew(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	mustApply(t, leader, applyOf(workload("saved", "x")))
	file := mustSave(t, leader, argosyv1.Consistency_CONSISTENCY_LINEARIZABLE)
	mustApply(t, leader, applyOf(workload("later", "x")))
	for _, r := range all {
		w := mustWatch(t, r, &argosyv1.WatchRequest{OmitObserved: true})
		for w.workloads["later"] == 0 {
			w.next(t)
		}
		response, err := restoreSnapshot(requestContext(t), leader, nil, file)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = w.stream.Recv()
		}
		if code := argosyv1.CodeOf(err); code != argosyv1.ErrorCode_ERROR_CODE_SLOW_CONSUMER {
			t.Fatalf("watch at %s ended with %v", r.cfg.Name, err)
		}
		// One that goes on from where it was gets the whole state instead.
		w = mustWatch(t, r, &argosyv1.WatchRequest{OmitObserved: true, AfterRevision: w.revision})
		w.next(t)
		if w.snapshots != 1 || w.workloads["saved"] != response.GetHeader().GetRevision() || w.workloads["later"] != 0 {
			t.Fatalf("watch at %s shows %v in %d snapshots", r.cfg.Name, w.workloads, w.snapshots)
		}
		mustApply(t, leader, applyOf(workload("later", "x")))
	}
}

func TestRestoreIsRefusedForAReason(t *testing.T) {
	all := mustCluster(t, 1, nil)
	strangers := mustCluster(t, 1, nil)
	mustApply(t, all[0], applyOf(workload("kept", "x")))
	// A backup of a higher feature level is refused, and levels rise by themselves.
	eventually(t, "the cluster to be at its feature level", func() bool {
		settings, _ := all[0].machine.View().Cluster()
		return argosyv1.ActiveLevel(settings) == all[0].cfg.FeatureLevel
	})
	own := mustSave(t, all[0], argosyv1.Consistency_CONSISTENCY_LINEARIZABLE)
	flipped := bytes.Clone(own)
	flipped[len(flipped)/2] ^= 1
	mustApply(t, strangers[0], applyOf(workload("theirs", "x")))
	theirs := mustSave(t, strangers[0], argosyv1.Consistency_CONSISTENCY_STALE)
	before := mustAgree(t, all)
	for name, c := range map[string]struct {
		file    []byte
		options *argosyv1.RestoreOptions
		want    argosyv1.ErrorCode
	}{
		"nothing":           {nil, nil, argosyv1.ErrorCode_ERROR_CODE_INVALID},
		"no backup":         {[]byte("something else"), nil, argosyv1.ErrorCode_ERROR_CODE_INVALID},
		"cut short":         {own[:len(own)-1], nil, argosyv1.ErrorCode_ERROR_CODE_INVALID},
		"flipped bit":       {flipped, nil, argosyv1.ErrorCode_ERROR_CODE_INVALID},
		"newer version":     {append([]byte("argosy backup 2\n"), own[16:]...), nil, argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE},
		"another cluster's": {theirs, nil, argosyv1.ErrorCode_ERROR_CODE_CONFLICT},
		"rehearsed":         {own, &argosyv1.RestoreOptions{DryRun: true}, argosyv1.ErrorCode_ERROR_CODE_UNSPECIFIED},
	} {
		response, err := restoreSnapshot(requestContext(t), all[0], c.options, c.file)
		if argosyv1.CodeOf(err) != c.want || (err == nil) != (c.want == argosyv1.ErrorCode_ERROR_CODE_UNSPECIFIED) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err == nil && response.GetRestored().GetWorkloads() != 1 {
			t.Errorf("%s: %v", name, response)
		}
	}
	if after := mustAgree(t, all); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the state is %v, was %v", after, before)
	}
	if _, err := restoreSnapshot(requestContext(t), all[0], &argosyv1.RestoreOptions{OtherCluster: true}, theirs); err != nil {
		t.Fatal(err)
	}
	if settings, _ := all[0].machine.View().Cluster(); settings.GetClusterId() != all[0].node.ClusterID() || !settings.GetStartupManifestDone() {
		t.Errorf("settings are %v", settings)
	}
	mustGet(t, all[0], "theirs")
}

func TestServerTakesBackupsByItselfAndSaysWhenItCannot(t *testing.T) {
	dir := t.TempDir()
	all := mustCluster(t, 1, func(_ int, cfg *Config) {
		cfg.Backup = backup.ScheduleConfig{Dir: dir, Interval: time.Second, Keep: 2}
	})
	mustApply(t, all[0], applyOf(workload("saved", "x")))
	eventually(t, "a backup with the workload", func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, all[0].cfg.Cluster+"-*.argosy"))
		if len(files) == 0 {
			return false
		}
		file, err := os.Open(files[len(files)-1])
		if err != nil {
			return false
		}
		defer file.Close()
		summary, err := backup.Inspect(file)
		return err == nil && summary.Workloads == 1
	})
	if warnings := all[0].describe().GetWarnings(); len(warnings) != 0 {
		t.Errorf("it warns of %q", warnings)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a warning", func() bool {
		warnings := all[0].describe().GetWarnings()
		return len(warnings) == 1 && strings.HasPrefix(warnings[0], "its backups fail since 2")
	})
}

// An agent that the backup does not know stays registered, connects again by
// itself, and is told what the restored state wants of it.
func TestAgentsConvergeAfterARestore(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	mustApply(t, leader, applyOf(workload("saved", "x")))
	saved, _ := leader.machine.View().Workload("saved")
	file := mustSave(t, leader, argosyv1.Consistency_CONSISTENCY_LINEARIZABLE)
	mustApply(t, leader, applyOf(workload("later", "x")))
	stream, answer := mustHello(t, leader, "a1")
	if answer.GetWelcome() == nil {
		t.Fatalf("the leader answered %v", answer)
	}
	if _, ok := leader.machine.View().Agent("a1"); !ok {
		t.Fatal("the agent is not registered")
	}
	response, err := restoreSnapshot(requestContext(t), others(all, leader)[0], nil, file)
	if err != nil {
		t.Fatal(err)
	}
	if response.GetReplaced().GetAgents() != 1 || response.GetRestored().GetAgents() != 0 {
		t.Errorf("restored %v", response)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	eventually(t, "the agent to be welcome again", func() bool {
		stream, answer = mustHello(t, leader, "a1")
		return answer.GetWelcome() != nil
	})
	assigned, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if got := assigned.GetAssignments().GetUpserts(); len(got) != 1 || got[0].GetName() != "saved" || got[0].GetRevision() != response.GetHeader().GetRevision() {
		t.Errorf("it was assigned %v", assigned)
	} else if got[0].GetCreatedRevision() != saved.CreatedRevision {
		t.Errorf("it was assigned %v, which is not the workload that it has (created at %d) to an agent", assigned, saved.CreatedRevision)
	}
	eventually(t, "the agent to be registered everywhere", func() bool {
		for _, r := range all {
			if _, ok := r.machine.View().Agent("a1"); !ok {
				return false
			}
		}
		return true
	})
}

// mustReport has an agent say that it runs some workloads and nothing else.
func mustReport(t *testing.T, stream agentStream, running ...*argosyv1.Workload) {
	t.Helper()
	report := &argosyv1.StateReport{Full: true}
	for _, w := range running {
		report.States = append(report.States, &argosyv1.WorkloadState{
			Instance:  argosyv1.InstanceOf(w),
			Execution: &argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING, Substate: argosyv1.Substate_SUBSTATE_RUNNING_OK},
		})
	}
	if err := stream.Send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_States{States: report}}); err != nil {
		t.Fatal(err)
	}
}

// keepAlive has an agent give signs of life until the test ends. Nothing else may be
// sent on the stream.
func keepAlive(t *testing.T, stream agentStream) {
	done, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		beat := time.NewTicker(100 * time.Millisecond)
		defer beat.Stop()
		for {
			select {
			case <-stop:
				return
			case <-beat.C:
			}
			if stream.Send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Heartbeat{Heartbeat: &argosyv1.Heartbeat{}}}) != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

// mustBeTold reads what an agent is told to run until all of some workloads were
// among it, and returns everything that it was told by then.
func mustBeTold(t *testing.T, stream agentStream, names ...string) map[string]bool {
	t.Helper()
	told := map[string]bool{}
	for slices.ContainsFunc(names, func(name string) bool { return !told[name] }) {
		message, err := stream.Recv()
		if err != nil {
			t.Fatalf("wait for %q: %v", names, err)
		}
		for _, w := range message.GetAssignments().GetUpserts() {
			told[w.GetName()] = true
		}
	}
	return told
}

// An agent that is gone may run what a restore takes from it, whether the backup
// knows of the agent or not. That is not started anywhere else until the agent is
// back or removed, also when all servers were started again in between.
func TestWhatARestoreTakesFromALostAgentWaitsForIt(t *testing.T) {
	for name, again := range map[string]bool{"same server": false, "started again": true} {
		t.Run(name, func(t *testing.T) {
			s := mustCluster(t, 1, func(_ int, cfg *Config) { cfg.Sessions.SessionTimeout = 4 * time.Second })[0]
			mustApply(t, s, applyOf(workload("moved", "x")))
			file := mustSave(t, s, argosyv1.Consistency_CONSISTENCY_LINEARIZABLE)
			moved, later := workload("moved", "x"), workload("later", "x")
			moved.Agent, later.Agent = "a2", "a2"
			mustApply(t, s, applyOf(moved, later))
			gone, _ := mustHello(t, s, "a2")
			mustReport(t, gone, moved, later)
			eventually(t, "its report", func() bool {
				return s.store.Has(argosyv1.InstanceOf(moved).Key()) && s.store.Has(argosyv1.InstanceOf(later).Key())
			})
			if err := gone.Send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Goodbye{Goodbye: &argosyv1.Goodbye{}}}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it to be lost", func() bool { connected, _ := s.store.On("a2"); return !connected })
			if _, err := restoreSnapshot(requestContext(t), s, nil, file); err != nil {
				t.Fatal(err)
			}
			if again {
				s.stop(t)
				s = mustStart(t, s.cfg)
				mustLeader(t, s)
			}
			mustApply(t, s, applyOf(workload("later", "x"), workload("new", "x")))
			var here agentStream
			eventually(t, "another agent to be welcome", func() bool {
				stream, answer := mustHello(t, s, "a1")
				here = stream
				return answer.GetWelcome() != nil
			})
			mustReport(t, here)
			keepAlive(t, here)
			if told := mustBeTold(t, here, "new"); told["moved"] || told["later"] {
				t.Errorf("told to run %v, while an agent that is lost may run them", told)
			}
			if _, err := s.RemoveAgent(requestContext(t), &argosyv1.RemoveAgentRequest{RequestId: newID(), Name: "a2"}); err != nil {
				t.Fatalf("the agent that is waited for cannot be removed: %v", err)
			}
			mustBeTold(t, here, "moved", "later")
		})
	}
}

// A leader that dies in the middle of a restore leaves the cluster with all of
// the one state or all of the other, and when it comes back it does not go on
// from a third.
func TestLeaderThatDiesDuringARestoreLeavesOneStateOrTheOther(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	var saved []*argosyv1.Workload
	for i := range 200 {
		saved = append(saved, workload(fmt.Sprintf("saved-%d", i), strings.Repeat("x", 1000)))
	}
	mustApply(t, leader, applyOf(saved...))
	file := mustSave(t, leader, argosyv1.Consistency_CONSISTENCY_LINEARIZABLE)
	for round := range 6 {
		leader := mustLeader(t, all...)
		rest := others(all, leader)
		before := fmt.Sprintf("before-%d", round)
		mustApply(t, leader, applyOf(workload(before, "x")))
		began := leader.machine.Applied()
		var err error
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, err = restoreSnapshot(requestContext(t), rest[0], nil, file)
		}()
		// until waits for a stage of the restore, or its end.
		until := func(what string, reached func() bool) {
			eventually(t, what, func() bool {
				select {
				case <-ended:
					return true
				default:
					return reached()
				}
			})
		}
		// Each round dies later: when writes are drained, when the leader has the
		// state alone, when somebody else has it too.
		switch round % 3 {
		case 0:
			until("writes to wait", func() bool {
				r := leader.reign.Load()
				if r == nil {
					return true
				}
				_, ok := r.writes()
				return !ok
			})
		case 1:
			until("the leader to have the state", func() bool { return leader.machine.Applied() > began })
		case 2:
			until("a follower to have the state", func() bool {
				return rest[0].machine.Applied() > began || rest[1].machine.Applied() > began
			})
		}
		leader.crash(t)
		<-ended
		next := mustLeader(t, rest...)
		mustApply(t, next, applyOf(workload("after", fmt.Sprint(round))))
		found := mustAgree(t, rest)
		if _, restored := found[before]; err == nil && restored {
			t.Errorf("round %d: the restore was acknowledged, and what was before is there", round)
		} else if want := map[bool]int{false: 201, true: 202}[restored]; len(found) < want || !restored && len(found) != want {
			t.Errorf("round %d: %d workloads, want %d", round, len(found), want)
		}
		for i, r := range all {
			if r != leader {
				continue
			}
			again := mustStart(t, leader.cfg)
			all[i] = again
			eventually(t, "the leader that died to be like the others, or to give up", func() bool {
				select {
				case <-again.ended:
					return true
				default:
					return again.machine.View().Hash() == next.machine.View().Hash()
				}
			})
			select {
			case <-again.ended:
				if !errors.Is(again.err, consensus.ErrRolledBack) {
					t.Fatalf("round %d: it ended with %v", round, again.err)
				}
				t.Logf("round %d: %v", round, again.err)
				// What is rebuilt is a new server, which takes the old one's place.
				if err := next.node.RemoveServer(requestContext(t), again.ID()); err != nil {
					t.Fatal(err)
				}
				cfg := leader.cfg
				cfg.DataDir, cfg.BootstrapExpect = t.TempDir(), 0
				cfg.Join = []string{rest[0].Addresses().Gossip}
				all[i] = mustStart(t, cfg)
				eventually(t, "the new server to have everything, and its vote", func() bool {
					return next.isVoter(all[i].ID()) && all[i].machine.View().Hash() == next.machine.View().Hash()
				})
			default:
			}
		}
	}
}
