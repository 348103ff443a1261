package asks

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// parseMoment reads a time as podman does, which Ankaios hands the text to, and
// returns it in nanoseconds since 1970. It is RFC 3339; the same without a zone,
// which is then that of the agent's machine, as the SDK of Python writes a datetime;
// a date; seconds since 1970; or how long before now, such as 10m. What no log can
// be as old or as young as is cut to the first and the last moment there is.
func parseMoment(text string, now time.Time) (nanos int64, ok bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02Z07:00", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return inRange(at), true
		}
	}
	if at, ok := parseUnix(text); ok {
		return inRange(at), true
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return inRange(now.Add(-ago)), true
	}
	return 0, false
}

// parseUnix reads seconds with at most nine digits behind their point.
func parseUnix(text string) (at time.Time, ok bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseUint(whole, 10, 62)
	if err != nil || len(fraction) > 9 {
		return time.Time{}, false
	}
	nanos, err := strconv.ParseUint((fraction + "000000000")[:9], 10, 32)
	if err != nil {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), int64(nanos)), true
}

// inRange is never 0, which would stand for no time at all.
func inRange(at time.Time) int64 {
	switch first, last := time.Unix(0, 1), time.Unix(0, math.MaxInt64); {
	case at.Before(first):
		return first.UnixNano()
	case at.After(last):
		return last.UnixNano()
	}
	return at.UnixNano()
}
