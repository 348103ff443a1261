package audit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// firstRetry is the pause after a beacon that could not be proposed. Each one
// after it is twice as long, up to the interval of beacons.
const firstRetry = 100 * time.Millisecond

// Lead proposes beacons while this server leads. propose puts one into the log,
// and does nothing while the cluster has servers that do not know beacons, or
// leadership is being given away.
func (a *Auditor) Lead(ctx context.Context, propose func(ctx context.Context) error) error {
	machine := a.deps.Machine
	retry := firstRetry
	for {
		// Counted from the last beacon, whoever proposed it: a cluster that does
		// nothing gets none.
		last := uint64(0)
		if beacon, ok := machine.LastBeacon(); ok {
			last = beacon.Entry
		}
		if err := a.due(ctx, last); err != nil {
			return err
		}
		if machine.Applied() == last {
			continue
		}
		if err := propose(ctx); err != nil && ctx.Err() == nil {
			// The writer has ended or is full: there is time.
			a.log.Debug("beacon was not proposed", "err", err)
		}
		if beacon, ok := machine.LastBeacon(); !ok || beacon.Entry == last {
			if err := rest(ctx, min(retry, a.cfg.Interval)); err != nil {
				return err
			}
			retry = min(2*retry, a.cfg.Interval)
			continue
		}
		retry = firstRetry
	}
}

// due waits until it is time for a beacon.
func (a *Auditor) due(ctx context.Context, last uint64) error {
	waiting, cancel := context.WithTimeout(ctx, a.cfg.Interval)
	defer cancel()
	err := a.deps.Machine.WaitApplied(waiting, last+a.cfg.Entries)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("wait for the next beacon: %w", err)
	}
	return nil
}

func rest(ctx context.Context, pause time.Duration) error {
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rehash hashes the whole state now and then, and reads the log: most of it is
// asked for by nobody until another server needs it, or a recovery.
func (a *Auditor) rehash(ctx context.Context) error {
	for {
		if err := rest(ctx, a.cfg.Rehash); err != nil {
			return err
		}
		pause := func() error { return rest(ctx, a.cfg.Rest) }
		if err := a.deps.Machine.View().Verify(pause); err != nil {
			return err
		}
		if a.deps.Reread == nil {
			continue
		}
		if err := a.deps.Reread(pause); err != nil {
			return err
		}
	}
}
