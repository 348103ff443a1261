package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// File is where the ledger is, below the root of the source.
const File = "chaos/ledger.jsonl"

// ErrDamaged is returned for a ledger with a line that cannot be read.
var ErrDamaged = errors.New("ledger is damaged")

// Read returns all soaks of a ledger, in the order in which they ended. A file
// that does not exist has none.
func Read(path string) ([]Soak, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	var soaks []Soak
	for number := 1; len(text) > 0; number++ {
		line, rest, whole := bytes.Cut(text, []byte{'\n'})
		if !whole {
			return nil, fmt.Errorf("read ledger: %w: %s line %d was cut off: remove it, its soak is not accounted for", ErrDamaged, path, number)
		}
		text = rest
		s, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("read ledger: %w: %s line %d: %w: restore the file from version control", ErrDamaged, path, number, err)
		}
		soaks = append(soaks, *s)
	}
	return soaks, nil
}

// Append adds a soak to a ledger, which is made when there is none. One that is
// damaged stays as it is.
func Append(path string, s *Soak) error {
	line, err := s.format()
	if err != nil {
		return fmt.Errorf("write ledger: soak %d: %w", s.Seed, err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	return errors.Join(appendTo(file, path, line), file.Close())
}

// appendTo has the file for itself: two soaks may end at once.
func appendTo(file *os.File, path string, line []byte) error {
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("write ledger: lock %s: %w", path, err)
	}
	if _, err := Read(path); err != nil {
		return fmt.Errorf("write ledger: nothing was added: %w", err)
	}
	if _, err := file.Write(line); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	return nil
}
