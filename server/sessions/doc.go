// Package sessions is the leader's side of the agents: it takes their sessions,
// tells each what to run, takes in what they report, and notices when one is
// lost.
//
// The invariants it protects:
//
//   - A reconnect is a no-op. An agent that comes back, to this leader or the
//     next, and holds what it should hold is told that it is current; nothing is
//     written to Raft and no state changes.
//   - An agent is never told to stop something because the leader does not know
//     better. What an agent is told in full comes from desired state, which a
//     leader has whole before it takes sessions; memory that may be missing
//     (observed state, what was sent) can only hold back new instances, never
//     take away one that an agent already has.
//   - A workload that moves starts on its new agent only after the old agent has
//     reported its instance removed, or cannot have one. See handoff.go.
//   - One name, one process. A second process that uses an agent's name is
//     refused while the first may still be alive.
//   - Whatever a session writes is fenced: by term against a leader that was
//     deposed, by seat against a session that was replaced.
//
// # Parts
//
// A Service lives as long as the server and answers the Session call; while
// this server does not lead it says who does. For each leadership there is one
// manager, dropped when it ends. It has a roster, which knows who holds which
// name and whose time is up, and an assigner, which follows desired state with
// one goroutine and puts what changed into the queues of the sessions it
// concerns. A session has a bounded queue and a goroutine that empties it; an
// agent that does not take its messages delays nobody and is cut off when the
// queue is full.
package sessions
