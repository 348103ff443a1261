// Package demo shows what Argosy is for: a cluster of real processes runs real
// workloads, its leader is killed under a stream of writes, and nothing that ran
// notices. Every step says what it measured, and every promise is checked: the
// demonstration fails when one is broken.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/podmand"
	"github.com/argosy-cluster/argosy/client"
)

// ErrStepFailed is returned when a step failed; the report on Out says which.
var ErrStepFailed = errors.New("a step of the demonstration failed")

// Config says how to give the demonstration.
type Config struct {
	// Binary is the argosy program, static, so that an image can be made of it.
	Binary string
	// Dir holds everything; it is removed in the end, all but the logs when a
	// step has failed. Default: a new temporary directory.
	Dir string
	// Out is told each step.
	Out io.Writer
	// Stay keeps the cluster up, after all steps, until the context ends.
	Stay bool
	// NoPodman leaves podman out.
	NoPodman bool
	// Load is how long writes and requests go on before and after the kill.
	// Default 2 s each.
	Load time.Duration
}

// image is made of the program itself: no registry is needed.
const image = "localhost/argosy-demo:1"

// Run gives the demonstration.
func Run(ctx context.Context, config Config) (err error) {
	if config.Load == 0 {
		config.Load = 2 * time.Second
	}
	if config.Dir == "" {
		if config.Dir, err = os.MkdirTemp("", "argosy-demo-"); err != nil {
			return fmt.Errorf("make directory for the demonstration: %w", err)
		}
	}
	defer func() { err = errors.Join(err, cleanUp(config.Dir, errors.Is(err, ErrStepFailed))) }()
	s := &stage{config: config, report: &report{out: config.Out}}
	defer s.strike()
	failed := s.play(ctx)
	if failed == nil && config.Stay && ctx.Err() == nil {
		s.stay(ctx)
	}
	s.strike()
	s.report.close()
	if failed != nil && ctx.Err() != nil {
		return fmt.Errorf("demonstration interrupted: %w", context.Cause(ctx))
	}
	if failed != nil || s.report.failed > 0 {
		return ErrStepFailed
	}
	return nil
}

// cleanUp removes the directory, or all of it but the logs.
func cleanUp(dir string, keepLogs bool) error {
	if !keepLogs {
		return os.RemoveAll(dir)
	}
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		if entry.Name() != cluster.LogDir {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, entry.Name())))
		}
	}
	return err
}

// stage is where the demonstration takes place.
type stage struct {
	config  Config
	report  *report
	podman  *podmand.Service
	cluster *cluster.Cluster
	client  *client.Client
	struck  bool
}

// play runs the steps in order; one that cannot be done ends it.
func (s *stage) play(ctx context.Context) error {
	for _, step := range []struct {
		name string
		run  func(context.Context, *step) error
	}{
		{"start podman for this demonstration alone", s.startPodman},
		{"start three servers and two agents, each a process of its own", s.startCluster},
		{"apply a manifest and wait until everything runs", s.applyManifest},
		{"kill the leader with SIGKILL under a stream of writes and requests", s.killLeader},
		{"start the killed server again", s.restartServer},
		{"kill an agent and start it again: its workloads run on", s.killAgent},
	} {
		if err := s.report.step(ctx, step.name, step.run); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) startPodman(ctx context.Context, step *step) error {
	if s.config.NoPodman {
		step.note("left out as asked; plain processes only")
		return nil
	}
	service, err := podmand.Start(ctx, podmand.DefaultConfig(filepath.Join(s.config.Dir, "podman")))
	if errors.Is(err, podmand.ErrMissing) || errors.Is(err, podmand.ErrUnusable) {
		step.note("going on with plain processes alone: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	s.podman = service
	if err := service.ImportBinary(ctx, s.config.Binary, image); err != nil {
		return err
	}
	step.note("podman %s, with an image made of the argosy program itself", service.Version())
	return nil
}

func (s *stage) startCluster(ctx context.Context, step *step) error {
	settings := cluster.Config{Binary: s.config.Binary, Dir: s.config.Dir, Servers: 3, Agents: 2, AgentName: "agent-%d"}
	if s.podman != nil {
		settings.Runtimes = []string{"podman", "process"}
		settings.PodmanSocket = s.podman.URL()
	}
	var err error
	if s.cluster, err = cluster.New(settings); err != nil {
		return err
	}
	begin := time.Now()
	if err := s.cluster.Start(ctx); err != nil {
		return err
	}
	took := time.Since(begin)
	if s.client, err = s.cluster.Client(client.Config{}); err != nil {
		return err
	}
	leader, err := s.cluster.Leader(ctx)
	if err != nil {
		return err
	}
	step.note("answering %s after the first process was started; %s leads", round(took), leader.Name)
	step.note("servers %s", strings.Join(s.cluster.Endpoints(), ", "))
	return nil
}

// stay leaves the cluster to the user.
func (s *stage) stay(ctx context.Context) {
	fmt.Fprintf(s.config.Out, `
The cluster stays up for you to play with. In another terminal:

  export ARGOSY_SERVER=%s
  %s status
  %s get workloads --watch
  kill -9 %d        # the server that is number 1

Press Ctrl-C to end it and clean up.
`, strings.Join(s.cluster.Endpoints(), ","), s.config.Binary, s.config.Binary, s.cluster.Servers[0].PID())
	<-ctx.Done()
}

// strike takes everything down; it may be called twice.
func (s *stage) strike() {
	if s.struck {
		return
	}
	s.struck = true
	// The user's Ctrl-C has ended the context: cleaning up has time of its own.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if s.client != nil {
		_ = s.client.Close()
	}
	if s.cluster != nil {
		s.report.cleanUp("end servers and agents", s.cluster.Close())
	}
	if s.podman != nil {
		s.report.cleanUp("end podman", s.podman.Stop(ctx))
	}
}
