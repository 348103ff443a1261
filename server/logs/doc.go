// Package logs relays what workloads print from the agents that run them to the
// users that ask. It runs on the leader, which has the agents' sessions.
//
// The invariants it protects: each instance that a user asked for ends with
// exactly one end line, the last of its lines, whatever happened to the agent;
// and nothing is buffered beyond one batch of lines for each instance. A user
// who reads slowly slows down the agent, by gRPC's flow control, and nobody
// else.
//
// For each instance the leader sends StartLogs over the agent's session, with
// an id that cannot be guessed; the agent opens a PushLogs stream with that id
// and pushes lines; when the user goes away the leader sends StopLogs.
package logs
