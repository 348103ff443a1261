package history

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Micros is a time of the machine's monotonic clock in microseconds, 0 for
// never.
type Micros int64

// Add returns a time that is so much later.
func (m Micros) Add(d time.Duration) Micros { return m + Micros(d.Microseconds()) }

// Sub returns how much later m is than another time.
func (m Micros) Sub(o Micros) time.Duration { return time.Duration(m-o) * time.Microsecond }

// Clock tells the time that a history is stamped with.
type Clock func() Micros

// MachineClock is the clock that all processes of this machine share.
func MachineClock() (Clock, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return nil, fmt.Errorf("read the machine's monotonic clock: %w", err)
	}
	return func() Micros {
		var ts unix.Timespec
		// It was read once, so that it can be.
		_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
		return Micros(ts.Nano() / 1000)
	}, nil
}

// ClockSince is a clock for a simulation: it counts from its beginning by the
// time of its bubble.
func ClockSince(began time.Time) Clock {
	return func() Micros { return Micros(time.Since(began).Microseconds()) + 1 }
}
