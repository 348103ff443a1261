package trial

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/podmand"
	"github.com/argosy-cluster/argosy/client"
)

// machinesDir is where disks and agents' data are, below a trial's directory.
const machinesDir = "machines"

// metricsAddress is where each server has its metrics.
const metricsAddress = "127.0.0.1:25554"

// levelFlag is the server's flag that makes it one of an older version.
const levelFlag = "--feature-level"

// stage is what a trial is played on: hosts, disks, and the processes on them.
type stage struct {
	site    *lab.Site
	cluster *cluster.Cluster
	// client asks how the cluster does; it is of no load.
	client *client.Client
	ledger *fault.Ledger
	// podman is what agents run containers with; nil for none.
	podman *podmand.Service
}

// build builds the stage of a plan and starts the cluster.
func build(ctx context.Context, config Config) (*stage, error) {
	settings := config.Plan.Settings
	s := &stage{}
	var err error
	if s.site, err = newSite(filepath.Join(config.Dir, machinesDir), config.Plan.Seed, settings); err != nil {
		return nil, err
	}
	built := cluster.Config{
		Binary: config.Binary, Environment: config.Environment, Dir: config.Dir,
		Servers: settings.Servers, Agents: settings.Agents, TLS: settings.TLS,
		ServerArgs: []string{
			"--snapshot-threshold", strconv.FormatUint(settings.SnapshotThreshold, 10),
			"--trailing-logs", strconv.FormatUint(settings.TrailingLogs, 10),
			"--timing-multiplier", strconv.FormatFloat(settings.TimingMultiplier, 'g', -1, 64),
			"--log-store", settings.LogStore,
			// Inside of the server's own host, where only this process looks.
			"--http-address", metricsAddress,
		},
		StartTimeout: config.Patience, Logger: config.Logger,
	}
	if settings.OldLevel > 0 {
		built.ServerArgs = append(built.ServerArgs, levelFlag, strconv.FormatUint(uint64(settings.OldLevel), 10))
	}
	if settings.Podman {
		if err := s.startPodman(ctx, config.Prober); err != nil {
			return nil, errors.Join(err, s.close())
		}
		built.Runtimes, built.PodmanSocket = []string{"process", "podman"}, s.podman.URL()
	}
	s.site.Use(&built)
	if s.cluster, err = cluster.New(built); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := s.cluster.Start(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if s.client, err = s.cluster.Client(client.Config{Timeout: time.Second}); err != nil {
		return nil, errors.Join(err, s.close())
	}
	var names []string
	for _, p := range s.cluster.Servers {
		names = append(names, p.Name)
	}
	s.ledger = fault.NewLedger(names)
	return s, nil
}

func newSite(dir string, seed uint64, settings plan.Settings) (*lab.Site, error) {
	site, err := lab.NewSite(dir, lab.SiteConfig{DiskSize: settings.DiskMB << 20, Shaped: settings.Shaped, Seed: seed})
	if err != nil {
		return nil, fmt.Errorf("build hosts and disks: %w", err)
	}
	return site, nil
}

// connect makes a client of the load.
func (s *stage) connect(endpoints ...string) (*client.Client, error) {
	return s.cluster.Client(client.Config{Endpoints: endpoints})
}

// processes are all that the cluster has.
func (s *stage) processes() []*cluster.Process {
	return append(append([]*cluster.Process{}, s.cluster.Servers...), s.cluster.Agents...)
}

// stop ends all processes, the workloads too. It may be called twice.
func (s *stage) stop() error {
	var errs []error
	if s.ledger != nil {
		s.ledger.Close()
	}
	if s.client != nil {
		errs = append(errs, s.client.Close())
		s.client = nil
	}
	if s.cluster != nil {
		errs = append(errs, s.cluster.Close())
	}
	return errors.Join(append(errs, s.stopPodman())...)
}

// close takes everything down. What was on the disks is gone then.
func (s *stage) close() error {
	err := s.stop()
	if s.site != nil {
		err = errors.Join(err, s.site.Close())
	}
	return err
}
