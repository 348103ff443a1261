// Package agent is the agent of one node: it keeps a session to whoever leads
// the cluster, makes what runs equal to what that leader assigns, and tells
// what became of it.
//
// Its invariant: workloads depend on nothing of the agent. It may be killed and
// started again, lose its session or never find one; what runs goes on running,
// and is found again by name.
package agent

import "errors"

var (
	// ErrConfig is returned when a configuration cannot work.
	ErrConfig = errors.New("invalid configuration")
	// ErrInUse is returned when another process uses the data directory.
	ErrInUse = errors.New("data directory in use")
	// ErrOtherAgent is returned when the data directory is that of an agent of
	// another name.
	ErrOtherAgent = errors.New("data directory of another agent")
)
