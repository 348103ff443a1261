package trial

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/lab"
)

const (
	// waitsEvery is how often it is looked how long the processes waited for a
	// processor, and waitsLeast what of it is worth a record.
	waitsEvery = 50 * time.Millisecond
	waitsLeast = 5 * time.Millisecond
	// sleepFor is what the trial sleeps over and over, to see when it is woken, and
	// sleepLate by how much later that is worth a record.
	sleepFor  = 10 * time.Millisecond
	sleepLate = 20 * time.Millisecond
	// flushEvery is how often the disk is tried, and flushLong how long it may take
	// without a record.
	flushEvery = 200 * time.Millisecond
	flushLong  = 50 * time.Millisecond
)

// waits records how long the hosts waited for the machine to run them, until the
// context ends. Where that is not known nothing is promised.
func (t *trial) waits(ctx context.Context) {
	type watched struct {
		host   *lab.Host
		waited time.Duration
	}
	var all []watched
	for _, p := range t.stage.processes() {
		host, err := t.stage.site.Host(p)
		if err != nil {
			return
		}
		waited, err := host.Waited()
		if err != nil {
			t.config.Logger.Info("it is not known how long processes wait for the machine", "error", err)
			return
		}
		all = append(all, watched{host, waited})
	}
	t.recorder.Update(func(m *history.Meta) { m.Promised = append(m.Promised, history.KindStalls) })
	ticker := time.NewTicker(waitsEvery)
	defer ticker.Stop()
	for from := t.clock(); ; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		to := t.clock()
		for i := range all {
			waited, err := all[i].host.Waited()
			if err != nil {
				continue
			}
			if more := waited - all[i].waited; more >= waitsLeast {
				t.recorder.Stall(history.Stall{Who: all[i].host.Name, From: from, To: to, Micros: more.Microseconds()})
			}
			all[i].waited = waited
		}
		from = to
	}
}

// oversleeps records when this program was not woken in time, until the context
// ends: a whole machine that is not run by its own host shows in nothing else.
func (t *trial) oversleeps(ctx context.Context) {
	// A thread of its own waits for the kernel only, and not for other goroutines.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for ctx.Err() == nil {
		from := t.clock()
		pause := unix.NsecToTimespec(sleepFor.Nanoseconds())
		// One that is interrupted was short.
		_ = unix.Nanosleep(&pause, nil)
		to := t.clock()
		if late := to.Sub(from) - sleepFor; late >= sleepLate {
			t.recorder.Stall(history.Stall{Who: history.StallTrial, From: from, To: to, Micros: late.Microseconds()})
		}
	}
}

// flushes records when a small flush takes long on the disk that all those of the
// servers are files of, until the context ends.
func (t *trial) flushes(ctx context.Context) {
	if err := t.flush(ctx); err != nil {
		t.config.Logger.Info("it is not known how long the machine's disk takes", "error", err)
	}
}

func (t *trial) flush(ctx context.Context) error {
	path := filepath.Join(t.config.Dir, machinesDir, "flushes")
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("try the disk: %w", err)
	}
	defer func() { _ = file.Close(); _ = os.Remove(path) }()
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		from := t.clock()
		if _, err := file.WriteAt([]byte{'.'}, 0); err != nil {
			return fmt.Errorf("try the disk: %w", err)
		}
		if err := file.Sync(); err != nil {
			return fmt.Errorf("try the disk: %w", err)
		}
		if to := t.clock(); to.Sub(from) >= flushLong {
			t.recorder.Stall(history.Stall{Who: history.StallDisk, From: from, To: to, Micros: int64(to - from)})
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
