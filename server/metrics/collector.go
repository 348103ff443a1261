package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// State is what is read when somebody scrapes.
type State struct {
	// Server is what the server says of itself.
	Server *argosyv1.ServerStatus
	// HasLeader tells whether a leader is known; Serves whether linearizable
	// requests can be answered now.
	HasLeader, Serves bool
	// Voters and Quorum are of the cluster's configuration.
	Voters, Quorum int
	// DiskStalled tells whether a write to the log does not come back.
	DiskStalled bool
	// Campaigns are those of this server by evidence, by cause.
	Campaigns map[string]uint64
	// LeadershipsEnded are the leaderships that this server saw end, by reason.
	LeadershipsEnded map[argosyv1.LeadershipEnd]uint64
	// Lags are the entries that followers lack, by name; on the leader only.
	Lags map[string]uint64

	// Workloads and Agents are numbers of objects, Connected of agents with a
	// session.
	Workloads, Agents, Connected int
	// StateHash is the hash at Server.AppliedIndex.
	StateHash [32]byte
	// Outcomes are remembered answers, OutcomeBytes what they take.
	Outcomes, OutcomeBytes int
	// StateBytes is the size of the desired state, StateQuota how large it may
	// become.
	StateBytes, StateQuota uint64
	// FeatureLevel is the one in use.
	FeatureLevel uint32

	// WriterWaiting, ForwardWaiting and ReadsWaiting are depths of queues.
	WriterWaiting, ForwardWaiting, ReadsWaiting int
	// Sessions are those of agents with this server.
	Sessions int
	// MembersAlive and MembersDead are what gossip knows, by role.
	MembersAlive, MembersDead map[string]int
	// CertificateExpires is when the server's certificate does; zero without one.
	CertificateExpires time.Time

	// Rebuilds is how often the state was rebuilt from the others.
	Rebuilds uint64
	// BeaconsSame and BeaconsDifferent are beacons whose hash was, or was not,
	// that of this server's state.
	BeaconsSame, BeaconsDifferent uint64
	// Backups are those that this server makes by itself; nil when it makes none.
	Backups *Backups
}

// Backups are scheduled backups.
type Backups struct {
	// Last is when the last one was made; zero when none was.
	Last time.Time
	// Failed tells whether one has failed since.
	Failed bool
}

// collector reads the state when it is asked.
type collector struct {
	state func() State
	descs map[string]*prometheus.Desc
}

