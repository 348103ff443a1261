package fault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/wait"
)

// logOfRaft stands for the store of the log, whichever it is.
const logOfRaft = "log"

// ages are what may be put back as it was. Of the first ones a server cannot
// know by itself that it has forgotten something: no quorum survives that while
// anything else is wrong. The others it notices, or they are no harm.
var ages = []struct {
	name   string
	silent bool
}{
	{".", true},
	{"raft/stable", true},
	{logOfRaft, false},
	{"raft/high-water", false},
	{"servers", false},
}

// putOldBack copies a server's data, lets it go on for half of the time that the
// fault is in effect, and puts the copy, or one file of it, in the place of what
// it has then.
func putOldBack(ctx context.Context, w *World, step plan.Step) (*Active, error) {
	age := ages[w.Rand.IntN(len(ages))]
	harmed := func(harm harms) harms {
		return func(names []string) Harm {
			h := harm(names)
			h.Alone = age.silent
			return h
		}
	}
	return to(leaderOrServer, harmed(spoilt), harmed(rebuilding), func(ctx context.Context, w *World, step plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
		forget := func(context.Context) error { return os.RemoveAll(oldCopy(p)) }
		detail, err := w.putBack(ctx, p, age.name, step.For()/2)
		return detail, forget, err
	})(ctx, w, step)
}

// oldCopy is where the copy of a server's data is: not on its disk, which it
// could fill, but beside what its cluster has printed.
func oldCopy(p *cluster.Process) string {
	return filepath.Join(filepath.Dir(filepath.Dir(p.LogPath)), p.Name+".old")
}

func (w *World) putBack(ctx context.Context, p *cluster.Process, name string, after time.Duration) (string, error) {
	dir, old := w.Site.Data(p), oldCopy(p)
	if err := kill(p); err != nil {
		return "", err
	}
	if name == logOfRaft {
		name = "raft/raft.db"
		if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
			name = "raft/wal"
		}
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
	detail := fmt.Sprintf("%s: put back %s of %v before", p.Name, name, time.Since(begun).Round(time.Millisecond))
	if err := os.RemoveAll(filepath.Join(dir, rebuildsFile)); err != nil {
		return "", err
	}
	if name == "." {
		return detail, errors.Join(empty(dir), os.CopyFS(dir, os.DirFS(old)), flush(dir))
	}
	return detail, errors.Join(replace(filepath.Join(dir, name), filepath.Join(old, name)), flush(dir))
}

// replace puts a copy of a file or directory in the place of another.
func replace(path, by string) error {
	info, err := os.Stat(by)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(path, os.DirFS(by))
	}
	content, err := os.ReadFile(by)
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}
