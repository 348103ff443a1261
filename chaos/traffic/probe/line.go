package probe

import (
	"errors"
	"fmt"
	"strings"
)

// ErrLine is returned for a line that no probe has printed.
var ErrLine = errors.New("not a line of a probe")

// Line is one line that a probe prints.
type Line struct {
	// Number counts the lines of a process from 1.
	Number int64
	// PID is that of the process, Value that of the write that asked for it.
	PID   int
	Value string
}

// lineEnd ends each line, so that one that was cut off is noticed.
const lineEnd = "."

func (l Line) String() string {
	return fmt.Sprintf("line %d of %s by %d %s", l.Number, l.Value, l.PID, lineEnd)
}

// ParseLine reads what String wrote.
func ParseLine(text []byte) (Line, error) {
	var l Line
	var end string
	if _, err := fmt.Sscanf(string(text), "line %d of %s by %d %s", &l.Number, &l.Value, &l.PID, &end); err != nil || strings.TrimRight(string(text), "\r\n") != l.String() {
		return Line{}, fmt.Errorf("%w: %.100q", ErrLine, text)
	}
	return l, nil
}
