package sim

import (
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/chaos/fault"
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
	pause := max(time.Duration(r.pause.Load()), restartPause)
	if time.Since(began) >= steady {
		pause = restartPause
	}
	r.pause.Store(int64(min(2*pause, restartMost)))
	_ = wait.For(l.ctx, r.world.pace(pause))
	if l.ctx.Err() != nil || r.life.Load() != l || r.world.stopping.Load() {
		return
	}
	if !r.returning.Load() {
		// Whoever has it down starts it again.
		release, err := r.world.ledger.Take(fault.Harm{Down: []string{r.name}})
		if err != nil {
			return
		}
		defer release()
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
}
