// Package observed holds what agents report: the states of instances and the
// status of the agents themselves. It lives in memory only and never goes to
// disk or into Raft's log: a cluster at rest writes nothing.
//
// The invariant it protects: every replica shows the observed state that the
// leader has, at some position, and exactly one party writes it. On the leader
// that is the holder of the Lead of the current term; on a follower it is the
// Copy that is filled from the leader's mirror stream. Taking either one
// fences the one before, so that a session of a leader that was deposed can
// write nothing, however late it wakes up.
//
// # Positions
//
// Each change has a Position: the term of the leader that took it in and its
// number. Positions of one leader are ordered, and a follower that has reached
// a position has seen everything up to it. A reader on a follower waits for
// the position that the leader named (WaitPosition) and is then not behind it.
//
// # What is shown
//
// The states that are kept are those that users see. An agent that counts as
// lost has all its states replaced by AgentDisconnected; the facts of the last
// real state (exit code, restarts, start) stay in them. What it was sent and had
// not spoken of is shown likewise. When the agent is back and reports, its word
// replaces them, and no other state is made up in between.
//
// Workloads that no agent has spoken of yet have no entry here. What users see
// of them (Pending(Initial), NotScheduled) is computed from desired state where
// it is read: see States, StatesOf, Implied and Shown.
//
// # Sharing
//
// Messages that come out of this package are shared between all readers: look,
// but do not write.
package observed
