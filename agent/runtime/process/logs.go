package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/process/logfile"
	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Logs reads the log file itself; the keeper says where it is and when it has
// grown. A follower goes on when the keeper is followed by another.
func (r *Runtime) Logs(ctx context.Context, name *argosyv1.InstanceName, options runtime.LogOptions, emit func(runtime.LogLine) error) error {
	logs := &logStream{runtime: r, options: options, emit: emit}
	defer logs.close()
	// With Follow, the time up to which lines are wanted passes while waiting.
	wanted := ctx
	if options.Follow && !options.Until.IsZero() {
		var cancel context.CancelFunc
		wanted, cancel = context.WithDeadlineCause(ctx, options.Until, errUntil)
		defer cancel()
	}
	request := wire.Request{Op: wire.OpLogs, Name: nameOf(name), Follow: options.Follow}
	for {
		err := r.converse(wanted, request, logs.run)
		switch {
		case errors.Is(err, errEnded) && ctx.Err() == nil:
			continue
		case errors.Is(err, errUntil) && ctx.Err() == nil:
			// What was printed before that may not have been read yet.
			wanted, request.Follow, logs.options.Follow = ctx, false, false
			continue
		case errors.Is(err, runtime.ErrNotFound) && logs.reader != nil:
			// Removed while the keeper was lost; the reader still has what it printed.
			return logs.read(true)
		case err != nil:
			return fmt.Errorf("logs of %s: %w", name.GetWorkload(), err)
		}
		return nil
	}
}

var errUntil = errors.New("time wanted of the logs has passed")

// logStream is one reading of a log.
type logStream struct {
	runtime *Runtime
	options runtime.LogOptions
	emit    func(runtime.LogLine) error
	reader  *logfile.Reader
	tailed  bool
	// place tells that the line was met after which lines are wanted.
	place bool
}

func (l *logStream) close() {
	if l.reader != nil {
		_ = l.reader.Close()
	}
}

func (l *logStream) run(connection net.Conn) error {
	var response wire.Response
	if err := receive(connection, &response); err != nil {
		return err
	}
	if planted.On(planted.RepeatedLine) {
		l.close()
		l.reader = nil
	}
	dir := filepath.Join(l.runtime.cfg.Dir, response.LogDir)
	if l.reader != nil && !l.reader.Reads(dir) {
		// The instance was made anew while the keeper was lost; this one has ended.
		return l.read(true)
	}
	if l.reader == nil {
		reader, err := logfile.OpenReader(dir)
		if err != nil {
			return err
		}
		l.reader = reader
	}
	for {
		if err := l.read(response.Ended); err != nil {
			return err
		}
		if response.Ended || !l.options.Follow {
			return nil
		}
		response = wire.Response{}
		if err := wire.Read(connection, &response); err != nil {
			// Everything that was told of was read; the next keeper tells the rest.
			return fmt.Errorf("%w: %w", errEnded, err)
		}
	}
}

// read emits what is there; with ended, also lines that were not ended.
func (l *logStream) read(ended bool) error {
	after := l.options.After
	if after.Position == 0 && l.options.Tail >= 0 && !l.tailed {
		return l.readTail(ended)
	}
	if err := l.readOn(ended); err != nil {
		return err
	}
	if after.Position != 0 && !l.place {
		return fmt.Errorf("%w: its lines from %s and before were dropped since", runtime.ErrPlaceGone, after.Time.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

func (l *logStream) readOn(ended bool) error {
	for {
		record, err := l.reader.Next()
		if err != nil {
			return err
		}
		if record == nil {
			break
		}
		if err := l.tell(*record); err != nil {
			return err
		}
	}
	if !ended {
		return nil
	}
	for _, record := range l.reader.Rest() {
		if err := l.tell(record); err != nil {
			return err
		}
	}
	return nil
}

// readTail reads everything that is there and emits the last lines of it.
func (l *logStream) readTail(ended bool) error {
	l.tailed = true
	var last []logfile.Record
	emit := l.emit
	l.emit = func(line runtime.LogLine) error {
		if l.options.Tail == 0 {
			return nil
		}
		record := logfile.Record{
			Line: append([]byte(nil), line.Line...), Stderr: line.Stderr, Time: line.Time, Position: line.Position, Size: len(line.Line),
		}
		if line.Truncated {
			record.Size++
		}
		if len(last) < l.options.Tail {
			last = append(last, record)
			return nil
		}
		last = append(last[1:], record)
		return nil
	}
	err := l.readOn(ended)
	l.emit = emit
	if err != nil {
		return err
	}
	for _, record := range last {
		if err := l.tell(record); err != nil {
			return err
		}
	}
	return nil
}

func (l *logStream) tell(record logfile.Record) error {
	switch after := l.options.After; {
	case after.Position != 0:
		if !l.place {
			// A log of another instance of this name has another line there, if any.
			l.place = record.Position == after.Position && record.Time.Equal(after.Time)
			return nil
		}
	case !l.options.Since.IsZero() && record.Time.Before(l.options.Since):
		return nil
	}
	if !l.options.Until.IsZero() && record.Time.After(l.options.Until) {
		return nil
	}
	err := l.emit(runtime.LogLine{
		Line: record.Line, Truncated: record.Size > len(record.Line), Stderr: record.Stderr, Time: record.Time, Position: record.Position,
	})
	if err == nil && record.Size > runtime.MaxLineRead {
		err = runtime.ErrLineTooLong
	}
	return err
}
