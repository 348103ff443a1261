package storage

import "errors"

var (
	// ErrCorrupt is returned when something on disk is not what was written.
	ErrCorrupt = errors.New("data on disk is damaged: move the data directory away, and let this server join again as a new one")
	// ErrForgotten is returned when the log ends before entries that this
	// server had acknowledged.
	ErrForgotten = errors.New("the log is shorter than it was: entries that this server had acknowledged are gone; move the data directory away, and let this server join again as a new one")
	// ErrKind is returned when the directory holds a log of the other kind.
	ErrKind = errors.New("data directory holds a log of another kind")
)
