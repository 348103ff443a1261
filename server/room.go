package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/argosy-cluster/argosy/server/consensus"
)

// sayWhatTakesRoom adds to an error that says that a disk is full what can be
// done about it. What was found damaged is kept, and may be what takes the room
// that the server needs to be filled anew.
func sayWhatTakesRoom(err error, dataDir string) error {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	quarantine := filepath.Join(dataDir, consensus.QuarantineDir)
	if _, statErr := os.Stat(quarantine); statErr != nil {
		return fmt.Errorf("%w: make room on the disk of %s, then start again", err, dataDir)
	}
	return fmt.Errorf("%w: make room on its disk, then start again: %s is data that was found damaged and given up; remove it when the other servers are well",
		err, quarantine)
}
