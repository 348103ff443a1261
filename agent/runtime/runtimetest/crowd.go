package runtimetest

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func testMany(s *scene) {
	workloads := make([]*argosyv1.Workload, s.harness.Many)
	for i := range workloads {
		workloads[i] = s.workload(fmt.Sprintf("many-%d", i), Script{Body: fmt.Sprintf("n=%d; %s", i, forever)})
	}
	var starts errgroup.Group
	for _, w := range workloads {
		starts.Go(func() error {
			_, err := s.client.Start(s.ctx, w, runtime.StartOptions{})
			return err
		})
	}
	if err := starts.Wait(); err != nil {
		s.Fatalf("start of many: %v", err)
	}
	all, err := s.client.List(s.ctx)
	if err != nil {
		s.Fatalf("list: %v", err)
	}
	ids := make(map[string]bool)
	for _, instance := range all {
		if instance.Status == runtime.StatusRunning {
			ids[instance.RuntimeID] = true
		}
	}
	if len(all) != len(workloads) || len(ids) != len(workloads) {
		s.Fatalf("%d are listed and %d of them run apart, want %d", len(all), len(ids), len(workloads))
	}
	for _, w := range workloads {
		s.watcher.await(argosyv1.InstanceOf(w), "running", running)
		s.mustPrint(w, "ready")
	}
	mark := s.watcher.mark()
	var removals errgroup.Group
	for _, w := range workloads {
		removals.Go(func() error { return s.client.Remove(s.ctx, argosyv1.InstanceOf(w)) })
	}
	if err := removals.Wait(); err != nil {
		s.Fatalf("remove of many: %v", err)
	}
	for _, w := range workloads {
		s.watcher.awaitSince(mark, argosyv1.InstanceOf(w), "gone", gone)
	}
}

func testSameAtOnce(s *scene) {
	w := s.workload("same", Script{Body: forever})
	var mu sync.Mutex
	ids := make(map[string]bool)
	var group errgroup.Group
	for range 5 {
		group.Go(func() error {
			instance, err := s.client.Start(s.ctx, w, runtime.StartOptions{})
			mu.Lock()
			defer mu.Unlock()
			ids[instance.RuntimeID] = true
			return err
		})
	}
	if err := group.Wait(); err != nil {
		s.Fatalf("start: %v", err)
	}
	if len(ids) != 1 {
		s.Fatalf("starts returned ids %v, want one", ids)
	}
	s.mustPrint(w, "ready")
	s.mustBeLines(s.mustLogs(w, runtime.LogOptions{Tail: -1}), "ready")
}

func testRemoveWhileStarting(s *scene) {
	for round := range 3 {
		w := s.workload(fmt.Sprintf("hasty-%d", round), Script{Body: fmt.Sprintf("n=%d; %s", round, forever)})
		var group errgroup.Group
		group.Go(func() error {
			// Whether it starts before it is removed, after, or not at all is
			// open; that nothing is left in the end is not.
			_, _ = s.client.Start(s.ctx, w, runtime.StartOptions{})
			return nil
		})
		group.Go(func() error { return s.client.Remove(s.ctx, argosyv1.InstanceOf(w)) })
		if err := group.Wait(); err != nil {
			s.Fatalf("remove while starting: %v", err)
		}
		s.mustRemove(w)
		if instance, ok := s.listed(s.client, w); ok {
			s.Fatalf("left after removal: %+v", instance)
		}
	}
}

func testCancelled(s *scene) {
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	w := s.workload("late", Script{Body: forever})
	if _, err := s.client.Start(ctx, w, runtime.StartOptions{}); err == nil {
		s.Error("start with an ended context: no error")
	}
	if _, err := s.client.List(ctx); err == nil {
		s.Error("list with an ended context: no error")
	}
	if err := s.client.Watch(ctx, func(runtime.Event) {}); err == nil {
		s.Error("watch with an ended context: no error")
	}
	if _, ok := s.listed(s.client, w); ok {
		s.Error("start with an ended context started it")
	}
}
