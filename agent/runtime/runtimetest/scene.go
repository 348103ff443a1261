package runtimetest

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// patience is how long a condition may take before a test gives up; nothing is
// measured by it.
const patience = 2 * time.Minute

// forever runs until it is told to end, and does nothing until then.
const forever = "trap 'exit 0' TERM; echo ready; sleep 100000 & wait"

var sceneNumber atomic.Int64

// scene is the stage of one test: a client for an agent of its own, a watcher,
// and everything it started removed at the end.
type scene struct {
	*testing.T
	harness Harness
	agent   string
	ctx     context.Context
	client  runtime.Runtime
	watcher *watcher
	names   map[string]*argosyv1.InstanceName
}

func newScene(t *testing.T, harness Harness) *scene {
	t.Helper()
	ignored := goleak.IgnoreCurrent()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s := &scene{
		T: t, harness: harness, ctx: ctx,
		agent: fmt.Sprintf("suite-%d", sceneNumber.Add(1)),
		names: make(map[string]*argosyv1.InstanceName),
	}
	client, closeClient := harness.Open(t, s.agent)
	s.client = client
	s.watcher = s.watch(client)
	t.Cleanup(func() {
		s.cleanUp()
		s.watcher.stop()
		closeClient()
		cancel()
		goleak.VerifyNone(t, ignored)
	})
	s.watcher.awaitResync()
	return s
}

func (s *scene) cleanUp() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, name := range s.names {
		if err := s.client.Remove(ctx, name); err != nil {
			s.Errorf("clean up %s: %v", name.Key(), err)
		}
	}
	left, err := s.client.List(ctx)
	if err != nil {
		s.Errorf("list after the test: %v", err)
	}
	for _, instance := range left {
		s.Errorf("left after everything was removed: %s (%v)", instance.Name.Key(), instance.Status)
	}
}

// workload makes a workload of this scene's agent from a script.
func (s *scene) workload(name string, script Script) *argosyv1.Workload {
	script.StopTimeout = cmp.Or(script.StopTimeout, time.Second)
	return s.workloadOf(name, s.harness.Config(script))
}

func (s *scene) workloadOf(name, config string) *argosyv1.Workload {
	w := &argosyv1.Workload{Name: name, Agent: s.agent, Runtime: s.harness.Runtime, RuntimeConfig: config}
	instance := argosyv1.InstanceOf(w)
	s.names[instance.Key()] = instance
	return w
}

func (s *scene) mustStart(w *argosyv1.Workload, options runtime.StartOptions) runtime.Instance {
	s.Helper()
	instance, err := s.client.Start(s.ctx, w, options)
	if err != nil {
		s.Fatalf("start %s: %v", w.GetName(), err)
	}
	if got, want := instance.Name.Key(), argosyv1.InstanceOf(w).Key(); got != want {
		s.Fatalf("started instance is named %s, want %s", got, want)
	}
	return instance
}

func (s *scene) mustRemove(w *argosyv1.Workload) {
	s.Helper()
	if err := s.client.Remove(s.ctx, argosyv1.InstanceOf(w)); err != nil {
		s.Fatalf("remove %s: %v", w.GetName(), err)
	}
}

// mustRemoveTold removes an instance and waits until the watcher was told.
func (s *scene) mustRemoveTold(w *argosyv1.Workload) {
	s.Helper()
	mark := s.watcher.mark()
	s.mustRemove(w)
	s.watcher.awaitSince(mark, argosyv1.InstanceOf(w), "gone", gone)
}

// listed returns the instance of a workload from a client's list.
func (s *scene) listed(client runtime.Runtime, w *argosyv1.Workload) (runtime.Instance, bool) {
	s.Helper()
	all, err := client.List(s.ctx)
	if err != nil {
		s.Fatalf("list: %v", err)
	}
	var found runtime.Instance
	count := 0
	for _, instance := range all {
		if instance.Name.Key() == argosyv1.InstanceOf(w).Key() {
			found = instance
			count++
		}
	}
	if count > 1 {
		s.Fatalf("%s is listed %d times", w.GetName(), count)
	}
	return found, count == 1
}

// mustEnd waits until the instance has ended and checks that the list agrees.
func (s *scene) mustEnd(w *argosyv1.Workload) runtime.Instance {
	s.Helper()
	s.watcher.await(argosyv1.InstanceOf(w), "its end", func(e runtime.Event) bool {
		return e.Instance.Status == runtime.StatusExited
	})
	instance, ok := s.listed(s.client, w)
	if !ok || instance.Status != runtime.StatusExited {
		s.Fatalf("%s is listed as %+v after its end was told", w.GetName(), instance)
	}
	return instance
}

// mustPrint waits until a line was printed.
func (s *scene) mustPrint(w *argosyv1.Workload, line string) {
	s.Helper()
	follower := s.follow(s.client, w, runtime.LogOptions{Tail: -1})
	follower.await(line)
	follower.stop()
}
