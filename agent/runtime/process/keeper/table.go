package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
)

// entry is an instance.
type entry struct {
	row    row
	log    *instanceLog
	status wire.Status
	// found is set when the process is not our child.
	found bool
	// reaped is set when the pid may mean another process by now.
	reaped bool
	// removing is set when it shall go as soon as it has ended.
	removing bool
	killer   *time.Timer
	gone     chan struct{}
}

func (e *entry) instance() wire.Instance {
	return wire.Instance{
		Name: e.row.Name, Status: e.status, PID: e.row.PID,
		ExitCode: e.row.ExitCode, Detail: e.row.Detail, Started: e.row.Started,
	}
}

// table is what the keeper has. One lock is enough: nothing waits under it but
// for the kernel.
type table struct {
	dir    string
	boot   string
	logger *slog.Logger
	logs   *collector
	found  *foundWatch
	// changed is called, with the lock held, when the number of running processes
	// has changed.
	changed func(running int)

	mu       sync.Mutex
	entries  map[string]*entry
	children map[int]*entry // by pid, those not reaped
	running  int
	journal  *journal
	watchers map[*watcher]struct{}
}

func (t *table) instanceDir(name wire.Name) string {
	return filepath.Join(t.dir, wire.InstancesDir, name.Key())
}

func (t *table) list() []wire.Instance {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]wire.Instance, 0, len(t.entries))
	for _, e := range t.entries {
		all = append(all, e.instance())
	}
	return all
}

// start starts an instance unless it runs; one that is being removed is waited
// for.
func (t *table) start(ctx context.Context, name wire.Name, request *wire.Start) (wire.Instance, error) {
	for {
		t.mu.Lock()
		e := t.entries[name.Key()]
		switch {
		case ctx.Err() != nil:
			t.mu.Unlock()
			return wire.Instance{}, context.Cause(ctx)
		case e != nil && e.removing:
			t.mu.Unlock()
			select {
			case <-e.gone:
			case <-ctx.Done():
			}
			continue
		case e != nil && e.status != wire.Exited:
			defer t.mu.Unlock()
			return e.instance(), nil
		}
		defer t.mu.Unlock()
		return t.startNew(e, name, request)
	}
}

// startNew starts an instance in place of an ended one or of none.
func (t *table) startNew(previous *entry, name wire.Name, request *wire.Start) (_ wire.Instance, err error) {
	if dropped := previous; dropped != nil && !request.Reuse {
		t.drop(dropped)
		previous = nil
		defer func() {
			if err != nil {
				t.publish(wire.Response{Instance: new(dropped.instance()), Gone: true})
			}
		}()
	}
	e, err := t.prepare(previous, name, request)
	if err != nil {
		return wire.Instance{}, err
	}
	pid, err := t.spawn(e, request)
	if err != nil {
		t.giveUp(previous, e)
		return wire.Instance{}, err
	}
	e.row.Phase, e.row.PID = started, pid
	if s, err := readStat(pid); err == nil {
		e.row.Ticks = s.ticks
	}
	if err := t.journal.append(e.row); err != nil {
		// It runs, and would be found by its run id.
		t.logger.Error("start could not be noted", "instance", name.Key(), "error", err)
	}
	t.entries[name.Key()] = e
	t.children[pid] = e
	t.count(+1)
	t.logger.Debug("process started", "instance", name.Key(), "pid", pid)
	t.publish(wire.Response{Instance: new(e.instance())})
	return e.instance(), nil
}

// prepare makes everything that a process needs, and notes that it is going to
// be started.
func (t *table) prepare(previous *entry, name wire.Name, request *wire.Start) (*entry, error) {
	e := &entry{
		row: row{
			Name: name, Phase: starting, Run: newRun(), Boot: t.boot, Started: time.Now(),
			StopSignal: request.StopSignal, StopTimeout: request.StopTimeout,
		},
		status: wire.Running,
		gone:   make(chan struct{}),
	}
	if previous != nil {
		e.log = previous.log
	} else {
		dir := t.instanceDir(name)
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("make directory of instance: %w", err)
		}
		log, err := t.logs.open(dir)
		if err != nil {
			return nil, err
		}
		e.log = log
	}
	if err := t.journal.append(e.row); err != nil {
		return nil, err
	}
	return e, nil
}

