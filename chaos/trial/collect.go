package trial

import (
	"context"

	"github.com/argosy-cluster/argosy/chaos/evidence"
)

// collect records what the processes have left: who led, what should not be in
// the logs, and what each server has. Nothing runs any more.
func (t *trial) collect(ctx context.Context) error {
	var processes []evidence.Process
	for _, p := range t.stage.cluster.Servers {
		processes = append(processes, evidence.Process{Name: p.Name, Log: p.LogPath, DataDir: t.stage.site.Data(p)})
	}
	for _, p := range t.stage.cluster.Agents {
		processes = append(processes, evidence.Process{Name: p.Name, Log: p.LogPath})
	}
	return evidence.Collect(ctx, t.recorder, t.moment, processes)
}
