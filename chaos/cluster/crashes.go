package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// crashMarks are what a program prints that has found a race or broken down.
var crashMarks = []string{"WARNING: DATA RACE", "panic: ", "fatal error: "}

// Crashes returns an error when a process, in any of its lives, has printed that
// it found a data race or that it panicked.
func (c *Cluster) Crashes() error {
	var found []error
	err := filepath.WalkDir(c.config.Dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // removed meanwhile
		case err != nil:
			return err
		case entry.IsDir() || filepath.Ext(path) != ".log":
			return nil
		}
		text, err := os.ReadFile(path)
		for _, mark := range crashMarks {
			if at := bytes.Index(text, []byte(mark)); at >= 0 {
				found = append(found, fmt.Errorf("%s: %s", path, text[at:min(len(text), at+4000)]))
			}
		}
		return err
	})
	if err != nil {
		found = append(found, fmt.Errorf("look for crashes: %w", err))
	}
	return errors.Join(found...)
}
