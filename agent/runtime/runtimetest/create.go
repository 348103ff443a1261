package runtimetest

import (
	"context"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// creating is a scene with a client that creates ahead.
type creating struct {
	*scene
	creator runtime.Creator
}

func newCreating(s *scene) *creating {
	creator, ok := s.client.(runtime.Creator)
	if ok != s.harness.Creates {
		s.Fatalf("the client creates ahead: %v, want %v", ok, s.harness.Creates)
	}
	if !ok {
		s.Skip("the runtime creates nothing ahead")
	}
	return &creating{s, creator}
}

// mustCreate creates an instance and checks that it is there and does not run.
func (c *creating) mustCreate(w *argosyv1.Workload, options runtime.StartOptions) runtime.Instance {
	c.Helper()
	instance, err := c.creator.Create(c.ctx, w, options)
	if err != nil {
		c.Fatalf("create %s: %v", w.GetName(), err)
	}
	listed, ok := c.listed(c.client, w)
	if !ok || listed.Status != runtime.StatusStarting || listed.RuntimeID != instance.RuntimeID || instance.Status != runtime.StatusStarting {
		c.Fatalf("created instance is %+v and listed as %+v, want it created and not started", instance, listed)
	}
	return instance
}

func testCreate(s *scene) {
	c := newCreating(s)
	w := s.workload("ahead", Script{Body: forever})
	created := c.mustCreate(w, runtime.StartOptions{})
	if again := c.mustCreate(w, runtime.StartOptions{}); again.RuntimeID != created.RuntimeID {
		s.Fatalf("created again is %s, want the first left alone: %s", again.RuntimeID, created.RuntimeID)
	}
	started := s.mustStart(w, runtime.StartOptions{})
	if started.RuntimeID != created.RuntimeID || started.Status != runtime.StatusRunning {
		s.Fatalf("started instance is %+v, want what was created: %s", started, created.RuntimeID)
	}
	s.watcher.await(started.Name, "running", running)
	s.mustPrint(w, "ready")
	s.mustRemoveTold(w)
}

func testCreateRemoved(s *scene) {
	c := newCreating(s)
	w := s.workload("vain", Script{Body: forever, StopTimeout: ages})
	first := c.mustCreate(w, runtime.StartOptions{})
	s.mustRemove(w)
	if instance, ok := s.listed(s.client, w); ok {
		s.Fatalf("removed instance is listed: %+v", instance)
	}
	if second := s.mustStart(w, runtime.StartOptions{}); second.RuntimeID == first.RuntimeID {
		s.Fatalf("id is %s again, want a new instance", second.RuntimeID)
	}
}

func testCreateRunning(s *scene) {
	c := newCreating(s)
	w := s.workload("running", Script{Body: forever})
	first := s.mustStart(w, runtime.StartOptions{})
	instance, err := c.creator.Create(s.ctx, w, runtime.StartOptions{})
	if err != nil || instance.RuntimeID != first.RuntimeID || instance.Status != runtime.StatusRunning {
		s.Fatalf("create of what runs returned %+v (%v), want it left alone: %+v", instance, err, first)
	}
}

// testCreatedByAnother plays an agent that dies between creation and start.
func testCreatedByAnother(s *scene) {
	c := newCreating(s)
	w := s.workload("orphan", Script{Body: forever})
	c.mustCreate(w, runtime.StartOptions{})
	client, closeClient := s.harness.Open(s.T, s.agent)
	defer closeClient()
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	started, err := client.Start(ctx, w, runtime.StartOptions{})
	if err != nil {
		s.Fatal(err)
	}
	if listed, ok := s.listed(client, w); !ok || listed.Status != runtime.StatusRunning || listed.RuntimeID != started.RuntimeID {
		s.Fatalf("listed instance is %+v, want what was started: %+v", listed, started)
	}
	// Once: it is the only one of the name, also for the first client.
	if again := s.mustStart(w, runtime.StartOptions{}); again.RuntimeID != started.RuntimeID {
		s.Fatalf("the first client started %s, want the one that runs: %s", again.RuntimeID, started.RuntimeID)
	}
}

func testCreateMounts(s *scene) {
	c := newCreating(s)
	d := newShown(s)
	script := findFiles + `for file in one two; do test ! -f "$files/etc/$file.suite" || cat "$files/etc/$file.suite"; done; echo; ` + forever
	w := s.workload("others", Script{Body: script})
	c.mustCreate(w, runtime.StartOptions{Mounts: d.mustPut(map[string]string{"/etc/one.suite": "first"})})
	s.mustStart(w, runtime.StartOptions{Mounts: d.mustPut(map[string]string{"/etc/two.suite": "second"})})
	s.mustPrint(w, "ready")
	s.mustBeLines(s.mustLogs(w, runtime.LogOptions{Tail: -1}), "second", "ready")
}
