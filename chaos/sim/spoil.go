package sim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"

	"github.com/argosy-cluster/argosy/chaos/damage"
	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/wait"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const (
	// returnLimit is how long a server whose data was spoiled may take to be as good
	// as the others again, times without a quorum not counted; times of the cluster.
	returnLimit = 5 * time.Minute
	// oldLimit is how long is waited for the others to have all that a server has
	// which shall forget some of it.
	oldLimit = 10 * time.Second
	// unfound is for how long a server may have damaged data without knowing it.
	unfound = 20 * time.Second
	// returnLook is how often it is looked whether it is.
	returnLook = time.Second
)

// spoil does something to the data directory of a server that does not run.
type spoil func(ctx context.Context, w *world, r *replica, step plan.Step, random *rand.Rand) (detail string, err error)

// spoiling kills a server, spoils its data, lets it find out by itself, and counts
// it as spoiled until it is level with the others.
func spoiling(do spoil) serverStrike {
	return func(ctx context.Context, w *world, r *replica, step plan.Step, random *rand.Rand) (*effect, error) {
		return w.spoil(ctx, r, step, false, func() (string, error) {
			if err := r.kill(false); err != nil {
				return "", err
			}
			if err := damage.Forgive(r.dir); err != nil {
				return "", err
			}
			return do(ctx, w, r, step, random)
		})
	}
}

// spoil takes what it costs the quorum that a server's data is spoiled, until it is
// level again.
func (w *world) spoil(ctx context.Context, r *replica, step plan.Step, alone bool, do func() (string, error)) (*effect, error) {
	names := []string{r.name}
	begun, losses, whole := w.clock(), w.ledger.Losses(), w.ledger.Quorum()
	hold, err := w.ledger.Take(fault.Harm{Down: names, Spoiled: names, Busy: names, Alone: alone})
	if err != nil {
		return nil, err
	}
	r.returning.Store(true)
	id, err := damage.ServerID(r.dir)
	if err != nil {
		r.returning.Store(false)
		hold.Release()
		return nil, err
	}
	damaged := false
	heal := func() {
		r.start()
		w.returns.Go(func() {
			err := w.until(context.WithoutCancel(ctx), []*replica{r}, returnLimit)
			r.returning.Store(false)
			if err == nil && damaged {
				err = w.unnoticed(context.WithoutCancel(ctx), hold, r, step, id)
			}
			hold.Release()
			w.fail(err)
		})
	}
	detail, err := do()
	damaged = err == nil && damages(step.Fault)
	if err != nil {
		if r.life.Load() == nil {
			heal()
		} else {
			r.returning.Store(false)
			w.comeBack(hold, r)
		}
		w.gaveUp(r, step, begun, whole && w.ledger.Quorum() && w.ledger.Losses() == losses, err)
		return nil, err
	}
	return &effect{targets: names, detail: detail, heal: func(context.Context) error { heal(); return nil }}, nil
}

// gaveUp records what became of a server whose data was to be spoiled, and was not: it
// was killed, and runs again.
func (w *world) gaveUp(r *replica, step plan.Step, begun history.Micros, quorum bool, why error) {
	kind, _ := fault.Of(step.Fault)
	now := w.clock()
	w.record.Fault(history.Fault{
		Step: step.N, Kind: string(plan.KillServer), Targets: []string{r.name}, Changes: kind.Changes, Begun: begun, Struck: begun, Healing: now, Healed: now,
		Quorum: quorum, Detail: fmt.Sprintf("%s was given up: %v", step.Fault, why),
	})
}

// damages tells whether a fault damages what a server may not look at for long: all
// others are found at once or are no harm.
func damages(kind plan.Kind) bool { return kind == plan.FlipBits || kind == plan.CutFile }

// unnoticed gives a server that has not found yet what is wrong with its data some
// time to do so, and then has it begin anew, as its operator would. It counts as
// doubtful until it has begun anew and is level: it may find out at any time, and
// is of no use to anybody then.
func (w *world) unnoticed(ctx context.Context, hold *fault.Hold, r *replica, step plan.Step, id string) error {
	names := []string{r.name}
	hold.Become(fault.Harm{Doubtful: names})
	for left := w.pace(unfound); ; left -= returnLook {
		now, err := damage.ServerID(r.dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			// Another fault has just killed it: its directory is being moved.
		case err != nil:
			return err
		case now != id:
			return w.until(ctx, []*replica{r}, returnLimit)
		}
		if left <= 0 && hold.Grow(fault.Harm{Down: names, Spoiled: names, Busy: names}) == nil {
			return w.renew(ctx, r, step)
		}
		if err := wait.For(ctx, returnLook); err != nil {
			return err
		}
	}
}

// renew has a server begin anew, as its operator does who knows that its data is
// damaged, and waits until it is level with the others.
func (w *world) renew(ctx context.Context, r *replica, step plan.Step) error {
	kind, _ := fault.Of(plan.WipeServer)
	f := history.Fault{
		Step: step.N, Kind: string(kind.Kind), Targets: []string{r.name}, Changes: kind.Changes, Begun: w.clock(), Struck: w.clock(),
		Detail: "had not found at once what was wrong with its data; its operator has it begin anew",
	}
	r.returning.Store(true)
	defer r.returning.Store(false)
	err := errors.Join(r.kill(false), damage.Forgive(r.dir), damage.Forget(r.dir))
	if err == nil {
		r.start()
		err = w.until(ctx, []*replica{r}, returnLimit)
	}
	f.Healing = w.clock()
	f.Healed = f.Healing
	if err != nil {
		f.Error = err.Error()
	}
	w.record.Fault(f)
	return err
}

