package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// catchLimit is for how long a loss of power waits for a write to strike in; a time
// of the cluster, and less than that after which a disk counts as stalled.
const catchLimit = 200 * time.Millisecond

func powerOff(_ context.Context, w *world, r *replica, _ plan.Step, random *rand.Rand) (*effect, error) {
	return w.cutPower([]*replica{r}, random)
}

func powerOffAll(_ context.Context, w *world, _ plan.Step, random *rand.Rand) (*effect, error) {
	return w.cutPower(w.servers, random)
}

// cutPower takes servers their power: in the middle of a write where there is one
// soon, at any moment otherwise.
func (w *world) cutPower(rs []*replica, random *rand.Rand) (*effect, error) {
	traps := map[*replica]*trap{}
	catch := random.IntN(4) > 0
	left := ""
	e, err := w.takeDown(rs, "", func(r *replica) error {
		if catch {
			w.catch(rs, traps)
			catch = false
		}
		if err := r.kill(true); err != nil {
			return err
		}
		what, err := r.lose(random, traps[r])
		if what != "" {
			left += r.name + ": " + what + "; "
		}
		return err
	})
	if err == nil {
		e.detail = left
	}
	return e, err
}

// catch waits until each of the servers is in the middle of a write, but not for
// long.
func (w *world) catch(rs []*replica, traps map[*replica]*trap) {
	for _, r := range rs {
		traps[r] = r.disk.arm()
	}
	limit := time.NewTimer(w.pace(catchLimit))
	defer limit.Stop()
	for _, r := range rs {
		select {
		case <-traps[r].sprung:
		case <-limit.C:
			limit.Reset(0)
		}
	}
	for _, r := range rs {
		r.disk.armed()
	}
}

// lose takes from the directory of a server that has lost its power what had not
// been flushed, and says what.
func (r *replica) lose(random *rand.Rand, t *trap) (string, error) {
	raft := filepath.Join(r.dir, "raft")
	if err := tearTemporary(random, raft); err != nil {
		return "", err
	}
	if t == nil {
		return "", nil
	}
	select {
	case <-t.sprung:
	default:
		return "", nil
	}
	if t.err != nil {
		return "", fmt.Errorf("lose what %s had not flushed: %w", r.name, t.err)
	}
	left, what := torn(random, t.before, t.after)
	return what, left.write(raft)
}

// tearTemporary cuts what was being received, and had not been flushed, anywhere.
func tearTemporary(random *rand.Rand, raft string) error {
	names, err := filepath.Glob(filepath.Join(raft, storage.SnapshotsDir, "*.tmp", "*"))
	errs := []error{err}
	for _, name := range names {
		info, err := os.Stat(name)
		if err == nil && info.Mode().IsRegular() {
			err = os.Truncate(name, random.Int64N(info.Size()+1))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
