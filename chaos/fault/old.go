package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/damage"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/wait"
)

// putOldBack copies a server's data, lets it go on for half of the time that the
// fault is in effect, and puts the copy, or one file of it, in the place of what
// it has then.
func putOldBack(ctx context.Context, w *World, step plan.Step) (*Active, error) {
	age := damage.SomeAge(w.Rand)
	harmed := func(harm harms) harms {
		return func(names []string) Harm {
			h := harm(names)
			h.Alone = age.Silent
			return h
		}
	}
	return to(leaderOrServer, harmed(spoilt), harmed(rebuilding), func(ctx context.Context, w *World, step plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
		forget := func(context.Context) error { return os.RemoveAll(oldCopy(p)) }
		detail, err := w.putBack(ctx, p, age, step.For()/2)
		return detail, forget, err
	})(ctx, w, step)
}

// oldCopy is where the copy of a server's data is: not on its disk, which it
// could fill, but beside what its cluster has printed.
func oldCopy(p *cluster.Process) string {
	return filepath.Join(filepath.Dir(filepath.Dir(p.LogPath)), p.Name+".old")
}

func (w *World) putBack(ctx context.Context, p *cluster.Process, age damage.Age, after time.Duration) (string, error) {
	dir, old := w.Site.Data(p), oldCopy(p)
	if err := kill(p); err != nil {
		return "", err
	}
	if err := errors.Join(os.RemoveAll(old), os.CopyFS(old, os.DirFS(dir))); err != nil {
		return "", fmt.Errorf("copy data of %s: %w", p.Name, err)
	}
	if err := w.start(p); err != nil {
		return "", err
	}
	begun := time.Now()
	if err := w.Ledger.wait(ctx, w.areLevel([]*cluster.Process{p})); err != nil {
		return "", err
	}
	_ = wait.For(ctx, after)
	if err := kill(p); err != nil {
		return "", err
	}
	// What was acknowledged by this server and one other may be forgotten by this
	// one: no quorum would have it for certain. All others must have it first.
	if err := w.Ledger.wait(ctx, w.areLevel(without(w.Cluster.Servers, p))); err != nil {
		return "", err
	}
	detail := fmt.Sprintf("%s: put back %s of %v before", p.Name, age.In(dir), time.Since(begun).Round(time.Millisecond))
	return detail, errors.Join(damage.Forgive(dir), age.PutBack(dir, old), flush(dir))
}
