package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Logs implements runtime.LogReader. Of an instance with one container it gives
// the lines as they are. With several each line begins with the name of its
// container and a colon, or with pod/container when there are several pods, and
// what was printed already comes in order of time, as far as podman tells it
// (podman 4: in seconds). Tail counts the lines of all containers together. The
// lines that are printed while following come as podman hands them out, and
// following ends when all containers have ended.
func (k *Kube) Logs(ctx context.Context, name *argosyv1.InstanceName, options runtime.LogOptions, emit func(runtime.LogLine) error) error {
	found, err := k.look(ctx, name)
	if err != nil {
		return fmt.Errorf("read logs of %s: %w", name.Key(), err)
	}
	sources := sourcesOf(found)
	switch {
	case len(sources) == 0:
		err = runtime.ErrNotFound
	case len(sources) == 1:
		err = k.client.Log(ctx, sources[0].id, options, emit)
	case options.Follow:
		err = k.follow(ctx, sources, options, emit)
	default:
		err = k.merge(ctx, sources, options, func(_ int, line runtime.LogLine) error { return emit(line) })
	}
	if err != nil {
		return fmt.Errorf("read logs of %s: %w", name.Key(), err)
	}
	return nil
}

// source is a container whose log is read.
type source struct {
	id     string
	prefix string // of its lines
}

// sourcesOf returns the containers of an instance in order of their names.
func sourcesOf(found []libpod.Container) []source {
	containers := slices.DeleteFunc(slices.Clone(found), isRecord)
	slices.SortFunc(containers, func(a, b libpod.Container) int {
		return cmp.Or(cmp.Compare(a.PodName, b.PodName), cmp.Compare(a.Container, b.Container))
	})
	onePod := !slices.ContainsFunc(containers, func(c libpod.Container) bool { return c.Pod != containers[0].Pod })
	sources := make([]source, len(containers))
	for i, c := range containers {
		prefix := strings.TrimPrefix(c.Container, c.PodName+"-") + ": "
		if !onePod {
			prefix = c.PodName + "/" + prefix
		}
		sources[i] = source{id: c.RuntimeID, prefix: prefix}
	}
	return sources
}

func (s source) prefixed(line runtime.LogLine) runtime.LogLine {
	line.Line = append([]byte(s.prefix), line.Line...)
	return line
}

// merge hands out what the containers have printed, in order of time, with the
// number of the source.
func (k *Kube) merge(ctx context.Context, sources []source, options runtime.LogOptions, emit func(int, runtime.LogLine) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	options.Follow = false
	reads := newReads(len(sources))
	streams := make([]chan runtime.LogLine, len(sources))
	for i, s := range sources {
		streams[i] = make(chan runtime.LogLine, 16)
		reads.Go(func() error {
			defer close(streams[i])
			return reads.passOver(k.client.Log(ctx, s.id, options, func(line runtime.LogLine) error {
				select {
				case streams[i] <- s.prefixed(line):
					return nil
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}))
		})
	}
	err := inOrder(streams, options.Tail, emit)
	cancel(err)
	if readErr := reads.wait(); err == nil {
		err = readErr
	}
	return err
}

// inOrder hands out lines of several streams in order of time: all of them, or,
// when tail is not negative, the last ones.
func inOrder(streams []chan runtime.LogLine, tail int, emit func(int, runtime.LogLine) error) error {
	type numbered struct {
		runtime.LogLine
		stream int
	}
	var heads, last []numbered // last is a ring
	count := 0
	next := func(stream int) {
		if line, ok := <-streams[stream]; ok {
			heads = append(heads, numbered{line, stream})
		}
	}
	for i := range streams {
		next(i)
	}
	for len(heads) > 0 {
		first := slices.MinFunc(heads, func(a, b numbered) int {
			return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.stream, b.stream))
		})
		heads = slices.DeleteFunc(heads, func(h numbered) bool { return h.stream == first.stream })
		if tail < 0 {
			if err := emit(first.stream, first.LogLine); err != nil {
				return err
			}
		} else if len(last) < tail {
			last = append(last, first)
		} else if tail > 0 {
			last[count%tail] = first
		}
		count++
		next(first.stream)
	}
	for i := range last {
		line := last[(count+i)%len(last)]
		if err := emit(line.stream, line.LogLine); err != nil {
			return err
		}
	}
	return nil
}

// follow hands out what the containers print, until all have ended.
func (k *Kube) follow(ctx context.Context, sources []source, options runtime.LogOptions, emit func(runtime.LogLine) error) error {
	tails, err := k.tails(ctx, sources, options)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hand := oneAtATime(ctx, cancel, emit)
	reads := newReads(len(sources))
	for i, s := range sources {
		options := options
		options.Tail = tails[i]
		reads.Go(func() error {
			err := reads.passOver(k.client.Log(ctx, s.id, options, func(line runtime.LogLine) error {
				return hand(s.prefixed(line))
			}))
			if err != nil {
				cancel(err)
			}
			return err
		})
	}
	return reads.wait()
}

// oneAtATime lets several readers hand out lines. The first error ends it for all
// of them, at once: who wanted no more is not called again.
func oneAtATime(ctx context.Context, cancel context.CancelCauseFunc, emit func(runtime.LogLine) error) func(runtime.LogLine) error {
	var mu sync.Mutex
	return func(line runtime.LogLine) error {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := emit(line)
		if err != nil {
			cancel(err)
		}
		return err
	}
}

// tails says how many of the last lines of all are whose.
func (k *Kube) tails(ctx context.Context, sources []source, options runtime.LogOptions) ([]int, error) {
	tails := make([]int, len(sources))
	switch {
	case options.Tail < 0:
		for i := range tails {
			tails[i] = options.Tail
		}
		return tails, nil
	case options.Tail == 0:
		return tails, nil
	}
	err := k.merge(ctx, sources, options, func(source int, _ runtime.LogLine) error {
		tails[source]++
		return nil
	})
	return tails, err
}

// reads are readers of several logs. A container that is gone counts as one that
// has printed nothing, as long as there is another.
type reads struct {
	errgroup.Group
	mu    sync.Mutex
	there int // containers that are not gone
}

func newReads(count int) *reads { return &reads{there: count} }

// passOver passes over that a container is gone.
func (r *reads) passOver(err error) error {
	if !errors.Is(err, runtime.ErrNotFound) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.there--
	return nil
}

// wait returns the first error when all have ended.
func (r *reads) wait() error {
	err := r.Wait()
	if err == nil && r.there == 0 {
		return runtime.ErrNotFound
	}
	return err
}
