package storage

import "errors"

var (
	// ErrCorrupt is returned when something on disk is not what was written.
	ErrCorrupt = errors.New("data on disk is damaged")
	// ErrForgotten is returned when the log ends before entries that this
	// server had acknowledged.
	ErrForgotten = errors.New("entries that this server had acknowledged are gone")
	// ErrUnusable is returned when the log could not be changed and then not be
	// opened again, and by everything after that. The server must end.
	ErrUnusable = errors.New("log cannot be used any more")
	// ErrKind is returned when the directory holds a log of the other kind.
	ErrKind = errors.New("data directory holds a log of another kind")
)
