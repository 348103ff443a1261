package evidence

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// Testimony is what a log says that matters.
type Testimony struct {
	Leaderships []history.Leadership
	// Levels are the feature levels that it had the cluster use.
	Levels []history.Level
	// Lines are those that should not be there.
	Lines []history.Line
}

// Lines of a server's log that are known by their messages.
const (
	messageOpened = "opened"
	messageBegan  = "leadership began"
	messageEnded  = "leadership ended"
	messageWon    = "raft: election won"
	messageRaised = "settings of the cluster were brought up to date"
)

// crashes are what a program prints that has broken down, and what that is.
var crashes = []struct{ mark, kind string }{
	{"WARNING: DATA RACE", "race"},
	{"panic: ", "panic"},
	{"fatal error: ", "panic"},
}

// crashLines is how many lines of a crash are kept.
const crashLines = 40

// maxText is how much of a line is kept.
const maxText = 4000

// ReadLog reads what a process printed over all its lives. A line that a kill cut
// off is taken as far as it goes.
func ReadLog(process, path string, clock func(time.Time) history.Micros) (*Testimony, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read log of %s: %w: %w", process, ErrUnreadable, err)
	}
	defer func() { _ = file.Close() }()
	r := &logReader{process: process, clock: clock}
	in := bufio.NewReaderSize(file, 256<<10)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			r.line(strings.TrimRight(line, "\n"))
		}
		if errors.Is(err, io.EOF) {
			return &r.Testimony, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read log of %s: %w: %w", process, ErrUnreadable, err)
		}
	}
}

type logReader struct {
	Testimony
	process string
	clock   func(time.Time) history.Micros
	// id of the server in its present life.
	id string
	// at is when the last line was printed that says so.
	at history.Micros
	// crash is how many more lines belong to the last one.
	crash int
}

func (r *logReader) line(line string) {
	fields, ok := parse(line)
	if !ok {
		r.plain(line)
		return
	}
	r.crash = 0
	if at, err := time.Parse(time.RFC3339Nano, fields["time"]); err == nil {
		r.at = r.clock(at)
	}
	switch fields["msg"] {
	case messageOpened:
		if fields["part"] == "raft" {
			r.id = fields["id"]
		}
	case messageBegan, messageEnded, messageWon:
		term, err := strconv.ParseUint(fields["term"], 10, 64)
		if err == nil {
			r.Leaderships = append(r.Leaderships, history.Leadership{
				Server: r.process, ID: r.id, Term: term, Gained: fields["msg"] == messageBegan, Elected: fields["msg"] == messageWon, At: r.at,
			})
		}
	}
	if fields["msg"] == messageRaised {
		if level, err := strconv.ParseUint(fields["feature_level"], 10, 32); err == nil {
			r.Levels = append(r.Levels, history.Level{Server: r.process, At: r.at, Raised: uint32(level)})
		}
	}
	if fields["level"] == "ERROR" {
		r.Lines = append(r.Lines, history.Line{Process: r.process, At: r.at, Kind: "error", Text: cut(line)})
	}
}

// plain is a line that the logger has not written: the words of the runtime.
func (r *logReader) plain(line string) {
	for _, c := range crashes {
		if at := strings.Index(line, c.mark); at >= 0 && r.crash == 0 {
			r.Lines = append(r.Lines, history.Line{Process: r.process, At: r.at, Kind: c.kind, Text: cut(line[at:])})
			r.crash = crashLines
			return
		}
	}
	if r.crash > 0 {
		r.crash--
		last := &r.Lines[len(r.Lines)-1]
		last.Text = cut(last.Text + "\n" + line)
	}
}

func cut(text string) string { return text[:min(len(text), maxText)] }

// parse takes a line of slog's text handler apart. It returns false for one of
// another form.
func parse(line string) (map[string]string, bool) {
	if !strings.HasPrefix(line, "time=") {
		return nil, false
	}
	fields := map[string]string{}
	for line != "" {
		key, rest, found := strings.Cut(line, "=")
		if !found {
			break
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				break
			}
			// It was just found to be quoted right.
			value, _ = strconv.Unquote(quoted)
			rest = rest[len(quoted):]
		} else if value, rest, found = strings.Cut(rest, " "); found {
			rest = " " + rest
		}
		// The first of a name is the logger's own.
		if _, twice := fields[key]; !twice {
			fields[key] = value
		}
		line = strings.TrimPrefix(rest, " ")
	}
	return fields, fields["level"] != ""
}
