package health

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func get(t *testing.T, path string, checks ...Check) (int, string) {
	t.Helper()
	answer := httptest.NewRecorder()
	Handler(func() []Check { return checks }).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Code, string(body)
}

func TestHealthAndReadiness(t *testing.T) {
	leader := Check{Name: "leader"}
	absent := Check{Name: "leader", Problem: "no leader: 1 of 3 servers reachable"}
	broken := Check{Name: "raft", Problem: "disk is damaged", Fatal: true}
	low := Check{Name: "disk", Problem: "4 MiB are free", Warning: true}
	for name, c := range map[string]struct {
		checks          []Check
		healthy, ready  int
		healthSays, why string
	}{
		"serving":        {[]Check{leader}, 200, 200, "ok\n", "ok\n"},
		"no leader":      {[]Check{absent}, 200, 503, "ok\n", "1 of 3"},
		"broken":         {[]Check{leader, broken}, 503, 503, "disk is damaged\n", "disk is damaged\n"},
		"only a warning": {[]Check{leader, low}, 200, 200, "ok\n", "ok\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, body := get(t, "/healthz", c.checks...); code != c.healthy || !strings.Contains(body, c.healthSays) {
				t.Errorf("healthz: %d %q", code, body)
			}
			if code, body := get(t, "/readyz", c.checks...); code != c.ready || !strings.Contains(body, c.why) {
				t.Errorf("readyz: %d %q", code, body)
			}
		})
	}
}

func TestVerboseListsEveryCheck(t *testing.T) {
	checks := []Check{
		{Name: "raft"},
		{Name: "leader", Problem: "an election is under way"},
		{Name: "disk", Problem: "4 MiB are free", Warning: true},
	}
	code, body := get(t, "/readyz?verbose", checks...)
	if want := "ok       raft\nfailed   leader: an election is under way\nwarning  disk: 4 MiB are free\n"; code != 503 || body != want {
		t.Errorf("readyz: %d\n%s", code, body)
	}
	// What only speaks against readiness does not speak against health.
	code, body = get(t, "/healthz?verbose", checks...)
	if want := "warning  leader: an election is under way"; code != 200 || !strings.Contains(body, want) {
		t.Errorf("healthz: %d\n%s", code, body)
	}
}