func newCollector(state func() State) *collector {
	c := &collector{state: state, descs: map[string]*prometheus.Desc{}}
	for _, d := range []struct{ name, help, label string }{
		{"has_leader", "Whether a leader is known.", ""},
		{"is_leader", "Whether this server leads.", ""},
		{"serves", "Whether linearizable requests can be answered now.", ""},
		{"term", "Term of Raft.", ""},
		{"applied_index", "Last index that was applied to the state.", ""},
		{"last_index", "Last index in the log.", ""},
		{"voters", "Servers that may vote.", ""},
		{"quorum", "How many voters must agree.", ""},
		{"last_contact_seconds", "Age of the last word of the leader; 0 on the leader.", ""},
		{"follower_lag_entries", "Entries of the log that a follower lacks, on the leader.", "peer"},
		{"leaderships_ended_total", "Leaderships that ended, as this server saw it.", "reason"},
		{"campaigns_total", "Campaigns of this server by evidence.", "cause"},
		{"disk_stalled", "Whether a write to the log does not come back.", ""},
		{"snapshot_index", "Index of the last snapshot.", ""},
		{"snapshot_age_seconds", "Age of the last snapshot.", ""},
		{"workloads", "Number of desired workloads.", ""},
		{"agents", "Number of registered agents.", ""},
		{"agents_connected", "Number of agents with a session.", ""},
		{"state_bytes", "Size of the desired state.", ""},
		{"state_quota_bytes", "How large the desired state may become.", ""},
		{"state_hash", "First 48 bits of the hash of the state at applied_index.", ""},
		{"outcomes", "Remembered answers.", ""},
		{"outcome_bytes", "Size of the remembered answers.", ""},
		{"feature_level", "Feature level that the cluster uses.", ""},
		{"writer_waiting", "Writes that wait for the leader's writer.", ""},
		{"forward_waiting", "Writes of users that wait for an answer.", ""},
		{"reads_waiting", "Linearizable reads that wait.", ""},
		{"sessions", "Sessions of agents with this server.", ""},
		{"disk_free_bytes", "Free space for the data directory.", ""},
		{"disk_size_bytes", "Size of the file system of the data directory.", ""},
		{"rebuilds_total", "How often the state was rebuilt from the other servers.", ""},
		{"beacons_total", "Hashes compared with the leader's.", "result"},
		{"backup_age_seconds", "Age of the last scheduled backup.", ""},
		{"backup_failed", "Whether a scheduled backup failed since the last that was made.", ""},
		{"certificate_expires_seconds", "Time until the server's certificate expires.", ""},
	} {
		c.descs[d.name] = describe(d.name, d.help, d.label)
	}
	c.descs["gossip_members"] = describe("gossip_members", "Members that gossip knows.", "role", "alive")
	return c
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	if len(labels) > 0 && labels[0] == "" {
		labels = nil
	}
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

// Describe tells nothing beforehand: some numbers are there only now and then.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

func (c *collector) Collect(to chan<- prometheus.Metric) {
	now := c.state()
	gauge := func(name string, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(c.descs[name], prometheus.GaugeValue, value, labels...)
	}
	counter := func(name string, value uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(c.descs[name], prometheus.CounterValue, float64(value), labels...)
	}
	server := now.Server
	gauge("has_leader", number(now.HasLeader))
	gauge("is_leader", number(server.GetRole() == argosyv1.ServerRole_SERVER_ROLE_LEADER))
	gauge("serves", number(now.Serves))
	gauge("term", float64(server.GetTerm()))
	gauge("applied_index", float64(server.GetAppliedIndex()))
	gauge("last_index", float64(server.GetLastIndex()))
	gauge("voters", float64(now.Voters))
	gauge("quorum", float64(now.Quorum))
	gauge("last_contact_seconds", float64(server.GetLastContactMs())/1000)
	for peer, lag := range now.Lags {
		gauge("follower_lag_entries", float64(lag), peer)
	}
	for end, n := range now.LeadershipsEnded {
		counter("leaderships_ended_total", n, strings.ToLower(strings.TrimPrefix(end.String(), "LEADERSHIP_END_")))
	}
	for cause, n := range now.Campaigns {
		counter("campaigns_total", n, cause)
	}
	counter("rebuilds_total", now.Rebuilds)
	counter("beacons_total", now.BeaconsSame, "same")
	counter("beacons_total", now.BeaconsDifferent, "different")
	if b := now.Backups; b != nil {
		gauge("backup_failed", number(b.Failed))
		if !b.Last.IsZero() {
			gauge("backup_age_seconds", max(time.Since(b.Last), 0).Seconds())
		}
	}
	gauge("disk_stalled", number(now.DiskStalled))
	gauge("snapshot_index", float64(server.GetSnapshotIndex()))
	if taken := server.GetSnapshotUnixNanos(); taken > 0 {
		gauge("snapshot_age_seconds", max(time.Since(time.Unix(0, taken)), 0).Seconds())
	}
	gauge("workloads", float64(now.Workloads))
	gauge("agents", float64(now.Agents))
	gauge("agents_connected", float64(now.Connected))
	gauge("state_bytes", float64(now.StateBytes))
	gauge("state_quota_bytes", float64(now.StateQuota))
	gauge("state_hash", hashNumber(now.StateHash))
	gauge("outcomes", float64(now.Outcomes))
	gauge("outcome_bytes", float64(now.OutcomeBytes))
	gauge("feature_level", float64(now.FeatureLevel))
	gauge("writer_waiting", float64(now.WriterWaiting))
	gauge("forward_waiting", float64(now.ForwardWaiting))
	gauge("reads_waiting", float64(now.ReadsWaiting))
	gauge("sessions", float64(now.Sessions))
	if server.GetDiskSizeBytes() > 0 {
		gauge("disk_free_bytes", float64(server.GetDiskFreeBytes()))
		gauge("disk_size_bytes", float64(server.GetDiskSizeBytes()))
	}
	for role, n := range now.MembersAlive {
		gauge("gossip_members", float64(n), role, "true")
	}
	for role, n := range now.MembersDead {
		gauge("gossip_members", float64(n), role, "false")
	}
	if !now.CertificateExpires.IsZero() {
		gauge("certificate_expires_seconds", time.Until(now.CertificateExpires).Seconds())
	}
}

// hashNumber is as much of a hash as a float64 holds exactly.
func hashNumber(hash [32]byte) float64 {
	var n uint64
	for _, b := range hash[:6] {
		n = n<<8 | uint64(b)
	}
	return float64(n)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
