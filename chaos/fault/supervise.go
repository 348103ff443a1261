package fault

import (
	"slices"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
)

const (
	// superviseEvery is how often it is looked whether all processes run.
	superviseEvery = 50 * time.Millisecond
	// restartPause is how long a process that ended by itself is left alone, twice
	// as long each time until restartMost.
	restartPause = 100 * time.Millisecond
	restartMost  = 2 * time.Second
	// steady is how long it must have run to be left alone as little as at first.
	steady = 5 * time.Second
)

// Restart is one time that a process was started again which had ended by itself.
type Restart struct {
	// Name of the server or agent.
	Name string
	// At is when it was started.
	At time.Time
	// Err is how it had ended, nil for exit code 0.
	Err error
}

// Supervisor starts what ends by itself, as a machine's own supervisor does, but
// for what a fault keeps from running.
type Supervisor struct {
	world *World
	stop  chan struct{}
	once  sync.Once
	group sync.WaitGroup

	mu       sync.Mutex
	restarts []Restart
}

// Supervise supervises the servers and agents of a world, which must have been
// started, until Stop.
func Supervise(w *World) *Supervisor {
	s := &Supervisor{world: w, stop: make(chan struct{})}
	for _, p := range slices.Concat(w.Cluster.Servers, w.Cluster.Agents) {
		s.group.Go(func() { s.watch(p) })
	}
	return s
}

// Stop ends the supervision. It may be called twice.
func (s *Supervisor) Stop() {
	s.once.Do(func() { close(s.stop) })
	s.group.Wait()
}

// Restarts returns what was started again so far.
func (s *Supervisor) Restarts() []Restart {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.restarts)
}

func (s *Supervisor) watch(p *cluster.Process) {
	absence, isServer := NewAbsence(s.world.Ledger, p.Name), slices.Contains(s.world.Cluster.Servers, p)
	ticker := time.NewTicker(superviseEvery)
	defer ticker.Stop()
	wait := restartPause
	var changed time.Time // since when it runs, or does not
	ran := true
	for {
		select {
		case <-s.stop:
			absence.Forget()
			return
		case now := <-ticker.C:
			running := p.Running()
			runs := running || !absence.Away() && s.world.Ledger.Down(p.Name)
			switch {
			case running:
				absence.End(func(level func()) {
					s.world.Ledger.await(p.Name+", which had ended, to be level again", s.world.areLevel([]*cluster.Process{p}), level)
				})
			case !runs && !absence.Away() && isServer:
				absence.Begin()
			}
			if runs != ran || changed.IsZero() {
				ran, changed = runs, now
			}
			switch since := now.Sub(changed); {
			case runs && since >= steady:
				wait = restartPause
			case !runs && since >= wait:
				s.restart(p)
				changed, wait = now, min(2*wait, restartMost)
			}
		}
	}
}

func (s *Supervisor) restart(p *cluster.Process) {
	how := p.Err()
	if err := p.Start(); err != nil {
		// A fault may have started it meanwhile, or takes its disk away.
		s.world.Log.Debug("process was not started again", "name", p.Name, "err", err)
		return
	}
	s.world.Log.Info("process had ended by itself and was started again", "name", p.Name, "ended", how)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restarts = append(s.restarts, Restart{Name: p.Name, At: time.Now(), Err: how})
}
