package consensus

import "context"

// Halt is Shutdown without handing over: to the other servers it looks as if
// the process had died. Tests use it, and a server that must not wait.
func (n *Node) Halt(ctx context.Context) error {
	n.stopOnce.Do(func() { n.stopErr = n.stop(ctx, false) })
	return n.stopErr
}
