package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/wait"
)

// effect is a fault in effect.
type effect struct {
	targets []string
	detail  string
	// heal undoes it; it may be nil.
	heal func(ctx context.Context) error
}

// strike does a fault. What it takes of the quorum it takes from the ledger first;
// the ledger gets it back when it is healed.
type strike func(ctx context.Context, w *world, step plan.Step, random *rand.Rand) (*effect, error)

// strikes are the faults that a simulation can do.
var strikes = map[plan.Kind]strike{
	plan.KillLeader:     onLeader(down),
	plan.KillServer:     onServer(down),
	plan.KillTwice:      killTwice,
	plan.KillAll:        downAll,
	plan.PowerLeader:    onLeader(powerOff),
	plan.PowerServer:    onServer(powerOff),
	plan.PowerAll:       powerOffAll,
	plan.StopLeader:     onLeader(stopServer),
	plan.TransferLeader: onLeader(transfer),
	plan.RollServers:    roll,
	plan.UpgradeServers: upgrade,
	plan.CutLeader:      onLeader(cutOff),
	plan.CutIn:          onServer(cutIn),
	plan.CutOut:         onServer(cutOut),
	plan.CutPair:        cutPair,
	plan.Halves:         halves,
	plan.Bridge:         bridge,
	plan.Ring:           ring,
	plan.Isolate:        isolate,
	plan.Swizzle:        swizzle,
	plan.Flap:           onServer(flap),
	plan.ResetAll:       resetAll,
	plan.SlowNetwork:    slowNetwork,
	plan.BlackHole:      onServer(blackHole),
	plan.StallDisk:      onServer(stallDisk),
	plan.SlowDisk:       onServer(slowDisk),
	plan.BreakDisk:      onServer(breakDisk),
	plan.FlipBits:       onServer(spoiling(flipBits)),
	plan.CutFile:        onServer(spoiling(cutFile)),
	plan.OldFile:        onServer(putOldBack),
	plan.WipeServer:     onServer(spoiling(wipe)),
	plan.KillAgent:      onAgent(downAgent(false)),
	plan.PowerAgent:     onAgent(downAgent(true)),
	plan.CutAgent:       onAgent(cutAgent),
	plan.KillWorkload:   onAgent(killWorkload),
}

