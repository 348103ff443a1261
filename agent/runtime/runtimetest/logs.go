package runtimetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func (s *scene) mustLogs(w *argosyv1.Workload, options runtime.LogOptions) []runtime.LogLine {
	s.Helper()
	var lines []runtime.LogLine
	err := s.client.Logs(s.ctx, argosyv1.InstanceOf(w), options, func(line runtime.LogLine) error {
		line.Line = bytes.Clone(line.Line)
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		s.Fatalf("logs of %s: %v", w.GetName(), err)
	}
	return lines
}

func (s *scene) mustBeLines(got []runtime.LogLine, want ...string) {
	s.Helper()
	if !slices.Equal(texts(got), want) {
		s.Fatalf("lines are %q, want %q", texts(got), want)
	}
}

func testLogs(s *scene) {
	// Between the streams the order is only certain where time has passed, as
	// they are two.
	w := s.workload("prints", Script{
		Body: "echo one; sleep 0.3; echo two >&2; sleep 0.3; echo three; sleep 0.3; echo '  four  ' >&2; echo >&2",
	})
	s.mustStart(w, runtime.StartOptions{})
	s.mustEnd(w)
	lines := s.mustLogs(w, runtime.LogOptions{Tail: -1})
	s.mustBeLines(lines, "one", "two", "three", "  four  ", "")
	for i, line := range lines {
		if wantStderr := i == 1 || i >= 3; line.Stderr != wantStderr {
			s.Errorf("line %q: stderr is %v, want %v", line.Line, line.Stderr, wantStderr)
		}
		if line.Time.IsZero() || i > 0 && line.Time.Before(lines[i-1].Time) {
			s.Errorf("line %q has time %v, want one that is not before the line above", line.Line, line.Time)
		}
	}

	var numbers []string
	for i := range 2000 {
		numbers = append(numbers, fmt.Sprint(i))
	}
	busy := s.workload("busy", Script{Body: "i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done"})
	s.mustStart(busy, runtime.StartOptions{})
	s.mustEnd(busy)
	s.mustBeLines(s.mustLogs(busy, runtime.LogOptions{Tail: -1}), numbers...)
}

func testLogsRunning(s *scene) {
	w := s.workload("running", Script{Body: "echo one; echo two; " + forever})
	s.mustStart(w, runtime.StartOptions{})
	s.mustPrint(w, "ready")
	s.mustBeLines(s.mustLogs(w, runtime.LogOptions{Tail: -1}), "one", "two", "ready")
}

func testLogsTail(s *scene) {
	w := s.workload("tailed", Script{Body: "for i in 1 2 3 4 5; do echo $i; done; " + forever})
	s.mustStart(w, runtime.StartOptions{})
	s.mustPrint(w, "ready")
	s.mustBeLines(s.mustLogs(w, runtime.LogOptions{Tail: 2}), "5", "ready")
	s.mustBeLines(s.mustLogs(w, runtime.LogOptions{Tail: 0}))
	s.mustBeLines(s.mustLogs(w, runtime.LogOptions{Tail: 100}), "1", "2", "3", "4", "5", "ready")
	follower := s.follow(s.client, w, runtime.LogOptions{Tail: 1})
	follower.await("ready")
	follower.stop()
	lines, _ := follower.all()
	s.mustBeLines(lines, "ready")
}

func testLogsTime(s *scene) {
	w := s.workload("timed", Script{Body: "echo one; sleep 1.2; echo two; sleep 1.2; echo three"})
	s.mustStart(w, runtime.StartOptions{})
	s.mustEnd(w)
	lines := s.mustLogs(w, runtime.LogOptions{Tail: -1})
	s.mustBeLines(lines, "one", "two", "three")
	between := func(a, b runtime.LogLine) time.Time { return a.Time.Add(b.Time.Sub(a.Time) / 2) }
	early, late := between(lines[0], lines[1]), between(lines[1], lines[2])
	s.mustBeLines(s.mustLogs(w, runtime.LogOptions{Tail: -1, Since: early}), "two", "three")
	s.mustBeLines(s.mustLogs(w, runtime.LogOptions{Tail: -1, Until: late}), "one", "two")
	s.mustBeLines(s.mustLogs(w, runtime.LogOptions{Tail: -1, Since: early, Until: late}), "two")
	s.mustBeLines(s.mustLogs(w, runtime.LogOptions{Tail: -1, Since: lines[2].Time.Add(time.Hour)}))
}

func testLogsFollow(s *scene) {
	w := s.workload("followed", Script{
		Body: "echo one; sleep 0.3; echo two >&2; sleep 0.3; echo three; exit 4",
	})
	s.mustStart(w, runtime.StartOptions{})
	follower := s.follow(s.client, w, runtime.LogOptions{Tail: -1})
	if err := follower.awaitEnd(); err != nil {
		s.Fatalf("logs ended with %v, want no error", err)
	}
	s.mustBeLines(follower.lines, "one", "two", "three")
	// Of what has ended already, a follower gets everything and the end.
	s.mustEnd(w)
	late := s.follow(s.client, w, runtime.LogOptions{Tail: -1})
	if err := late.awaitEnd(); err != nil {
		s.Fatalf("logs ended with %v, want no error", err)
	}
	s.mustBeLines(late.lines, "one", "two", "three")
}

func testLogsFollowCancelled(s *scene) {
	w := s.workload("left", Script{Body: forever})
	s.mustStart(w, runtime.StartOptions{})
	follower := s.follow(s.client, w, runtime.LogOptions{Tail: -1})
	follower.await("ready")
	follower.cancel(errStopped)
	if err := follower.awaitEnd(); !errors.Is(err, errStopped) {
		s.Fatalf("logs ended with %v, want the cause of the context", err)
	}
}

func testLogsFollowRemoved(s *scene) {
	w := s.workload("removed", Script{
		Body:        "trap 'echo stopping; exit 0' TERM; echo ready; sleep 100000 & wait",
		StopTimeout: ages,
	})
	s.mustStart(w, runtime.StartOptions{})
	follower := s.follow(s.client, w, runtime.LogOptions{Tail: -1})
	follower.await("ready")
	s.mustRemove(w)
	if err := follower.awaitEnd(); err != nil && !errors.Is(err, runtime.ErrNotFound) {
		s.Fatalf("logs ended with %v, want no error", err)
	}
	if !s.harness.LogsVanish {
		s.mustBeLines(follower.lines, "ready", "stopping")
	}
}

func testLogsLines(s *scene) {
	const length = 20000
	w := s.workload("lines", Script{
		Body: fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x; echo; printf 'tab\\there\\r\\n'; printf 'no end'", length),
	})
	s.mustStart(w, runtime.StartOptions{})
	s.mustEnd(w)
	lines := s.mustLogs(w, runtime.LogOptions{Tail: -1})
	want := []string{strings.Repeat("x", length), "tab\there\r", "no end"}
	if got := texts(lines); !slices.Equal(got, want) {
		lengths := make([]int, 0, len(got))
		for _, line := range got {
			lengths = append(lengths, len(line))
		}
		s.Fatalf("lines of lengths %v, want %d, 9 and 6, the last two as printed: %q", lengths, length, got[max(0, len(got)-2):])
	}
}

func testLogsError(s *scene) {
	w := s.workload("refused", Script{Body: "echo one; echo two"})
	s.mustStart(w, runtime.StartOptions{})
	s.mustEnd(w)
	refused := errors.New("refused by the reader")
	calls := 0
	err := s.client.Logs(s.ctx, argosyv1.InstanceOf(w), runtime.LogOptions{Tail: -1}, func(runtime.LogLine) error {
		calls++
		return refused
	})
	if !errors.Is(err, refused) || calls != 1 {
		s.Fatalf("logs ended with %v after %d lines, want the reader's error after one", err, calls)
	}
}

func testLogsUnknown(s *scene) {
	w := s.workload("unknown", Script{Body: forever})
	for _, follow := range []bool{false, true} {
		err := s.client.Logs(s.ctx, argosyv1.InstanceOf(w), runtime.LogOptions{Tail: -1, Follow: follow},
			func(runtime.LogLine) error { return nil })
		if !errors.Is(err, runtime.ErrNotFound) {
			s.Fatalf("logs ended with %v, want %v", err, runtime.ErrNotFound)
		}
	}
}

func testLogsOutlive(s *scene) {
	first, closeFirst := s.harness.Open(s.T, s.agent)
	w := s.workload("outlives", Script{Body: "echo before; " + forever})
	if _, err := first.Start(s.ctx, w, runtime.StartOptions{}); err != nil {
		s.Fatalf("start: %v", err)
	}
	s.mustPrint(w, "ready")
	closeFirst()
	second, closeSecond := s.harness.Open(s.T, s.agent)
	defer closeSecond()
	var lines []runtime.LogLine
	err := second.Logs(context.WithoutCancel(s.ctx), argosyv1.InstanceOf(w), runtime.LogOptions{Tail: -1},
		func(line runtime.LogLine) error {
			line.Line = bytes.Clone(line.Line)
			lines = append(lines, line)
			return nil
		})
	if err != nil {
		s.Fatalf("logs by the second client: %v", err)
	}
	s.mustBeLines(lines, "before", "ready")
}
