package metrics

import (
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const prefix = "argosy_server_"

// Metrics are the numbers of one server. Its methods may be called by any
// goroutine.
type Metrics struct {
	registry *prometheus.Registry

	commit, apply, logStore            prometheus.Histogram
	logEntries, batchRequests          prometheus.Histogram
	batchBytes                         prometheus.Histogram
	snapshotPause, snapshotWrite       prometheus.Histogram
	restore, readRound, readRoundReads prometheus.Histogram
	snapshotsFailed, leaderChanges     prometheus.Counter
	diskStalls, watchesCutOff          prometheus.Counter
	watches                            prometheus.Gauge
	requests, writesRefused            *prometheus.CounterVec
	requestTime                        *prometheus.HistogramVec

	methods sync.Map // of *method, by full name
	refused [codes]prometheus.Counter
}

// codes is one more than the highest error code, for arrays.
const codes = int(argosyv1.ErrorCode_ERROR_CODE_NO_SPACE) + 1

// New makes the numbers of a server of a version, all of them 0.
func New(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.commit = m.histogram("commit_seconds", "Time from proposing a batch of requests to its commit, on the leader.", times())
	m.apply = m.histogram("apply_seconds", "Time to apply one entry to the state machine.", shortTimes())
	m.logStore = m.histogram("log_store_seconds", "Time of one write to the log, with its flush.", times())
	m.logEntries = m.histogram("log_store_entries", "Entries in one write to the log.", counts())
	m.batchRequests = m.histogram("batch_requests", "Requests in one entry of the log, on the leader.", counts())
	m.batchBytes = m.histogram("batch_bytes", "Bytes of one entry of the log, on the leader.", prometheus.ExponentialBuckets(256, 4, 9))
	m.snapshotPause = m.histogram("snapshot_pause_seconds", "For how long a snapshot held up the state machine.", shortTimes())
	m.snapshotWrite = m.histogram("snapshot_write_seconds", "Time to write a snapshot, beside everything else.", times())
	m.restore = m.histogram("restore_seconds", "Time to take over a state from a snapshot.", times())
	m.readRound = m.histogram("read_round_seconds", "Time of one question for a read index.", times())
	m.readRoundReads = m.histogram("read_round_reads", "Linearizable reads that shared one question for a read index.", counts())
	m.snapshotsFailed = m.counter("snapshots_failed_total", "Snapshots that could not be written.")
	m.leaderChanges = m.counter("leader_changes_total", "How often this server saw another leader than before.")
	m.diskStalls = m.counter("disk_stalls_total", "Writes to the log that did not come back in time.")
	m.watchesCutOff = m.counter("watches_cut_off_total", "Watches that ended because the watcher was too slow.")
	m.watches = prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + "watches", Help: "Watches that are open."})
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + "requests_total", Help: "Calls that were answered, by method and error code."}, []string{"method", "code"})
	m.writesRefused = prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + "writes_refused_total", Help: "Writes of users that failed, by error code."}, []string{"code"})
	m.requestTime = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + "request_seconds", Help: "How long calls took that answer once.", Buckets: times()}, []string{"method"})
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: prefix + "build_info", Help: "1; what runs is in the labels.",
		ConstLabels: prometheus.Labels{"version": version, "go_version": runtime.Version()},
	})
	info.Set(1)
	m.registry.MustRegister(m.watches, m.requests, m.writesRefused, m.requestTime, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for code := range m.refused {
		m.refused[code] = m.writesRefused.WithLabelValues(codeText(argosyv1.ErrorCode(code)))
	}
	return m
}

// Handler answers a scrape. What is not counted as it happens is read by state.
// It may be called once.
func (m *Metrics) Handler(state func() State) http.Handler {
	m.registry.MustRegister(newCollector(state))
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// times are the buckets of whatever waits for a disk or another server.
func times() []float64 { return prometheus.ExponentialBuckets(100e-6, 2, 17) }

// shortTimes are the buckets of what happens in memory.
func shortTimes() []float64 { return prometheus.ExponentialBuckets(2e-6, 4, 11) }

func counts() []float64 { return prometheus.ExponentialBuckets(1, 2, 12) }

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
	m.registry.MustRegister(c)
	return c
}

