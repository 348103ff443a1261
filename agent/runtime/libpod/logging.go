package libpod

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/sirupsen/logrus"
)

// logrusTarget is where the bindings' lines go. They log through a global
// logger, so the last runtime made in a process gets them.
var (
	logrusTarget atomic.Pointer[slog.Logger]
	logrusOnce   sync.Once
)

// routeLogrus sends what the bindings log into ours.
func routeLogrus(logger *slog.Logger) {
	logrusTarget.Store(logger)
	logrusOnce.Do(func() {
		logrus.SetOutput(io.Discard)
		logrus.AddHook(logrusHook{})
	})
	level := logrus.WarnLevel
	if logger.Enabled(context.Background(), slog.LevelDebug) {
		level = logrus.DebugLevel
	}
	logrus.SetLevel(level)
}

type logrusHook struct{}

func (logrusHook) Levels() []logrus.Level { return logrus.AllLevels }

func (logrusHook) Fire(entry *logrus.Entry) error {
	level := slog.LevelDebug
	switch entry.Level {
	case logrus.PanicLevel, logrus.FatalLevel, logrus.ErrorLevel:
		level = slog.LevelError
	case logrus.WarnLevel:
		level = slog.LevelWarn
	}
	logrusTarget.Load().Log(context.Background(), level, "podman's client library logged", "line", entry.Message)
	return nil
}
