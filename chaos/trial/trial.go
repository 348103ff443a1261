package trial

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/traffic"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// trial is one that is under way.
type trial struct {
	config   Config
	recorder *history.Recorder
	clock    history.Clock
	stage    *stage
	traffic  *traffic.Traffic
	// telling lets one line be told at a time.
	telling sync.Mutex
}

// begin makes the directory of a trial, with its plan and an empty history.
func begin(ctx context.Context, config Config) (*trial, error) {
	clock, err := history.MachineClock()
	if err != nil {
		return nil, err
	}
	program, err := sum(config.Binary)
	if err != nil {
		return nil, err
	}
	t := &trial{config: config, clock: clock}
	p := config.Plan
	t.recorder, err = history.Create(config.Dir, history.Meta{
		Seed: p.Seed, Profile: p.Profile, Commit: config.Commit, Binary: program, Planted: config.Planted,
		Started: time.Now().Format(time.RFC3339Nano), Began: clock(),
		Settings: settingsOf(p.Settings), Cores: runtime.NumCPU(), Load: busy(ctx),
		Promised: []string{
			history.KindSights, history.KindLeaderships, history.KindReplicas, history.KindSamples, history.KindStandings, history.KindLines,
		},
	})
	if err != nil {
		return nil, err
	}
	if p.Settings.OldLevel > 0 {
		t.recorder.Update(func(m *history.Meta) { m.Promised = append(m.Promised, history.KindLevels) })
	}
	if p.Settings.Agents > 0 {
		t.recorder.Update(func(m *history.Meta) { m.Promised = append(m.Promised, history.KindLooks) })
	}
	if p.Settings.Agents > 0 && p.Load.Probes > 0 {
		t.recorder.Update(func(m *history.Meta) {
			m.Promised = append(m.Promised, history.KindBeats)
			if p.Load.LogFollowers > 0 {
				m.Promised = append(m.Promised, history.KindLogRuns)
			}
		})
	}
	if p.Settings.Agents > 0 && p.Load.Askers > 0 {
		t.recorder.Update(func(m *history.Meta) { m.Promised = append(m.Promised, history.KindMessages) })
	}
	return t, p.Write(filepath.Join(config.Dir, history.PlanFile))
}

func settingsOf(s plan.Settings) map[string]string {
	return map[string]string{
		"servers": strconv.Itoa(s.Servers), "agents": strconv.Itoa(s.Agents),
		"snapshot threshold": strconv.FormatUint(s.SnapshotThreshold, 10), "trailing logs": strconv.FormatUint(s.TrailingLogs, 10),
		"timing multiplier": strconv.FormatFloat(s.TimingMultiplier, 'g', -1, 64), "log store": s.LogStore,
		"TLS": strconv.FormatBool(s.TLS), "shaped": strconv.FormatBool(s.Shaped), "disk MiB": strconv.FormatInt(s.DiskMB, 10),
		"podman": strconv.FormatBool(s.Podman), "old level": strconv.FormatUint(uint64(s.OldLevel), 10),
	}
}

// describe says in one line what a plan tries.
func describe(p *plan.Plan) string {
	s := p.Settings
	text := fmt.Sprintf("%d servers, %d agents, %s, times x%g, a snapshot every %d entries", s.Servers, s.Agents, s.LogStore, s.TimingMultiplier, s.SnapshotThreshold)
	if s.TLS {
		text += ", TLS"
	}
	if s.Shaped {
		text += ", shaped network"
	}
	if s.Podman {
		text += ", podman"
	}
	if s.OldLevel > 0 {
		text += fmt.Sprintf(", at feature level %d until they are upgraded", s.OldLevel)
	}
	return fmt.Sprintf("%s; %d faults in %v", text, len(p.Steps), p.Duration())
}

// tell tells people what happens.
func (t *trial) tell(format string, args ...any) {
	t.telling.Lock()
	defer t.telling.Unlock()
	fmt.Fprintf(t.config.Out, format+"\n", args...)
}

