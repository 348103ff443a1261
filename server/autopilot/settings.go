package autopilot

import (
	"cmp"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Settings are the autopilot's settings with every default filled in.
type Settings struct {
	// KeepDead leaves dead servers where they are.
	KeepDead bool
	// DeadAfter is for how long a server must have been silent to count as dead
	// for good.
	DeadAfter time.Duration
	// MinVoters is how many voters must remain when a dead one is removed.
	MinVoters int
	// StableAfter is for how long a new server must have been healthy when it
	// gets its vote.
	StableAfter time.Duration
}

// Defaults of the settings.
const (
	DefaultDeadAfter   = 24 * time.Hour
	DefaultMinVoters   = 3
	DefaultStableAfter = time.Second
)

// Bounds of the settings that Check enforces.
const (
	minDeadAfter   = time.Second
	maxMinVoters   = 99
	maxStableAfter = 24 * time.Hour
)

// Resolve fills in the defaults.
func Resolve(given *argosyv1.AutopilotSettings) Settings {
	return Settings{
		KeepDead:    given.GetKeepDeadServers(),
		DeadAfter:   cmp.Or(millis(given.GetDeadAfterMs()), DefaultDeadAfter),
		MinVoters:   cmp.Or(int(given.GetMinVoters()), DefaultMinVoters),
		StableAfter: cmp.Or(millis(given.GetStableAfterMs()), DefaultStableAfter),
	}
}

// millis reads a time in milliseconds; more than fits is as long as fits.
func millis(n uint64) time.Duration {
	const most = uint64(1<<63-1) / uint64(time.Millisecond)
	return time.Duration(min(n, most)) * time.Millisecond
}

// Check returns what is wrong with settings.
func Check(given *argosyv1.AutopilotSettings) error {
	s := Resolve(given)
	switch {
	case s.DeadAfter < minDeadAfter:
		return invalid("dead_after_ms %d: a server that is restarted would count as dead; use at least %d", given.GetDeadAfterMs(), minDeadAfter.Milliseconds())
	case s.MinVoters > maxMinVoters:
		return invalid("min_voters %d: use at most %d, or keep_dead_servers to remove none", given.GetMinVoters(), maxMinVoters)
	case s.StableAfter > maxStableAfter:
		return invalid("stable_after_ms %d: use at most %d", given.GetStableAfterMs(), maxStableAfter.Milliseconds())
	}
	return nil
}

func invalid(format string, args ...any) error {
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "check autopilot settings: "+format, args...)
}
