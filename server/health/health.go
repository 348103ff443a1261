// Package health serves over HTTP what watchdogs and monitoring ask: whether the
// process is alive, whether the replica can serve, and a few numbers. It protects
// one invariant: it answers from memory at once and changes nothing.
package health

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// State is what is told of a replica.
type State struct {
	// Failed is why it cannot go on, "" when it can.
	Failed string
	// NotReady is why it cannot serve now, "" when it can.
	NotReady string
	// Leads tells whether it leads.
	Leads bool
	// HasLeader tells whether it knows a leader.
	HasLeader bool
	// Term is Raft's term.
	Term uint64
	// Applied is the last index that was applied.
	Applied uint64
	// Last is the last index of the log.
	Last uint64
	// Workloads and Agents are numbers of objects; Connected are agents with a
	// session.
	Workloads, Agents, Connected int
}

// Handler serves /healthz, /readyz and /metrics.
func Handler(state func() State) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, state().Failed) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		now := state()
		if now.Failed != "" {
			answer(w, now.Failed)
			return
		}
		answer(w, now.NotReady)
	})
	registry := prometheus.NewRegistry()
	registry.MustRegister(&collector{state: state}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// NewServer makes the HTTP server around a handler.
func NewServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

func answer(w http.ResponseWriter, problem string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if problem != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, problem)
		return
	}
	fmt.Fprintln(w, "ok")
}

// collector reads the state when it is asked.
type collector struct{ state func() State }

var descriptions = map[string]*prometheus.Desc{
	"has_leader":       describe("has_leader", "Whether a leader is known."),
	"is_leader":        describe("is_leader", "Whether this server leads."),
	"term":             describe("term", "Term of Raft."),
	"applied_index":    describe("applied_index", "Last index that was applied to the state."),
	"last_index":       describe("last_index", "Last index in the log."),
	"workloads":        describe("workloads", "Number of desired workloads."),
	"agents":           describe("agents", "Number of registered agents."),
	"agents_connected": describe("agents_connected", "Number of agents with a session."),
}

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("argosy_server_"+name, help, nil, nil)
}

func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range descriptions {
		to <- d
	}
}

func (c *collector) Collect(to chan<- prometheus.Metric) {
	now := c.state()
	for name, value := range map[string]float64{
		"has_leader":       number(now.HasLeader),
		"is_leader":        number(now.Leads),
		"term":             float64(now.Term),
		"applied_index":    float64(now.Applied),
		"last_index":       float64(now.Last),
		"workloads":        float64(now.Workloads),
		"agents":           float64(now.Agents),
		"agents_connected": float64(now.Connected),
	} {
		to <- prometheus.MustNewConstMetric(descriptions[name], prometheus.GaugeValue, value)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
