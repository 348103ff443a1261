package keeper

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
)

const (
	detailRebooted = "exit code not known: the machine was restarted while it ran"
	detailUnseen   = "exit code not known: it ended while no keeper ran"
)

// recover takes over what an earlier keeper left.
func (t *table) recover(rows map[string]row) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.findStarts(rows)
	for key, r := range rows {
		if r.Phase == starting {
			// Nothing came of it; who asked for it asks again.
			t.note(row{Name: r.Name, Phase: removed})
			delete(rows, key)
			continue
		}
		if err := t.takeOver(r); err != nil {
			return err
		}
	}
	if err := t.journal.sync(); err != nil {
		return err
	}
	return t.sweep(rows)
}

// findStarts completes the rows of starts that had only begun.
func (t *table) findStarts(rows map[string]row) {
	begun := make(map[string]bool)
	for _, r := range rows {
		if r.Phase == starting && r.Boot == t.boot {
			begun[r.Run] = true
		}
	}
	if len(begun) == 0 {
		return
	}
	pids := findRuns(begun)
	for key, r := range rows {
		pid, ok := pids[r.Run]
		if !ok || r.Phase != starting {
			continue
		}
		s, err := readStat(pid)
		if err != nil {
			continue
		}
		r.Phase, r.PID, r.Ticks = started, pid, s.ticks
		rows[key] = r
		t.note(r)
	}
}

// takeOver makes an entry of a row whose process was started.
func (t *table) takeOver(r row) error {
	dir := t.instanceDir(r.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("take over %s: %w", r.Name.Key(), err)
	}
	log, err := t.logs.open(dir)
	if err != nil {
		return fmt.Errorf("take over %s: %w", r.Name.Key(), err)
	}
	e := &entry{row: r, log: log, status: wire.Running, found: true, gone: make(chan struct{})}
	t.entries[r.Name.Key()] = e
	if r.Phase == ended {
		e.status, e.reaped = wire.Exited, true
		return nil
	}
	t.logs.attach(log)
	running := false
	if r.Boot == t.boot {
		if running, err = t.found.add(e, func() bool { return t.same(r) }); err != nil {
			return fmt.Errorf("take over %s: %w", r.Name.Key(), err)
		}
	}
	if running {
		t.logs.catchUp(log)
		t.count(+1)
		t.logger.Info("process found again", "instance", r.Name.Key(), "pid", r.PID)
		return nil
	}
	t.logs.detach(log)
	e.status, e.reaped = wire.Exited, true
	e.row.Phase, e.row.ExitCode, e.row.Detail = ended, wire.ExitUnknown, detailUnseen
	if r.Boot != t.boot {
		e.row.Detail = detailRebooted
	}
	t.note(e.row)
	t.logger.Info("process had ended", "instance", r.Name.Key(), "pid", r.PID, "detail", e.row.Detail)
	return nil
}

// sweep removes directories that belong to no instance.
func (t *table) sweep(rows map[string]row) error {
	dir := filepath.Join(t.dir, wire.InstancesDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list instances: %w", err)
	}
	for _, entry := range entries {
		if _, ok := rows[entry.Name()]; ok {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("remove what no instance owns: %w", err)
		}
	}
	return nil
}
