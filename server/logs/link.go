package logs

import argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"

// Agents finds the sessions of agents; package sessions has them.
type Agents interface {
	// Reach returns the session of an agent, or why there is none.
	Reach(agent string) (Link, error)
}

// Link is the session of one agent.
type Link interface {
	// Send queues a message.
	Send(*argosyv1.ServerMessage) error
	// Done is closed when the session has ended.
	Done() <-chan struct{}
	// Err returns why it ended.
	Err() error
}