// Kinds are the faults that a simulation can do.
func Kinds() []plan.Kind {
	var kinds []plan.Kind
	for _, kind := range plan.Kinds() {
		if _, ok := strikes[kind]; ok {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

type serverStrike func(ctx context.Context, w *world, r *replica, step plan.Step, random *rand.Rand) (*effect, error)

func onLeader(do serverStrike) strike {
	return func(ctx context.Context, w *world, step plan.Step, random *rand.Rand) (*effect, error) {
		r := w.leader()
		if r == nil {
			return nil, fmt.Errorf("%w: nobody leads", fault.ErrNoTarget)
		}
		return do(ctx, w, r, step, random)
	}
}

func onServer(do serverStrike) strike {
	return func(ctx context.Context, w *world, step plan.Step, random *rand.Rand) (*effect, error) {
		return do(ctx, w, w.servers[step.Choice%uint64(len(w.servers))], step, random)
	}
}

func onAgent(do func(w *world, n *node, step plan.Step) (*effect, error)) strike {
	return func(_ context.Context, w *world, step plan.Step, _ *rand.Rand) (*effect, error) {
		if len(w.agents) == 0 {
			return nil, fmt.Errorf("%w: there is no agent", fault.ErrNoTarget)
		}
		return do(w, w.agents[step.Choice%uint64(len(w.agents))], step)
	}
}

// take takes harm and gives it back when the effect is healed; of servers that
// were down when they are level with the others again.
func (w *world) take(harm fault.Harm, do func() (*effect, error), down ...*replica) (*effect, error) {
	hold, err := w.ledger.Take(harm)
	if err != nil {
		return nil, err
	}
	e, err := do()
	if err != nil {
		hold.Release()
		return nil, err
	}
	heal := e.heal
	e.heal = func(ctx context.Context) error {
		if heal != nil {
			if err := heal(ctx); err != nil {
				hold.Release()
				return err
			}
		}
		w.comeBack(hold, down...)
		return nil
	}
	return e, nil
}

// comeBack lets servers that were started again count as doubtful until they are
// level with the others. One that never is does not count for ever, and the
// simulation says so.
func (w *world) comeBack(hold *fault.Hold, servers ...*replica) {
	if len(servers) == 0 {
		hold.Release()
		return
	}
	var names []string
	for _, r := range servers {
		names = append(names, r.name)
	}
	hold.Become(fault.Harm{Doubtful: names})
	w.await(hold.Release, servers...)
}

// await waits in the background until servers are level with the others, and calls
// then in any case.
func (w *world) await(then func(), servers ...*replica) {
	w.comings.Go(func() {
		defer then()
		if err := w.until(w.open, servers, w.patience); w.open.Err() == nil {
			w.fail(err)
		}
	})
}

// takeDown lets servers be down.
func (w *world) takeDown(rs []*replica, detail string, end func(*replica) error) (*effect, error) {
	harm := fault.Harm{}
	for _, r := range rs {
		harm.Down = append(harm.Down, r.name)
	}
	return w.take(harm, func() (*effect, error) {
		for _, r := range rs {
			if err := end(r); err != nil {
				return nil, err
			}
		}
		return &effect{targets: harm.Down, detail: detail, heal: func(context.Context) error {
			for _, r := range rs {
				r.start()
			}
			return nil
		}}, nil
	}, rs...)
}

func down(_ context.Context, w *world, r *replica, _ plan.Step, _ *rand.Rand) (*effect, error) {
	return w.takeDown([]*replica{r}, "", func(r *replica) error { return r.kill(false) })
}

func downAll(_ context.Context, w *world, _ plan.Step, _ *rand.Rand) (*effect, error) {
	return w.takeDown(w.servers, "", func(r *replica) error { return r.kill(false) })
}

// killTwice kills a server, and another one a moment after the first is back.
func killTwice(ctx context.Context, w *world, step plan.Step, random *rand.Rand) (*effect, error) {
	first := w.servers[step.Choice%uint64(len(w.servers))]
	second := w.servers[(step.Choice+1)%uint64(len(w.servers))]
	e, err := down(ctx, w, first, step, random)
	if err != nil {
		return nil, err
	}
	_ = wait.For(ctx, step.For()/2)
	if err := e.heal(ctx); err != nil {
		return nil, err
	}
	next, err := down(ctx, w, second, step, random)
	if err != nil {
		// Another fault has it: then it was one only.
		return &effect{targets: e.targets, detail: "once: " + err.Error()}, nil
	}
	next.targets = append(e.targets, next.targets...)
	return next, nil
}

func stopServer(_ context.Context, w *world, r *replica, _ plan.Step, _ *rand.Rand) (*effect, error) {
	return w.takeDown([]*replica{r}, "", (*replica).halt)
}

func roll(ctx context.Context, w *world, step plan.Step, random *rand.Rand) (*effect, error) {
	var targets []string
	for i := range w.servers {
		r := w.servers[(int(step.Choice)+i)%len(w.servers)]
		e, err := stopServer(ctx, w, r, step, random)
		if err != nil {
			if errors.Is(err, fault.ErrBudget) {
				continue
			}
			return nil, err
		}
		targets = append(targets, r.name)
		_ = wait.For(ctx, step.For())
		if err := e.heal(ctx); err != nil {
			return nil, err
		}
		_ = wait.For(ctx, w.pace(500*time.Millisecond))
	}
	return &effect{targets: targets}, nil
}

func transfer(ctx context.Context, w *world, r *replica, _ plan.Step, _ *rand.Rand) (*effect, error) {
	cl, err := w.connect()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, w.pace(3*time.Second))
	defer cancel()
	_, err = cl.TransferLeadership(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", fault.ErrNoTarget, err)
	}
	return &effect{targets: []string{r.name}}, nil
}

// pace stretches a time as the cluster's are.
func (w *world) pace(d time.Duration) time.Duration {
	return time.Duration(float64(d) * w.plan.Settings.TimingMultiplier)
}

// side is a set of hosts.
type side []netip.Addr

// others are all hosts but some.
func (w *world) others(but ...netip.Addr) side {
	var all side
	for _, r := range w.servers {
		all = append(all, r.addr)
	}
	for _, n := range w.agents {
		all = append(all, n.addr)
	}
	all = append(all, clientAddr)
	return slices.DeleteFunc(all, func(a netip.Addr) bool { return slices.Contains(but, a) })
}

func (w *world) serverAt(a netip.Addr) string {
	for _, r := range w.servers {
		if r.addr == a {
			return r.name
		}
	}
	return ""
}

// cut cuts directions, from each of the first to each of the second.
func (w *world) cut(targets []string, detail string, ways ...[2]side) (*effect, error) {
	var harm fault.Harm
	for _, way := range ways {
		for _, from := range way[0] {
			for _, to := range way[1] {
				if a, b := w.serverAt(from), w.serverAt(to); a != "" && b != "" {
					harm.Cut = append(harm.Cut, [2]string{a, b})
				}
			}
		}
	}
	return w.take(harm, func() (*effect, error) {
		var heals []func()
		for _, way := range ways {
			for _, from := range way[0] {
				for _, to := range way[1] {
					heals = append(heals, w.fabric.Cut(from, to))
				}
			}
		}
		return &effect{targets: targets, detail: detail, heal: func(context.Context) error {
			for _, heal := range heals {
				heal()
			}
			return nil
		}}, nil
	})
}

func bothWays(a, b side) [][2]side { return [][2]side{{a, b}, {b, a}} }

func cutOff(_ context.Context, w *world, r *replica, _ plan.Step, _ *rand.Rand) (*effect, error) {
	return w.cut([]string{r.name}, "", bothWays(side{r.addr}, w.others(r.addr))...)
}

func cutIn(_ context.Context, w *world, r *replica, _ plan.Step, _ *rand.Rand) (*effect, error) {
	return w.cut([]string{r.name}, "", [2]side{w.others(r.addr), {r.addr}})
}

func cutOut(_ context.Context, w *world, r *replica, _ plan.Step, _ *rand.Rand) (*effect, error) {
	return w.cut([]string{r.name}, "", [2]side{{r.addr}, w.others(r.addr)})
}

func cutPair(_ context.Context, w *world, step plan.Step, random *rand.Rand) (*effect, error) {
	pair := random.Perm(len(w.servers))[:2]
	a, b := w.servers[pair[0]], w.servers[pair[1]]
	return w.cut([]string{a.name, b.name}, "", [2]side{{a.addr}, {b.addr}})
}

// halves cuts everything in two; the servers by a majority and the rest.
func halves(_ context.Context, w *world, _ plan.Step, random *rand.Rand) (*effect, error) {
	var few, many side
	var targets []string
	for i, n := range random.Perm(len(w.servers)) {
		if i < len(w.servers)/2 {
			few = append(few, w.servers[n].addr)
			targets = append(targets, w.servers[n].name)
		} else {
			many = append(many, w.servers[n].addr)
		}
	}
	for _, n := range w.agents {
		if random.IntN(2) == 0 {
			few = append(few, n.addr)
			targets = append(targets, n.name)
		} else {
			many = append(many, n.addr)
		}
	}
	if random.IntN(4) == 0 {
		few = append(few, clientAddr)
		targets = append(targets, "clients")
	} else {
		many = append(many, clientAddr)
	}
	return w.cut(targets, "", bothWays(few, many)...)
}

// bridge leaves one server as the only way between two halves.
func bridge(_ context.Context, w *world, _ plan.Step, random *rand.Rand) (*effect, error) {
	order := random.Perm(len(w.servers))
	var left, right side
	for i, n := range order[1:] {
		if i%2 == 0 {
			left = append(left, w.servers[n].addr)
		} else {
			right = append(right, w.servers[n].addr)
		}
	}
	return w.cut([]string{w.servers[order[0]].name}, "", bothWays(left, right)...)
}

// ring lets each server hear half of the others only.
func ring(_ context.Context, w *world, _ plan.Step, random *rand.Rand) (*effect, error) {
	order := random.Perm(len(w.servers))
	var ways [][2]side
	for i := range order {
		from, to := w.servers[order[i]], w.servers[order[(i+1)%len(order)]]
		ways = append(ways, [2]side{{from.addr}, {to.addr}})
	}
	return w.cut(nil, "", ways...)
}

func isolate(_ context.Context, w *world, _ plan.Step, _ *rand.Rand) (*effect, error) {
	var ways [][2]side
	var targets []string
	for _, a := range w.servers {
		targets = append(targets, a.name)
		for _, b := range w.servers {
			if a != b {
				ways = append(ways, [2]side{{a.addr}, {b.addr}})
			}
		}
	}
	return w.cut(targets, "", ways...)
}

// swizzle cuts the links of some servers one by one and heals them in another
// order.
func swizzle(ctx context.Context, w *world, step plan.Step, random *rand.Rand) (*effect, error) {
	order := random.Perm(len(w.servers))[:1+random.IntN(len(w.servers))]
	var targets []string
	var heals []func(context.Context) error
	for _, n := range order {
		e, err := cutOff(ctx, w, w.servers[n], step, random)
		if err != nil {
			return nil, err
		}
		targets = append(targets, e.targets...)
		heals = append(heals, e.heal)
		_ = wait.For(ctx, step.For()/time.Duration(4*len(order)))
	}
	random.Shuffle(len(heals), func(i, j int) { heals[i], heals[j] = heals[j], heals[i] })
	return &effect{targets: targets, heal: func(ctx context.Context) error {
		for _, heal := range heals {
			if err := heal(ctx); err != nil {
				return err
			}
			_ = wait.For(ctx, step.For()/time.Duration(4*len(order)))
		}
		return nil
	}}, nil
}

// flap takes a server's link down and up, several times.
func flap(ctx context.Context, w *world, r *replica, step plan.Step, random *rand.Rand) (*effect, error) {
	const times = 3
	for range times - 1 {
		e, err := cutOff(ctx, w, r, step, random)
		if err != nil {
			return nil, err
		}
		_ = wait.For(ctx, step.For()/(2*times))
		if err := e.heal(ctx); err != nil {
			return nil, err
		}
		_ = wait.For(ctx, step.For()/(2*times))
	}
	return cutOff(ctx, w, r, step, random)
}
