// Package autopilot is how a cluster looks after its servers by itself: it keeps
// the leader's table of their health, gives a new server its vote once it has
// proven itself, and takes out a server that has been dead for long.
//
// The invariant it protects: no change of its own leaves fewer voters that can
// be reached than a quorum of the new configuration needs. It changes one server
// at a time, and only the configuration that it has decided on.
//
// What it decides on:
//
//   - Raft's word goes before gossip's. A server that answers Raft is not dead,
//     whatever gossip says; one that gossip still hears is not dead either.
//   - A server has its vote when it has been healthy for a while (a second by
//     default): heard, level with what the log was a moment before, without a
//     problem of its own. Also when that makes the number of voters even: a spare
//     that waits for another one would be no help when the next server dies.
//   - A dead server is removed after long (a day by default), and only while
//     enough others remain: a cluster of three never goes below three by itself.
//     To replace a machine is to join the new one first.
//   - A follower that hears the leader and takes in nothing, for no reason that it
//     knows, is starved (a defect that has been seen in Raft's library more than
//     once): leadership is handed on, which begins replication anew.
//
// The decisions are functions of a table of values, in decide.go; health.go makes
// the table, autopilot.go carries out.
package autopilot
