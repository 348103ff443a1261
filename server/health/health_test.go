package health

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func get(t *testing.T, state State, path string) (int, string) {
	t.Helper()
	answer := httptest.NewRecorder()
	Handler(func() State { return state }).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Code, string(body)
}

func TestHealthAndReadiness(t *testing.T) {
	for name, c := range map[string]struct {
		state           State
		healthy, ready  int
		healthSays, why string
	}{
		"serving":   {State{HasLeader: true}, 200, 200, "ok", "ok"},
		"no leader": {State{NotReady: "no leader: 1 of 3 servers reachable"}, 200, 503, "ok", "1 of 3"},
		"broken":    {State{Failed: "disk"}, 503, 503, "disk", "disk"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, body := get(t, c.state, "/healthz"); code != c.healthy || !strings.Contains(body, c.healthSays) {
				t.Errorf("healthz: %d %q", code, body)
			}
			if code, body := get(t, c.state, "/readyz"); code != c.ready || !strings.Contains(body, c.why) {
				t.Errorf("readyz: %d %q", code, body)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	code, body := get(t, State{Leads: true, Term: 7, Applied: 42, Workloads: 3}, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	for _, line := range []string{"argosy_server_is_leader 1", "argosy_server_has_leader 0", "argosy_server_term 7", "argosy_server_applied_index 42", "argosy_server_workloads 3", "go_goroutines"} {
		if !strings.Contains(body, line) {
			t.Errorf("no line %q", line)
		}
	}
}
