package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// fetch asks a server over HTTP.
func fetch(t *testing.T, r *replica, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(requestContext(t), http.MethodGet, "http://"+r.Addresses().HTTP+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatalf("get %s of %s: %v", path, r.cfg.Name, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// number returns the value of one metric, -1 when it is not there.
func number(body, name string) float64 {
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			var value float64
			if _, err := fmt.Sscan(rest, &value); err == nil {
				return value
			}
		}
	}
	return -1
}

func withHTTP(_ int, cfg *Config) { cfg.HTTPAddress = "127.0.0.1:0" }

// The numbers of a real cluster move when something happens, and agree.
func TestMetricsOfACluster(t *testing.T) {
	all := mustCluster(t, 3, withHTTP)
	leader := mustLeader(t, all...)
	follower := others(all, leader)[0]
	for i := range 5 {
		mustApply(t, follower, applyOf(workload(fmt.Sprintf("w%d", i), "x")))
	}
	if _, err := follower.Delete(requestContext(t), &argosyv1.DeleteRequest{RequestId: newID(), Names: []string{"nothere"}}); err == nil {
		t.Fatal("deleted what does not exist")
	}
	mustGet(t, follower, "w0")
	ctx, cancel := context.WithCancel(requestContext(t))
	defer cancel()
	watch, err := follower.Watch(ctx, &argosyv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}

	_, led := fetch(t, leader, "/metrics")
	for name, atLeast := range map[string]float64{
		"argosy_server_has_leader": 1, "argosy_server_is_leader": 1, "argosy_server_serves": 1, "argosy_server_voters": 1,
		"argosy_server_quorum": 1, "argosy_server_term": 1, "argosy_server_workloads": 5, "argosy_server_outcomes": 5,
		"argosy_server_commit_seconds_count": 5, "argosy_server_batch_requests_count": 5, "argosy_server_log_store_seconds_count": 5,
		"argosy_server_apply_seconds_count": 5, "argosy_server_leader_changes_total": 1, "argosy_server_state_bytes": 5,
		"argosy_server_state_quota_bytes": 1, "argosy_server_feature_level": 1, "argosy_server_disk_stalled": 0,
		"argosy_server_log_store_entries_sum": 5,
	} {
		if got := number(led, name); got < atLeast {
			t.Errorf("leader: %s is %v, want %v or more", name, got, atLeast)
		}
	}
	_, followed := fetch(t, follower, "/metrics")
	for name, want := range map[string]float64{
		"argosy_server_is_leader": 0, "argosy_server_serves": 1, "argosy_server_watches": 1,
		`argosy_server_writes_refused_total{code="not_found"}`:                               1,
		`argosy_server_requests_total{code="ok",method="argosy.v1.ClusterService/Apply"}`:    5,
		`argosy_server_request_seconds_count{method="argosy.v1.ClusterService/GetWorkload"}`: 1,
		"argosy_server_reads_waiting":                                                        0, "argosy_server_forward_waiting": 0,
	} {
		if got := number(followed, name); got != want {
			t.Errorf("follower: %s is %v, want %v", name, got, want)
		}
	}
	if got := number(followed, "argosy_server_read_round_reads_sum"); got < 1 {
		t.Errorf("follower: %v reads had a read index", got)
	}
	// Servers that are at the same index have the same hash.
	eventually(t, "the same state everywhere", func() bool {
		_, a := fetch(t, leader, "/metrics")
		_, b := fetch(t, follower, "/metrics")
		const index, hash = "argosy_server_applied_index", "argosy_server_state_hash"
		return number(a, index) == number(b, index) && number(a, hash) == number(b, hash) && number(a, hash) > 0
	})
}

// A server without a quorum is alive and not ready, and says why.
func TestReadinessSaysWhatIsMissing(t *testing.T) {
	all := mustCluster(t, 2, withHTTP)
	eventually(t, "both to be ready", func() bool {
		for _, r := range all {
			if code, _ := fetch(t, r, "/readyz"); code != http.StatusOK {
				return false
			}
		}
		return true
	})
	code, body := fetch(t, all[0], "/readyz?verbose")
	for _, line := range []string{"ok       raft", "ok       state", "ok       disk", "ok       leader", "ok       serving"} {
		if code != http.StatusOK || !strings.Contains(body, line) {
			t.Errorf("%d, no line %q in\n%s", code, line, body)
		}
	}
	all[1].crash(t)
	eventually(t, "the other one to be unready", func() bool {
		code, body = fetch(t, all[0], "/readyz?verbose")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "failed   leader: no leader: 1 of 2 servers reachable, 2 needed")
	})
	if code, body := fetch(t, all[0], "/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
}
