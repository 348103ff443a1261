package metrics

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// full is a state that has everything which a server can have.
func full() State {
	return State{
		Server: &argosyv1.ServerStatus{
			Role: argosyv1.ServerRole_SERVER_ROLE_LEADER, Term: 7, AppliedIndex: 42, LastIndex: 43, SnapshotIndex: 40,
			SnapshotUnixNanos: time.Now().Add(-time.Hour).UnixNano(), DiskFreeBytes: 1 << 30, DiskSizeBytes: 1 << 40, LastContactMs: 1500,
		},
		LeadershipsEnded: map[argosyv1.LeadershipEnd]uint64{argosyv1.LeadershipEnd_LEADERSHIP_END_LEADER_GONE: 4},
		HasLeader:        true, Serves: true, Voters: 3, Quorum: 2,
		Campaigns: map[string]uint64{"silence": 2}, Lags: map[string]uint64{"s2": 9},
		Workloads: 3, StateHash: [32]byte{0, 0, 0, 0, 1, 2, 3}, StateBytes: 300, StateQuota: 1 << 30,
		MembersAlive: map[string]int{"server": 3}, MembersDead: map[string]int{"server": 1},
		CertificateExpires: time.Now().Add(time.Hour),
		Rebuilds:           1, BeaconsSame: 5, BeaconsDifferent: 1,
		Backups: &Backups{Last: time.Now().Add(-time.Minute), Failed: true},
	}
}

func scrape(t *testing.T, m *Metrics, state func() State) string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler(state).ServeHTTP(answer, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.Code != http.StatusOK {
		t.Fatalf("scrape: %d %v %s", answer.Code, err, body)
	}
	return string(body)
}

func TestStateIsTold(t *testing.T) {
	body := scrape(t, New("v1"), full)
	for _, line := range []string{
		"argosy_server_has_leader 1", "argosy_server_is_leader 1", "argosy_server_term 7", "argosy_server_applied_index 42",
		"argosy_server_last_contact_seconds 1.5", `argosy_server_follower_lag_entries{peer="s2"} 9`,
		`argosy_server_leaderships_ended_total{reason="leader_gone"} 4`,
		`argosy_server_campaigns_total{cause="silence"} 2`, "argosy_server_workloads 3", "argosy_server_state_hash 258",
		`argosy_server_gossip_members{alive="false",role="server"} 1`, `argosy_server_beacons_total{result="different"} 1`,
		"argosy_server_backup_failed 1", `version="v1"`, "go_goroutines", "process_resident_memory_bytes",
		"# TYPE argosy_server_commit_seconds histogram", "# TYPE argosy_server_campaigns_total counter", "# TYPE argosy_server_term gauge",
	} {
		if !strings.Contains(body, line) {
			t.Errorf("no line %q", line)
		}
	}
}

func TestWhatHappensIsCounted(t *testing.T) {
	m := New("v1")
	m.Stored(3, 2*time.Millisecond)
	m.Stalled()
	m.Applied(time.Microsecond)
	m.SnapshotTaken(time.Microsecond)
	m.SnapshotWritten(time.Second, nil)
	m.SnapshotWritten(time.Second, io.ErrShortWrite)
	m.Restored(time.Second)
	m.Proposed(17, 4000)
	m.Committed(time.Millisecond)
	m.Confirmed(5, time.Millisecond)
	m.LeaderChanged()
	m.WriteRefused(argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_SPACE, "full"))
	m.WriteRefused(io.EOF)
	m.Answered("/argosy.v1.ClusterService/Apply", time.Millisecond, false, nil)
	m.Answered("/argosy.v1.ClusterService/Apply", time.Millisecond, false, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "other"))
	m.WatchBegan()
	m.WatchBegan()(argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_SLOW_CONSUMER, "slow"))
	body := scrape(t, m, full)
	for _, line := range []string{
		"argosy_server_log_store_seconds_count 1", "argosy_server_log_store_entries_sum 3", "argosy_server_disk_stalls_total 1",
		"argosy_server_apply_seconds_count 1", "argosy_server_snapshot_pause_seconds_count 1", "argosy_server_snapshot_write_seconds_count 1",
		"argosy_server_snapshots_failed_total 1", "argosy_server_restore_seconds_count 1", "argosy_server_batch_requests_sum 17",
		"argosy_server_batch_bytes_sum 4000", "argosy_server_commit_seconds_count 1", "argosy_server_read_round_reads_sum 5",
		"argosy_server_leader_changes_total 1",
		`argosy_server_writes_refused_total{code="no_space"} 1`, `argosy_server_writes_refused_total{code="other"} 1`,
		`argosy_server_requests_total{code="ok",method="argosy.v1.ClusterService/Apply"} 1`,
		`argosy_server_requests_total{code="conflict",method="argosy.v1.ClusterService/Apply"} 1`,
		`argosy_server_request_seconds_count{method="argosy.v1.ClusterService/Apply"} 2`,
		"argosy_server_watches 1", "argosy_server_watches_cut_off_total 1",
	} {
		if !strings.Contains(body, line) {
			t.Errorf("no line %q", line)
		}
	}
}

// Every number is in the documentation, and everything in the documentation is
// a number.
func TestEveryNameIsDocumented(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, line := range regexp.MustCompile(`(?m)^//\t(\S+)\s+\S`).FindAllStringSubmatch(string(text), -1) {
		name, _, _ := strings.Cut(line[1], "{")
		documented = append(documented, prefix+name)
	}
	m := New("v1")
	m.Answered("/argosy.v1.ClusterService/Apply", 0, false, nil)
	var told []string
	for _, line := range regexp.MustCompile(`(?m)^# TYPE (`+prefix+`\S+)`).FindAllStringSubmatch(scrape(t, m, full), -1) {
		told = append(told, line[1])
	}
	slices.Sort(documented)
	slices.Sort(told)
	if !slices.Equal(documented, told) {
		t.Errorf("documented:\n%s\ntold:\n%s", strings.Join(documented, "\n"), strings.Join(told, "\n"))
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	m := New("v1")
	allocs := testing.AllocsPerRun(1000, func() {
		m.Stored(3, time.Millisecond)
		m.Applied(time.Microsecond)
		m.Proposed(17, 4000)
		m.Committed(time.Millisecond)
		m.Confirmed(5, time.Millisecond)
		m.Answered("/argosy.v1.ClusterService/Apply", time.Millisecond, false, nil)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkAnswered(b *testing.B) {
	m := New("v1")
	b.ReportAllocs()
	for b.Loop() {
		m.Answered("/argosy.v1.ClusterService/Apply", time.Millisecond, false, nil)
	}
}
