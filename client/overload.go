package client

import (
	"context"
	"math/rand/v2"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// heed waits for as long as a server has asked for, because it is overloaded, and
// up to half as long again, so that those who were sent away together do not come
// back together. To ask another server at once would be no help: behind all of
// them is the same leader. It returns false when the time is over before that,
// without waiting for it.
func heed(ctx context.Context, err error) bool {
	e, ok := argosyv1.AsError(err)
	if !ok || e.Detail.GetRetryAfterMs() == 0 {
		return true
	}
	wait := time.Duration(min(e.Detail.GetRetryAfterMs(), uint64(time.Hour/time.Millisecond))) * time.Millisecond
	wait += rand.N(wait/2 + 1)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
