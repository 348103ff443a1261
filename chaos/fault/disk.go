package fault

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

// onDisk does something to a server's disk.
func onDisk(what string, do, undo func(*lab.Disk) error) deed {
	return func(_ context.Context, w *World, _ plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
		disk := w.Site.Disk(p)
		if disk == nil {
			return "", nil, fmt.Errorf("the disk of %s: it has none of its own", p.Name)
		}
		if err := do(disk); err != nil {
			return "", nil, err
		}
		return fmt.Sprintf("the disk of %s %s", p.Name, what), func(context.Context) error { return undo(disk) }, nil
	}
}

// slowedDown bounds the writes of a server's disk: to 200 a second, or as few as
// 10 when it is bad.
func slowedDown(ctx context.Context, w *World, step plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
	writes := 10 + int(190*(1-step.Strength))
	return onDisk(fmt.Sprintf("does %d writes a second", writes), func(d *lab.Disk) error { return d.Slow(writes) }, (*lab.Disk).Fast)(ctx, w, step, p)
}

// madeReadOnly lets nothing be written on a server's disk. It is repaired while
// nobody uses it.
func madeReadOnly(ctx context.Context, w *World, step plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
	return onDisk("is read-only", (*lab.Disk).ReadOnly, func(d *lab.Disk) error { return errors.Join(kill(p), d.Writable()) })(ctx, w, step, p)
}

// broken lets flushes or writes of a server fail, all from some time on or a few
// of them.
func broken(_ context.Context, w *World, step plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
	how := lab.Failure{Flushes: true, Error: syscall.EIO, After: w.Rand.IntN(20)}
	what := "flushes"
	if w.Rand.IntN(2) == 0 {
		how.Flushes, how.Writes, what = false, true, "writes"
	}
	if w.Rand.IntN(3) == 0 {
		how.Error = syscall.ENOSPC
	}
	if step.Strength < 0.5 {
		how.Times = 1 + w.Rand.IntN(3)
	}
	failing, err := lab.Fail(p.PID(), how)
	if err != nil {
		return "", nil, err
	}
	many := "all"
	if how.Times > 0 {
		many = fmt.Sprint(how.Times)
	}
	return fmt.Sprintf("after %d %s of each thread of %s %s fail: %v", how.After, what, p.Name, many, how.Error), func(context.Context) error {
		w.Log.Info("flushes or writes of a server do not fail any more", "server", p.Name, "failed", failing.Mend())
		return nil
	}, nil
}

// strace is what lets them fail.
func strace(*World) error {
	if _, err := exec.LookPath("strace"); err != nil {
		return fmt.Errorf("%w: %w: install strace", ErrUnavailable, err)
	}
	return nil
}

// leaderOrServer is the leader in half of all cases, any server in the others.
func leaderOrServer(ctx context.Context, w *World, step plan.Step) ([]*cluster.Process, error) {
	if w.Rand.IntN(2) == 0 {
		return theLeader(ctx, w, step)
	}
	return aServer(ctx, w, step)
}
