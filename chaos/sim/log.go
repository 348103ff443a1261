package sim

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// listener is the log of one life: it hears who leads, and what should not be
// there. After the end of that life it hears nothing.
type listener struct {
	slog.Handler
	world   *world
	process string
	id      *atomic.Pointer[string]
	dead    *atomic.Bool
}

var _ slog.Handler = (*listener)(nil)

// Enabled implements slog.Handler.
func (l *listener) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle implements slog.Handler.
func (l *listener) Handle(ctx context.Context, r slog.Record) error {
	if l.dead.Load() {
		return nil
	}
	switch r.Message {
	case "leadership began", "leadership ended":
		var term uint64
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "term" {
				term = a.Value.Uint64()
			}
			return true
		})
		l.world.led(history.Leadership{
			Server: l.process, ID: *l.id.Load(), Term: term, Gained: r.Message == "leadership began", At: l.world.clock(),
		})
	}
	if r.Message == "settings of the cluster were brought up to date" {
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "feature_level" {
				l.world.record.Level(history.Level{Server: l.process, At: l.world.clock(), Raised: uint32(a.Value.Uint64())})
			}
			return true
		})
	}
	if r.Level >= slog.LevelError {
		l.world.record.Line(history.Line{Process: l.process, At: l.world.clock(), Kind: "error", Text: text(r)})
	}
	if l.Handler.Enabled(ctx, r.Level) {
		return l.Handler.Handle(ctx, r)
	}
	return nil
}

// text is a record as people read it.
func text(r slog.Record) string {
	var b strings.Builder
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%q", a.Key, a.Value.String())
		return true
	})
	return b.String()
}

// WithAttrs implements slog.Handler.
func (l *listener) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *l
	c.Handler = l.Handler.WithAttrs(attrs)
	return &c
}

// WithGroup implements slog.Handler.
func (l *listener) WithGroup(name string) slog.Handler {
	c := *l
	c.Handler = l.Handler.WithGroup(name)
	return &c
}
