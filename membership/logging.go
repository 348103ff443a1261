package membership

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"sync"
	"time"
)

const (
	// logBacklog is how many lines may wait for a slow log.
	logBacklog = 256
	// logRepeat is how long a line is not repeated: what gossip has to complain
	// of, it complains of with every packet.
	logRepeat = 30 * time.Second
	// logLongest cuts lines off: memberlist prints whole metadata byte by byte.
	logLongest = 400
)

// journal is a slog.Handler that never waits: a goroutine of its own hands the
// records on, for they are made while memberlist's locks are held. It drops what
// is too much, and what was said in the last half minute. It is also the writer
// that memberlist logs to.
type journal struct {
	slog.Handler
	shared *journalQueue
}

type journalQueue struct {
	records chan queuedRecord
	stopped chan struct{}
	done    chan struct{}
	once    sync.Once

	lock sync.Mutex
	said map[string]time.Time
}

type queuedRecord struct {
	handler slog.Handler
	record  slog.Record
}

func openJournal(logger *slog.Logger) *journal {
	j := &journal{Handler: logger.Handler(), shared: &journalQueue{
		records: make(chan queuedRecord, logBacklog),
		stopped: make(chan struct{}),
		done:    make(chan struct{}),
		said:    map[string]time.Time{},
	}}
	go j.shared.run()
	return j
}

// Handle implements slog.Handler.
func (j *journal) Handle(_ context.Context, record slog.Record) error {
	select {
	case j.shared.records <- queuedRecord{j.Handler, record.Clone()}:
	default:
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (j *journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journal{j.Handler.WithAttrs(attrs), j.shared}
}

// WithGroup implements slog.Handler.
func (j *journal) WithGroup(name string) slog.Handler {
	return &journal{j.Handler.WithGroup(name), j.shared}
}

// Write takes a line of memberlist's log.
func (j *journal) Write(line []byte) (int, error) {
	level, text := parseLine(line)
	if !j.Enabled(context.Background(), level) || !j.first(text) {
		return len(line), nil
	}
	return len(line), j.Handle(context.Background(), slog.NewRecord(time.Now(), level, text, 0))
}

// first tells whether a text has not been said for a while. The ports of
// connections, which are others each time, do not make it another text.
func (j *journal) first(text string) bool {
	key := portPattern.ReplaceAllString(text, ":")
	now := time.Now()
	j.shared.lock.Lock()
	defer j.shared.lock.Unlock()
	if said, ok := j.shared.said[key]; ok && now.Sub(said) < logRepeat {
		return false
	}
	if len(j.shared.said) >= logBacklog {
		clear(j.shared.said)
	}
	j.shared.said[key] = now
	return true
}

var portPattern = regexp.MustCompile(`:\d+`)

// close hands on what waits, and drops what comes later.
func (j *journal) close() {
	j.shared.once.Do(func() { close(j.shared.stopped) })
	<-j.shared.done
}

func (q *journalQueue) run() {
	defer close(q.done)
	for {
		select {
		case queued := <-q.records:
			queued.pass()
		case <-q.stopped:
			for {
				select {
				case queued := <-q.records:
					queued.pass()
				default:
					return
				}
			}
		}
	}
}

func (q queuedRecord) pass() {
	// A log that cannot be written has nowhere to be reported.
	_ = q.handler.Handle(context.Background(), q.record)
}

// parseLine splits a line of memberlist into level and text. What memberlist
// calls an error, such as a probe that failed, is a warning to us, and what it
// finds worth telling we tell in our own words.
func parseLine(line []byte) (slog.Level, string) {
	level := slog.LevelInfo
	for _, prefix := range levelPrefixes {
		if rest, ok := bytes.CutPrefix(line, []byte(prefix.text)); ok {
			level, line = prefix.level, rest
			break
		}
	}
	line = bytes.TrimPrefix(bytes.TrimSpace(line), []byte("memberlist: "))
	if len(line) > logLongest {
		line = append(bytes.Clone(line[:logLongest]), "..."...)
	}
	return level, string(line)
}

var levelPrefixes = []struct {
	text  string
	level slog.Level
}{
	{"[DEBUG]", slog.LevelDebug},
	{"[INFO]", slog.LevelDebug},
	{"[WARN]", slog.LevelWarn},
	{"[ERR]", slog.LevelWarn},
	{"[ERROR]", slog.LevelWarn},
}
