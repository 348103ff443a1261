package sim

import (
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/wait"
)

const (
	// restartPause is how long a server that ended by itself is left alone, twice as
	// long each time until restartMost.
	restartPause = 100 * time.Millisecond
	restartMost  = 2 * time.Second
	// steady is how long it must have run to be left alone as little as at first.
	steady = 5 * time.Second
)

// supervise starts a server again that ends by itself, as a machine's own
// supervisor does, but for what a fault keeps from running.
func (r *replica) supervise(l *life) {
	began := time.Now()
	<-l.done
	over := func() bool { return l.ctx.Err() != nil || r.life.Load() != l || r.world.stopping.Load() }
	if over() {
		return
	}
	// What it has when it is back nobody knows: from now on until it is level with
	// the others it counts as down, or as one that may have nothing.
	r.miss()
	pause := max(time.Duration(r.pause.Load()), restartPause)
	if time.Since(began) >= steady {
		pause = restartPause
	}
	r.pause.Store(int64(min(2*pause, restartMost)))
	_ = wait.For(l.ctx, r.world.pace(pause))
	if over() {
		r.absence.Forget()
		return
	}
	if r.miss(); !r.absence.Away() && !r.returning.Load() {
		return // Whoever has it down starts it again.
	}
	r.world.record.Line(history.Line{
		Process: r.name, At: r.world.clock(), Kind: "error",
		Text: fmt.Sprintf("the process had ended by itself (%v) and was started again", l.err),
	})
	if err := r.kill(false); err != nil {
		r.world.fail(err)
		return
	}
	r.start()
	r.absence.End(func(level func()) { r.world.await(level, r) })
}

// miss notes that a server has ended by itself, unless a fault has it down.
func (r *replica) miss() {
	if !r.world.ledger.Down(r.name) {
		r.absence.Begin()
	}
}