// play lets clients use the cluster, does the faults, and waits until it must be
// whole again. When it returns nothing runs any more.
func (t *trial) play(ctx context.Context) error {
	world := fault.World{
		Site: t.stage.site, Cluster: t.stage.cluster, Client: t.stage.client, Log: t.config.Logger, Ledger: t.stage.ledger,
		Podman: t.stage.podman,
		Rand:   rand.New(rand.NewPCG(t.config.Plan.Seed, 0)),
	}
	world.Did = t.did
	if t.config.Plan.Settings.OldLevel > 0 {
		world.Upgrade = t.upgrade
		for _, p := range t.stage.cluster.Servers {
			t.recorder.Level(history.Level{Server: p.Name, At: t.clock(), Knows: t.config.Plan.Settings.OldLevel})
		}
	}
	watching, endWatch := context.WithCancel(context.WithoutCancel(ctx))
	var watchers sync.WaitGroup
	supervisor := fault.Supervise(&world)
	defer func() {
		supervisor.Stop()
		for _, restart := range supervisor.Restarts() {
			t.recorder.Line(history.Line{
				Process: restart.Name, At: t.moment(restart.At), Kind: "error",
				Text: fmt.Sprintf("the process had ended by itself (%v) and was started again", restart.Err),
			})
		}
		endWatch()
		watchers.Wait()
	}()
	var err error
	if t.traffic, err = traffic.Start(ctx, t.load()); err != nil {
		return err
	}
	defer t.traffic.Stop()
	watchers.Go(func() { t.look(watching) })
	watchers.Go(func() { t.sample(watching) })
	watchers.Go(func() { t.stand(watching) })
	watchers.Go(func() { t.waits(watching) })
	watchers.Go(func() { t.oversleeps(watching) })
	watchers.Go(func() { t.flushes(watching) })
	p := &performance{
		plan: t.config.Plan, world: world, find: fault.Of, recorder: t.recorder, clock: t.clock, patience: t.config.Patience, tell: t.tell,
	}
	if err := p.run(ctx); err != nil {
		return err
	}
	return t.calm(ctx)
}

// upgrade has a server know the newest feature level from its next start on.
func (t *trial) upgrade(p *cluster.Process) {
	if !p.Set(levelFlag, strconv.FormatUint(uint64(argosyv1.FeatureLevel), 10)) {
		return
	}
	t.recorder.Level(history.Level{Server: p.Name, At: t.clock(), Knows: argosyv1.FeatureLevel})
	t.recorder.Update(func(m *history.Meta) {
		m.Versions = []string{fmt.Sprint("feature level ", t.config.Plan.Settings.OldLevel), fmt.Sprint("feature level ", argosyv1.FeatureLevel)}
	})
}

// did records what was done beside the steps.
func (t *trial) did(d fault.Deed) {
	record := history.Fault{
		Step: d.Step, Kind: string(d.Kind), Targets: []string{d.Target}, Leader: d.Leader, Changes: d.Changes, Detail: d.Detail, Quorum: d.Quorum,
		Begun: t.moment(d.Begun), Struck: t.moment(d.Begun), Healing: t.moment(d.Ended),
	}
	if d.Err == nil {
		record.Healed = record.Healing
	} else {
		record.Error = d.Err.Error()
	}
	t.recorder.Fault(record)
	t.tell("        %3d %-17s %s: %s", d.Step, d.Kind, d.Target, d.Detail)
}

// moment is a wall time by the history's clock.
func (t *trial) moment(at time.Time) history.Micros { return t.clock().Add(time.Until(at)) }

// calm waits until the cluster is whole again, watches it for a while under load,
// lets the load come to rest, and waits until everybody agrees.
func (t *trial) calm(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, t.config.Patience, fmt.Errorf("%w: more than %v after the last fault was healed", ErrSlow, t.config.Patience))
	defer cancel()
	if err := t.stage.ledger.Settle(ctx); err != nil {
		return fmt.Errorf("wait until all servers are whole again: %w", err)
	}
	if err := t.stage.cluster.WaitReady(ctx); err != nil {
		return fmt.Errorf("wait until the cluster answers again: %w", err)
	}
	t.recorder.Update(func(m *history.Meta) { m.Quiet = t.clock() })
	select {
	case <-time.After(t.config.Quiet):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := t.traffic.Settle(ctx); err != nil {
		return fmt.Errorf("wait until all clients were answered: %w", err)
	}
	if err := t.stage.cluster.WaitLevel(ctx); err != nil {
		return err
	}
	return t.converge(ctx)
}

// converge waits until every agent has done what it was told.
func (t *trial) converge(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		converged, err := t.agents(ctx)
		if converged {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until all agents have done what they were told: %w", errors.Join(context.Cause(ctx), err))
		}
	}
}
