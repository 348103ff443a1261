package rebuild

import (
	"errors"

	"github.com/argosy-cluster/argosy/fsm"
	"github.com/argosy-cluster/argosy/server/audit"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// Verdict is what an error says of a server's data.
type Verdict int

const (
	// Sound data: the error is about something else.
	Sound Verdict = iota
	// MemoryDamaged means that the disk may be right.
	MemoryDamaged
	// DataDamaged means that what is on disk is not what was written, is less
	// than was acknowledged, or is not what the other servers have.
	DataDamaged
)

// Judge says what an error, by which a server ended or was not opened, means
// for its data.
//
// A state machine that failed at an entry is none of these: if the entry is
// wrong as it was written, every server fails at it, and all of them would
// give up their data. Only when the others got past it does the server end
// with audit.ErrDiverged.
func Judge(err error) Verdict {
	switch {
	case err == nil, errors.Is(err, fsm.ErrUnknown):
		return Sound
	case errors.Is(err, audit.ErrDiverged), errors.Is(err, storage.ErrCorrupt), errors.Is(err, storage.ErrForgotten), errors.Is(err, fsm.ErrSnapshot):
		return DataDamaged
	case errors.Is(err, fsm.ErrDamaged):
		return MemoryDamaged
	default:
		return Sound
	}
}