// giveUp takes back a start that failed.
func (t *table) giveUp(previous, e *entry) {
	if e.log.live {
		t.logs.detach(e.log)
	}
	if previous != nil {
		t.note(previous.row)
		return
	}
	t.erase(e)
}

// spawn starts the process of an entry.
func (t *table) spawn(e *entry, request *wire.Start) (int, error) {
	path, err := findCommand(request)
	if err != nil {
		return 0, err
	}
	files, err := e.log.outputs()
	if err != nil {
		return 0, err
	}
	defer closeFiles(files)
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, fmt.Errorf("open standard input: %w", err)
	}
	defer null.Close()
	t.logs.attach(e.log)
	pid, err := syscall.ForkExec(path, request.Args, &syscall.ProcAttr{
		Dir:   request.Dir,
		Env:   append(request.Env, envRun+"="+e.row.Run),
		Files: []uintptr{null.Fd(), files[0].Fd(), files[1].Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, fmt.Errorf("start command %q in %q: %w", path, request.Dir, err)
	}
	return pid, nil
}

// remove stops an instance and returns when it is gone. It goes on stopping when
// the context ends earlier.
func (t *table) remove(ctx context.Context, name wire.Name) error {
	t.mu.Lock()
	e := t.entries[name.Key()]
	if e == nil {
		t.mu.Unlock()
		return nil
	}
	if !e.removing {
		e.removing = true
		if e.status == wire.Exited {
			t.vanish(e)
		} else {
			t.stop(e)
		}
	}
	t.mu.Unlock()
	select {
	case <-e.gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *table) stop(e *entry) {
	e.status = wire.Stopping
	t.publish(wire.Response{Instance: new(e.instance())})
	t.signal(e, syscall.Signal(e.row.StopSignal))
	// A group that was stopped could not see the signal.
	t.signal(e, syscall.SIGCONT)
	e.killer = time.AfterFunc(e.row.StopTimeout, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.signal(e, syscall.SIGKILL)
	})
}

// signal sends a signal to the process group of an entry, unless its number may
// mean another one.
func (t *table) signal(e *entry, signal syscall.Signal) {
	if e.reaped {
		return
	}
	if e.found && !t.same(e.row) {
		return
	}
	if err := syscall.Kill(-e.row.PID, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.logger.Warn("process group not signalled", "instance", e.row.Name.Key(), "pid", e.row.PID, "signal", signal, "error", err)
	}
}

// same says whether the process of a row is alive.
func (t *table) same(r row) bool {
	s, err := readStat(r.PID)
	return err == nil && s.alive() && s.ticks == r.Ticks && r.Boot == t.boot
}

// vanish removes an ended entry and tells.
func (t *table) vanish(e *entry) {
	t.drop(e)
	t.publish(wire.Response{Instance: new(e.instance()), Gone: true})
}

// drop removes an ended entry.
func (t *table) drop(e *entry) {
	delete(t.entries, e.row.Name.Key())
	t.erase(e)
	close(e.gone)
}

// erase removes what an entry has on the disk.
func (t *table) erase(e *entry) {
	t.note(row{Name: e.row.Name, Phase: removed})
	if err := os.RemoveAll(e.log.dir); err != nil {
		t.logger.Warn("directory of instance not removed", "instance", e.row.Name.Key(), "error", err)
	}
}

// note writes a row whose loss does no harm.
func (t *table) note(r row) {
	if err := t.journal.append(r); err != nil {
		t.logger.Error("journal not written", "instance", r.Name.Key(), "phase", r.Phase, "error", err)
	}
}

func (t *table) count(change int) {
	t.running += change
	t.changed(t.running)
}

// rows returns what the journal must hold.
func (t *table) rows() map[string]row {
	rows := make(map[string]row, len(t.entries))
	for key, e := range t.entries {
		rows[key] = e.row
	}
	return rows
}

// logOf returns the log of an instance with everything in it that was printed
// until now, nil when there is no such instance.
func (t *table) logOf(name wire.Name) *instanceLog {
	t.mu.Lock()
	e := t.entries[name.Key()]
	t.mu.Unlock()
	if e == nil {
		return nil
	}
	t.logs.catchUp(e.log)
	return e.log
}
