package fault

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// flush makes what was done to the files of a directory last. What a fault has
// put there is the disk's content: a loss of power later on may not undo half of
// it, which no server could have brought about.
func flush(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("flush %s: %w", dir, err)
	}
	return errors.Join(unix.Syncfs(int(file.Fd())), file.Close())
}
