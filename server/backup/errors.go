package backup

import "errors"

var (
	// ErrNotBackup is returned when something is no backup at all.
	ErrNotBackup = errors.New("not a backup of argosy")
	// ErrNewer is returned when a backup is of a version that this one cannot
	// read.
	ErrNewer = errors.New("written by a newer version: use that version's argosy")
	// ErrCutShort is returned when a backup ends before its end.
	ErrCutShort = errors.New("cut short: copy it again, or take another backup")
	// ErrDamaged is returned when a backup is not as it was written.
	ErrDamaged = errors.New("damaged: copy it again, or take another backup")
)
