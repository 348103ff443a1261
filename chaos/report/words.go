package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/ledger"
)

// clockText writes a time since the beginning of a trial: "12.345 s", or
// "1:02:03.4" past an hour.
func clockText(at time.Duration) string {
	if at < time.Hour {
		return fmt.Sprintf("%.3f s", at.Seconds())
	}
	hours, rest := at/time.Hour, at%time.Hour
	return fmt.Sprintf("%d:%02d:%04.1f", hours, rest/time.Minute, (rest % time.Minute).Seconds())
}

// momentText writes a wall time to the second; what is none stays as it is.
func momentText(text string) string {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return at.UTC().Format("2006-01-02 15:04:05 UTC")
}

// spanText writes how long something took, with three digits that matter.
func spanText(d time.Duration) string { return msText(milliseconds(d)) }

func msText(ms float64) string {
	switch {
	case ms >= 3_600_000:
		return fmt.Sprintf("%.3g h", ms/3_600_000)
	case ms >= 60_000:
		return fmt.Sprintf("%.3g min", ms/60_000)
	case ms >= 1000:
		return fmt.Sprintf("%.3g s", ms/1000)
	}
	return ledger.Ms(ms) + " ms"
}

// countText writes a number with its thousands apart.
func countText(n int64) string {
	digits := fmt.Sprint(n)
	out := &strings.Builder{}
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			out.WriteByte(',')
		}
		out.WriteRune(d)
	}
	return out.String()
}

// describe tells a fault in a line.
func describe(f *history.Fault) string {
	parts := []string{f.Kind}
	if len(f.Targets) > 0 {
		parts = append(parts, "on "+strings.Join(f.Targets, ", "))
	}
	if f.Detail != "" {
		parts = append(parts, "("+f.Detail+")")
	}
	if f.Error != "" {
		parts = append(parts, "error: "+f.Error)
	}
	return strings.Join(parts, " ")
}
