package limits

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// tellEvery is how often it is logged that connections are refused.
const tellEvery = 10 * time.Second

// Listener takes no more than so many connections at a time. Further ones are
// closed at once: to let them wait unanswered would look like a dead server.
func (c Config) Listener(inner net.Listener, log *slog.Logger) net.Listener {
	return &listener{Listener: inner, most: int64(c.MaxConnections), log: log, pacer: newPacer()}
}

type listener struct {
	net.Listener
	most int64
	log  *slog.Logger
	open atomic.Int64
	// Owned by the goroutine that accepts.
	pacer   *pacer
	told    time.Time
	refused int
}

// Accept returns the next connection that there is room for.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.most {
			l.pacer.next()
			return &counted{Conn: conn, release: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
		}
		l.open.Add(-1)
		_ = conn.Close()
		l.refused++
		if now := time.Now(); now.Sub(l.told) >= tellEvery {
			l.log.Warn("connections were refused: too many are open", "open", l.most, "refused", l.refused, "last", conn.RemoteAddr().String())
			l.told, l.refused = now, 0
		}
	}
}

// counted is a connection that gives its place back once.
type counted struct {
	net.Conn
	release func()
}

func (c *counted) Close() error {
	defer c.release()
	return c.Conn.Close()
}
