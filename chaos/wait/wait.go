// Package wait lets the rooms of chaos wait for a time that a context may cut
// short. The invariant it protects: nobody waits on who was told to end.
package wait

import (
	"context"
	"time"
)

// For waits for so long. The error is the cause of a context that ended first.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
