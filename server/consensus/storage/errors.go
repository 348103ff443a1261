package storage

import "errors"

var (
	// ErrCorrupt is returned when something on disk is not what was written.
	ErrCorrupt = errors.New("data on disk is damaged")
	// ErrForgotten is returned when the log ends before entries that this
	// server had acknowledged.
	ErrForgotten = errors.New("entries that this server had acknowledged are gone")
	// ErrKind is returned when the directory holds a log of the other kind.
	ErrKind = errors.New("data directory holds a log of another kind")
)
