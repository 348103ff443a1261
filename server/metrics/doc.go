// Package metrics counts what one server does and tells it to Prometheus.
//
// The invariant it protects: to be looked at changes nothing. What happens on a
// hot path is counted by one atomic operation on a value that was looked up
// beforehand, without allocation; everything else is read from the parts when
// somebody scrapes, from memory, without asking disk or network. Everything is
// registered on an instance: two servers in one process do not meet.
//
// The names begin with argosy_server_. Times are in seconds, sizes in bytes.
//
// Of leadership and the log:
//
//	has_leader                       whether a leader is known
//	is_leader                        whether this server is it
//	serves                           whether it can answer linearizable requests now
//	term                             Raft's term
//	applied_index                    last index that is in the state
//	last_index                       last index in the log
//	voters                           servers that may vote
//	quorum                           how many of them must agree
//	leader_changes_total             how often this server saw another leader
//	leaderships_ended_total{reason}  leaderships that ended, as this server saw it
//	campaigns_total{cause}           campaigns of this server by evidence
//	last_contact_seconds             age of the last word of the leader; 0 on it
//	follower_lag_entries{peer}       what a follower lacks of the log; on the leader
//	log_store_seconds                one write to the log, with its flush
//	log_store_entries                entries in one write to the log
//	disk_stalls_total                writes that did not come back in time
//	disk_stalled                     whether such a write waits now
//	commit_seconds                   from proposing a batch of requests to its commit; on the leader
//	batch_requests                   requests in one entry of the log; on the leader
//	batch_bytes                      bytes of one entry of the log; on the leader
//	apply_seconds                    one entry in the state machine
//	snapshot_pause_seconds           for how long a snapshot held up the state machine
//	snapshot_write_seconds           writing a snapshot, beside everything else
//	snapshots_failed_total           snapshots that could not be written
//	snapshot_index                   index of the last snapshot; 0 without one
//	snapshot_age_seconds             its age; only with one
//	restore_seconds                  taking over a state from a snapshot
//
// Of the state:
//
//	workloads                        desired workloads
//	agents                           registered agents
//	agents_connected                 agents with a session
//	state_bytes                      size of the desired state
//	state_quota_bytes                how large it may become
//	state_hash                       first 48 bits of the hash at applied_index: where that is equal, this must be
//	outcomes                         remembered answers
//	outcome_bytes                    what they take
//	feature_level                    level that the cluster uses
//	beacons_total{result}            hashes compared with the leader's: "same" or "different"
//	rebuilds_total                   how often the state was rebuilt from the other servers
//
// Of requests:
//
//	requests_total{method,code}      calls that were answered, by method and error code
//	request_seconds{method}          how long calls took that answer once
//	writes_refused_total{code}       writes of users that failed, by error code
//	writer_waiting                   writes that wait for the leader's writer
//	forward_waiting                  writes of users that have no answer yet
//	reads_waiting                    linearizable reads that wait
//	read_round_seconds               one question to the leader for a read index
//	read_round_reads                 reads that shared one
//	watches                          watches that are open
//	watches_cut_off_total            watches that ended because the watcher was too slow
//	sessions                         sessions of agents; on the leader
//
// Of the machine and the rest:
//
//	disk_free_bytes                  free space for the data directory
//	disk_size_bytes                  size of its file system
//	gossip_members{role,alive}       members that gossip knows
//	backup_age_seconds               age of the last scheduled backup; only where they are made
//	backup_failed                    whether one has failed since
//	certificate_expires_seconds      until the server's certificate expires; only with TLS
//	build_info{version,go_version}   1
//
// Beside them are Go's own (go_) and the process's (process_). What Raft counts
// by itself is not here: it goes to one place for the whole process.
package metrics
