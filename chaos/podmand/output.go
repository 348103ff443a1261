package podmand

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// tail hands lines to a logger and keeps the last ones for error messages.
type tail struct {
	logger *slog.Logger

	mu      sync.Mutex
	partial []byte
	lines   []string
}

const tailLines = 10

func (t *tail) Write(data []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.partial = append(t.partial, data...)
	for {
		line, rest, found := bytes.Cut(t.partial, []byte("\n"))
		if !found {
			return len(data), nil
		}
		t.logger.Info("podman service printed", "line", string(line))
		t.lines = append(t.lines, string(line))
		t.lines = t.lines[max(0, len(t.lines)-tailLines):]
		t.partial = rest
	}
}

// quote returns the last lines for the end of an error message.
func (t *tail) quote() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == 0 {
		return ""
	}
	return "; it printed:\n" + strings.Join(t.lines, "\n")
}