// Stored counts one write to the log.
func (m *Metrics) Stored(entries int, took time.Duration) {
	m.logStore.Observe(took.Seconds())
	m.logEntries.Observe(float64(entries))
}

// Stalled counts a write to the log that did not come back in time.
func (m *Metrics) Stalled() { m.diskStalls.Inc() }

// Applied counts one entry that reached the state machine.
func (m *Metrics) Applied(took time.Duration) { m.apply.Observe(took.Seconds()) }

// SnapshotTaken counts a snapshot, before it is written.
func (m *Metrics) SnapshotTaken(paused time.Duration) { m.snapshotPause.Observe(paused.Seconds()) }

// SnapshotWritten counts the writing of a snapshot.
func (m *Metrics) SnapshotWritten(took time.Duration, err error) {
	if err != nil {
		m.snapshotsFailed.Inc()
		return
	}
	m.snapshotWrite.Observe(took.Seconds())
}

// Restored counts a state that was taken over from a snapshot.
func (m *Metrics) Restored(took time.Duration) { m.restore.Observe(took.Seconds()) }

// Proposed counts an entry that the writer made.
func (m *Metrics) Proposed(requests, bytes int) {
	m.batchRequests.Observe(float64(requests))
	m.batchBytes.Observe(float64(bytes))
}

// Committed counts an entry of the writer that was committed.
func (m *Metrics) Committed(took time.Duration) { m.commit.Observe(took.Seconds()) }

// Confirmed counts a question for a read index that was answered.
func (m *Metrics) Confirmed(reads int, took time.Duration) {
	m.readRound.Observe(took.Seconds())
	m.readRoundReads.Observe(float64(reads))
}

// LeaderChanged counts another leader.
func (m *Metrics) LeaderChanged() { m.leaderChanges.Inc() }

// WriteRefused counts a write of a user that failed.
func (m *Metrics) WriteRefused(err error) {
	code := argosyv1.CodeOf(err)
	if int(code) < 0 || int(code) >= codes {
		code = argosyv1.ErrorCode_ERROR_CODE_UNSPECIFIED
	}
	m.refused[code].Inc()
}

// WatchBegan counts a watch; the function it returns counts its end.
func (m *Metrics) WatchBegan() (ended func(err error)) {
	m.watches.Inc()
	return func(err error) {
		m.watches.Dec()
		if argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_SLOW_CONSUMER {
			m.watchesCutOff.Inc()
		}
	}
}

// method is what is counted of the calls of one method. Errors are looked up
// when they happen: most never do.
type method struct {
	name string
	time prometheus.Observer // nil for streams
	done prometheus.Counter
}

// Answered counts a call. Streams take as long as their caller likes: only
// their ends are counted, not their times.
func (m *Metrics) Answered(fullMethod string, took time.Duration, stream bool, err error) {
	counted := m.method(fullMethod, stream)
	if err == nil {
		counted.done.Inc()
	} else {
		m.requests.WithLabelValues(counted.name, codeText(argosyv1.CodeOf(err))).Inc()
	}
	if counted.time != nil {
		counted.time.Observe(took.Seconds())
	}
}

// method returns what is counted of a method. There are only those that the
// server knows: an unknown one is answered by gRPC itself.
func (m *Metrics) method(fullMethod string, stream bool) *method {
	if known, ok := m.methods.Load(fullMethod); ok {
		return known.(*method)
	}
	name := strings.TrimPrefix(fullMethod, "/")
	made := &method{name: name, done: m.requests.WithLabelValues(name, "ok")}
	if !stream {
		made.time = m.requestTime.WithLabelValues(name)
	}
	known, _ := m.methods.LoadOrStore(fullMethod, made)
	return known.(*method)
}

// codeText is an error code as a label. What has no code of ours was answered
// by gRPC, or the caller has gone.
func codeText(code argosyv1.ErrorCode) string {
	if code <= argosyv1.ErrorCode_ERROR_CODE_UNSPECIFIED || int(code) >= codes {
		return "other"
	}
	return strings.ToLower(strings.TrimPrefix(code.String(), "ERROR_CODE_"))
}
