package limits

import (
	"testing"
	"time"
)

func TestConnectionsArePacedByHowLateTheServerIs(t *testing.T) {
	for name, c := range map[string]struct {
		late, want time.Duration // of a thousand connections
	}{
		"keeps up":     {time.Millisecond, 31 * 2 * time.Millisecond},
		"has too much": {20 * time.Millisecond, 31 * (21 + 20 + 20) * time.Millisecond},
		"is stuck":     {time.Second, 31 * (1001 + 250 + 1000) * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(0, 0)
			p := &pacer{now: func() time.Time { return now }, sleep: func(d time.Duration) { now = now.Add(d + c.late) }}
			for range 1000 {
				p.next()
			}
			if took := now.Sub(time.Unix(0, 0)); took != c.want {
				t.Errorf("a thousand connections took %v, want %v", took, c.want)
			}
		})
	}
}
