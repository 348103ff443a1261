package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/argosy-cluster/argosy/chaos/podmand"
	"github.com/argosy-cluster/argosy/chaos/traffic/probe"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// probeImage is made of the program that has the command "probe".
const probeImage = "localhost/argosy-probe:1"

// startPodman starts a podman of the trial's own, that has the image of probes.
func (s *stage) startPodman(ctx context.Context, prober string) error {
	// Sockets live below it: the path of a trial is too long for them.
	dir, err := os.MkdirTemp("", "ac-")
	if err != nil {
		return fmt.Errorf("start podman: %w", err)
	}
	if s.podman, err = podmand.Start(ctx, podmand.DefaultConfig(dir)); err != nil {
		return errors.Join(fmt.Errorf("start podman, which the plan asks for: %w", err), os.RemoveAll(dir))
	}
	if err := s.podman.ImportBinary(ctx, prober, probeImage); err != nil {
		return fmt.Errorf("make the image of probes: %w", err)
	}
	return nil
}

// stopPodman ends podman with all containers.
func (s *stage) stopPodman() error {
	if s.podman == nil {
		return nil
	}
	// What was built is taken down, however the trial ended.
	err := s.podman.Stop(context.Background())
	s.podman = nil
	return err
}

// prober makes probes: processes, and containers by turns when there is podman.
func (t *trial) prober() func(workload, agent, value string) *argosyv1.Workload {
	process := probe.Maker(t.config.Prober, t.recorder.BeatsDir())
	if !t.config.Plan.Settings.Podman {
		return process
	}
	container := probe.Containers(probeImage, "/bin/"+filepath.Base(t.config.Prober), t.recorder.BeatsDir())
	return func(workload, agent, value string) *argosyv1.Workload {
		if contained(workload) {
			return container(workload, agent, value)
		}
		return process(workload, agent, value)
	}
}

// asker makes askers: of every two one in a container when there is podman.
func (t *trial) asker() func(workload, agent, value, object string) *argosyv1.Workload {
	process := probe.Askers("", t.config.Prober, t.recorder.BeatsDir(), t.recorder.MessagesDir())
	if !t.config.Plan.Settings.Podman {
		return process
	}
	container := probe.Askers(probeImage, "/bin/"+filepath.Base(t.config.Prober), t.recorder.BeatsDir(), t.recorder.MessagesDir())
	return func(workload, agent, value, object string) *argosyv1.Workload {
		if last := workload[len(workload)-1]; last%2 == 1 {
			return container(workload, agent, value, object)
		}
		return process(workload, agent, value, object)
	}
}

// contained tells whether a probe runs in a container, which is so for two of four:
// one that is moved and one that is left alone.
func contained(workload string) bool {
	last := workload[len(workload)-1]
	return last%4 >= 2
}
