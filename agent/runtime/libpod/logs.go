package libpod

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/containers/podman/v5/pkg/bindings/containers"

	"github.com/argosy-cluster/argosy/agent/runtime"
)

// Log reads the log of a container, as runtime.LogReader does that of an
// instance. Following ends when the container ends.
func (c *Client) Log(ctx context.Context, id string, options runtime.LogOptions, emit func(runtime.LogLine) error) error {
	reader := &logReader{options: options, emit: emit}
	var follows *follower
	if options.Follow {
		var leave func()
		follows, leave = c.readers.enter(id)
		defer leave()
	}
	err := c.Stream(ctx, "read log", func(ctx context.Context) error { return reader.read(ctx, id) })
	switch {
	case reader.failure != nil:
		return reader.failure
	case IsCode(err, http.StatusNotFound):
		return runtime.ErrNotFound
	case err != nil:
		return err
	case follows != nil && follows.cut.Load():
		return errCutOff
	}
	return nil
}

// logReader puts lines together from what podman sends: pieces of lines, each
// with a time before it.
type logReader struct {
	options runtime.LogOptions
	emit    func(runtime.LogLine) error
	pending [2]pendingLine // of standard output, of standard error
	failure error          // of emit
}

type pendingLine struct {
	text []byte // as much of it as is handed out
	size int
	time time.Time
}

// read reads to the end.
func (r *logReader) read(ctx context.Context, id string) error {
	return r.readFrom(ctx, func(ctx context.Context, stdout, stderr chan string) error {
		return containers.Logs(ctx, id, r.request(), stdout, stderr)
	})
}

// readFrom reads what source writes until that returns. The bindings write into the
// channels without looking at the context: they are drained until then.
func (r *logReader) readFrom(ctx context.Context, source func(ctx context.Context, stdout, stderr chan string) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stdout, stderr := make(chan string), make(chan string)
	result := make(chan error, 1)
	go func() { result <- source(ctx, stdout, stderr) }()
	for {
		var piece string
		var stream int
		select {
		case piece = <-stdout:
		case piece = <-stderr:
			stream = 1
		case err := <-result:
			if err != nil || ctx.Err() != nil {
				return err
			}
			return r.finish()
		}
		if ctx.Err() != nil {
			continue
		}
		if r.failure = r.add(stream, piece); r.failure != nil {
			cancel()
		}
	}
}

func (r *logReader) request() *containers.LogOptions {
	request := new(containers.LogOptions).WithFollow(r.options.Follow).
		WithStdout(true).WithStderr(true).WithTimestamps(true)
	if r.options.Tail >= 0 {
		request.WithTail(strconv.Itoa(r.options.Tail))
	}
	// Podman 4 tells the time of a line in seconds and limits by nanoseconds. The
	// limits are widened to whole seconds here and applied to what is told.
	if since := r.options.Since; !since.IsZero() {
		request.WithSince(since.UTC().Truncate(time.Second).Add(-1).Format(time.RFC3339Nano))
	}
	if until := r.options.Until; !until.IsZero() {
		request.WithUntil(until.UTC().Truncate(time.Second).Add(time.Second).Format(time.RFC3339Nano))
	}
	return request
}

// wanted says whether a line is within the limits of time.
func (r *logReader) wanted(at time.Time) bool {
	since, until := r.options.Since, r.options.Until
	return at.IsZero() || !at.Before(since) && (until.IsZero() || !at.After(until))
}

// add takes in a piece: a line with its end, or a part of one without.
func (r *logReader) add(stream int, piece string) error {
	line := &r.pending[stream]
	at, text := splitTime(piece)
	if line.size == 0 {
		line.time = at
	}
	text, whole := strings.CutSuffix(text, "\n")
	line.size += len(text)
	line.text = append(line.text, text[:min(len(text), runtime.MaxLine-len(line.text))]...)
	if whole {
		return r.flush(stream)
	}
	if line.size <= runtime.MaxLineRead {
		return nil
	}
	if err := r.flush(stream); err != nil {
		return err
	}
	return runtime.ErrLineTooLong
}

// finish hands out what had no end.
func (r *logReader) finish() error {
	for stream := range r.pending {
		if r.pending[stream].size == 0 {
			continue
		}
		if r.failure = r.flush(stream); r.failure != nil {
			return r.failure
		}
	}
	return nil
}

func (r *logReader) flush(stream int) error {
	line := &r.pending[stream]
	text, truncated := line.text, line.size > len(line.text)
	line.text, line.size = line.text[:0], 0
	if !r.wanted(line.time) {
		return nil
	}
	return r.emit(runtime.LogLine{Line: text, Truncated: truncated, Stderr: stream == 1, Time: line.time})
}

// splitTime takes the time from the beginning of a piece.
func splitTime(piece string) (time.Time, string) {
	for i := range min(len(piece), len(time.RFC3339Nano)+1) {
		if piece[i] != ' ' {
			continue
		}
		if at, err := time.Parse(time.RFC3339Nano, piece[:i]); err == nil {
			return at, piece[i+1:]
		}
		break
	}
	return time.Time{}, piece
}
