package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// raftLog gives Raft's log to slog. Warnings and errors that repeat are let
// through ever more seldom, and that another server cannot be reached is no
// error of this one.
type raftLog struct {
	to    *slog.Logger
	name  string
	args  []any
	quiet *limiter
}

var _ hclog.Logger = (*raftLog)(nil)

func newRaftLog(to *slog.Logger) *raftLog {
	return &raftLog{to: to, quiet: newLimiter(5 * time.Second)}
}

// milder are what Raft calls errors, and what they are: another server is away, or
// a leader learns that there is the next one.
var milder = map[string]slog.Level{
	"failed to appendEntries to":                slog.LevelWarn,
	"failed to heartbeat to":                    slog.LevelWarn,
	"failed to make requestVote RPC":            slog.LevelWarn,
	"peer has newer term, stopping replication": slog.LevelInfo,
}

// raftLevel is how bad it is what Raft says.
func raftLevel(level hclog.Level, message string, args []any) slog.Level {
	at := slogLevel(level)
	if at != slog.LevelError {
		return at
	}
	if is, ok := milder[message]; ok {
		return is
	}
	for _, arg := range args {
		if err, ok := arg.(error); ok && errors.Is(err, raft.ErrNothingNewToSnapshot) {
			// It was looked at twice, which takes nothing from anybody.
			return slog.LevelDebug
		}
	}
	return at
}

func slogLevel(level hclog.Level) slog.Level {
	switch level {
	case hclog.Trace, hclog.Debug:
		return slog.LevelDebug
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Error:
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

func (r *raftLog) Log(level hclog.Level, message string, args ...any) {
	at := raftLevel(level, message, args)
	if !r.to.Enabled(context.Background(), at) {
		return
	}
	if at >= slog.LevelWarn {
		key := message
		if len(args) > 1 {
			key += fmt.Sprint(args[1])
		}
		ok, held := r.quiet.allow(key)
		if !ok {
			return
		}
		if held > 0 {
			args = append(args[:len(args):len(args)], "repeated", held)
		}
	}
	plain := make([]any, len(args))
	for i, arg := range args {
		plain[i] = arg
		if format, ok := arg.(hclog.Format); ok && len(format) > 0 {
			plain[i] = fmt.Sprintf(format[0].(string), format[1:]...)
		}
	}
	r.to.Log(context.Background(), at, "raft: "+message, plain...)
}

func (r *raftLog) Trace(string, ...any)              {}
func (r *raftLog) Debug(message string, args ...any) { r.Log(hclog.Debug, message, args...) }
func (r *raftLog) Info(message string, args ...any)  { r.Log(hclog.Info, message, args...) }
func (r *raftLog) Warn(message string, args ...any)  { r.Log(hclog.Warn, message, args...) }
func (r *raftLog) Error(message string, args ...any) { r.Log(hclog.Error, message, args...) }

func (r *raftLog) enabled(level slog.Level) bool {
	return r.to.Enabled(context.Background(), level)
}

func (r *raftLog) IsTrace() bool { return false }
func (r *raftLog) IsDebug() bool { return r.enabled(slog.LevelDebug) }
func (r *raftLog) IsInfo() bool  { return r.enabled(slog.LevelInfo) }
func (r *raftLog) IsWarn() bool  { return r.enabled(slog.LevelWarn) }
func (r *raftLog) IsError() bool { return r.enabled(slog.LevelError) }

func (r *raftLog) ImpliedArgs() []any { return r.args }
func (r *raftLog) Name() string       { return r.name }

func (r *raftLog) With(args ...any) hclog.Logger {
	return &raftLog{to: r.to.With(args...), name: r.name, args: append(r.args[:len(r.args):len(r.args)], args...), quiet: r.quiet}
}

func (r *raftLog) Named(name string) hclog.Logger { return r.ResetNamed(name) }

func (r *raftLog) ResetNamed(name string) hclog.Logger {
	return &raftLog{to: r.to, name: name, args: r.args, quiet: r.quiet}
}

// SetLevel does nothing: the level is slog's.
func (r *raftLog) SetLevel(hclog.Level) {}

func (r *raftLog) GetLevel() hclog.Level {
	for _, level := range []hclog.Level{hclog.Debug, hclog.Info, hclog.Warn} {
		if r.enabled(slogLevel(level)) {
			return level
		}
	}
	return hclog.Error
}

func (r *raftLog) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return slog.NewLogLogger(r.to.Handler(), slog.LevelInfo)
}

func (r *raftLog) StandardWriter(options *hclog.StandardLoggerOptions) io.Writer {
	return r.StandardLogger(options).Writer()
}