// until waits until servers are level with the others, for no longer than a limit
// in which faults leave a quorum.
func (w *world) until(ctx context.Context, servers []*replica, limit time.Duration) error {
	cl, err := w.connect()
	if err != nil {
		return err
	}
	defer cl.Close()
	mark := uint64(0)
	for left := w.pace(limit); ; {
		last := w.behind(ctx, cl, servers, &mark)
		if last == nil {
			return nil
		}
		if err := wait.For(ctx, returnLook); err != nil {
			return err
		}
		if w.ledger.Due() {
			left -= returnLook
		}
		if left <= 0 {
			return fmt.Errorf("wait for what was spoiled to be as good as the others: %w: not within %v: %w", fault.ErrStuck, w.pace(limit), last)
		}
	}
}

// behind tells who of some servers is not level by what the leader says.
func (w *world) behind(ctx context.Context, cl *client.Client, servers []*replica, mark *uint64) error {
	leader := w.leader()
	if leader == nil {
		return errors.New("nobody leads")
	}
	asking, cancel := context.WithTimeout(ctx, w.pace(time.Second))
	defer cancel()
	status, err := cl.StatusOf(asking, leader.endpoint())
	if err != nil {
		return err
	}
	if *mark == 0 {
		*mark = status.GetHeader().GetRevision()
	}
	all := []*argosyv1.StatusResponse{status}
	for _, r := range w.without(leader) {
		asking, cancel := context.WithTimeout(ctx, w.pace(time.Second))
		if one, err := cl.StatusOf(asking, r.endpoint()); err == nil {
			all = append(all, one)
		}
		cancel()
	}
	for _, r := range servers {
		if err := fault.Level(status, all, r.name, *mark); err != nil {
			return err
		}
	}
	return nil
}

func flipBits(_ context.Context, _ *world, r *replica, step plan.Step, random *rand.Rand) (string, error) {
	return damaged(damage.FlipBits(random, r.dir, step.Strength))
}

func cutFile(_ context.Context, _ *world, r *replica, step plan.Step, random *rand.Rand) (string, error) {
	return damaged(damage.CutFile(random, r.dir, step.Strength))
}

func damaged(detail string, err error) (string, error) {
	if errors.Is(err, damage.ErrNothing) {
		err = fmt.Errorf("%w: %w", fault.ErrNoTarget, err)
	}
	return detail, err
}

// wipe removes what a server has: all of it, after an operator has removed the
// server from the cluster; or Raft's data alone, which it has to find out by
// itself.
func wipe(ctx context.Context, w *world, r *replica, _ plan.Step, random *rand.Rand) (string, error) {
	if random.IntN(2) == 0 {
		return "removed Raft's data", damage.Forget(r.dir)
	}
	old, err := damage.ServerID(r.dir)
	if err != nil {
		return "", err
	}
	cl, err := w.connect()
	if err != nil {
		return "", err
	}
	defer cl.Close()
	removing, cancel := context.WithTimeout(ctx, w.pace(10*time.Second))
	defer cancel()
	_, err = cl.RemoveServer(removing, &argosyv1.RemoveServerRequest{Server: old})
	if err != nil && argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
		return fmt.Sprintf("removed Raft's data (the server could not be removed from the cluster: %v)", err), damage.Forget(r.dir)
	}
	return "removed server " + old + " from the cluster, and all its data", damage.Empty(r.dir)
}

// putOldBack copies a server's data, lets it go on for half of the time that the
// fault is in effect, and puts the copy, or one file of it, in the place of what it
// has then.
func putOldBack(ctx context.Context, w *world, r *replica, step plan.Step, random *rand.Rand) (*effect, error) {
	age := damage.SomeAge(random)
	return w.spoil(ctx, r, step, age.Silent, func() (string, error) {
		if err := r.kill(false); err != nil {
			return "", err
		}
		old := r.dir + "-old"
		defer func() { w.fail(os.RemoveAll(old)) }()
		if err := os.CopyFS(old, os.DirFS(r.dir)); err != nil {
			return "", fmt.Errorf("copy data of %s: %w", r.name, err)
		}
		r.start()
		begun := time.Now()
		if err := w.until(ctx, []*replica{r}, oldLimit); err != nil {
			return "", fmt.Errorf("%w: %w", fault.ErrNoTarget, err)
		}
		_ = wait.For(ctx, step.For()/2)
		if err := r.kill(false); err != nil {
			return "", err
		}
		// What was acknowledged by this server and one other may be forgotten by this
		// one: no quorum would have it for certain. All others must have it first.
		if err := w.until(ctx, w.without(r), oldLimit); err != nil {
			return "", fmt.Errorf("%w: %w", fault.ErrNoTarget, err)
		}
		detail := fmt.Sprintf("put back %s of %v before", age.In(r.dir), time.Since(begun).Round(time.Millisecond))
		return detail, errors.Join(damage.Forgive(r.dir), age.PutBack(r.dir, old))
	})
}

func (w *world) without(r *replica) []*replica {
	var others []*replica
	for _, other := range w.servers {
		if other != r {
			others = append(others, other)
		}
	}
	return others
}
