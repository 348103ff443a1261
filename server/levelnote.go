package server

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// maxNotePause is the longest pause between two tries to note a feature level.
// The disk is full meanwhile, and each try asks it for a few bytes.
const maxNotePause = time.Minute

// levelNote keeps in the data directory which feature level its log needs, so
// that an older binary refuses the directory before it takes part in anything.
//
// A note that cannot be written, to a full disk most often, ends nobody: nobody
// else can open the directory while this process has it locked, so the note is
// owed only to whoever comes after it. It is tried again until then, and once
// more when the server is told to stop.
//
// A server that is killed before leaves a directory without it. The log keeps
// the promise then, though it says so later: the entry that raises the level is
// before all that need it, in the log and in every snapshot, because these are
// proposed only by a leader that has applied it. An older binary finds the level
// in the snapshot when it is opened, or by applying the entry, and ends
// (checkLevel). As a leader it proposes nothing before it has looked (rule), and
// entries that it does not know it refuses as no damage (fsm.ErrUnknown).
//
// Refusing entries until the note is there would make that no safer: a follower
// gets the raise and what comes after it before it knows that the raise is
// committed. And a cluster whose disks are all full could not even delete.
type levelNote struct {
	// write notes a level for good.
	write func(level uint32) error
	log   *slog.Logger

	// next is when it is tried again, pause how long after the last time.
	next  time.Time
	pause time.Duration

	// owed is nil when the level is noted.
	owed atomic.Pointer[owedNote]
}

// owedNote is a note that could not be written.
type owedNote struct {
	level   uint32
	since   time.Time
	problem error
}

// keep notes a level, unless that has failed a moment ago.
func (n *levelNote) keep(level uint32, now time.Time) {
	if !now.Before(n.next) {
		n.try(level, now)
	}
}

// try notes a level.
func (n *levelNote) try(level uint32, now time.Time) {
	before := n.owed.Load()
	err := n.write(level)
	if err == nil {
		n.next, n.pause = time.Time{}, 0
		if before != nil {
			n.owed.Store(nil)
			n.log.Info("feature level was noted in the data directory after all", "feature_level", level)
		}
		return
	}
	n.pause = min(max(2*n.pause, levelsInterval), maxNotePause)
	n.next = now.Add(n.pause)
	since := now
	if before != nil {
		since = before.since
	} else {
		n.log.Warn("feature level was not noted in the data directory: it is tried again", "feature_level", level, "err", err)
	}
	n.owed.Store(&owedNote{level, since, err})
}

// warning says what is owed, "" when nothing is.
func (n *levelNote) warning() string {
	owed := n.owed.Load()
	if owed == nil {
		return ""
	}
	return fmt.Sprintf("since %s its data directory does not say that it needs feature level %d: %v; make room on its disk, and start no older binary with that directory",
		owed.since.UTC().Format(time.RFC3339), owed.level, owed.problem)
}
