package consensus

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// directoryFormat is the format of data directories that this code writes, and
// the highest that it reads. It is raised when a reader of the old one would be
// misled. A directory without the file is of format 1.
const directoryFormat = 1

// format is the file "format": what one must know to use the directory.
type format struct {
	// Version is the format of the directory.
	Version int `json:"version"`
	// FeatureLevel is the highest feature level that its log may need. A binary
	// that knows less would stop at an entry in the middle of it.
	FeatureLevel uint32 `json:"feature_level"`
}

// readFormat reads the file; none means the first format.
func readFormat(path string) (f format, written bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return format{Version: 1, FeatureLevel: argosyv1.FeatureBase}, false, nil
	}
	if err != nil {
		return f, false, fmt.Errorf("read format of data directory: %w", err)
	}
	if err := json.Unmarshal(text, &f); err != nil || f.Version < 1 {
		return f, false, fmt.Errorf("read format of data directory from %s: %w: %q says none; restore that file, or start with an empty directory", path, ErrDataDir, text)
	}
	return f, true, nil
}

func (f format) write(path string) error {
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("write format of data directory: %w", err)
	}
	if err := storage.WriteFile(path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write format of data directory: %w", err)
	}
	return nil
}

// check refuses a directory that a newer binary has written.
func (f format) check(path string, known uint32) error {
	if f.Version > directoryFormat {
		return fmt.Errorf("open data directory %s: %w: it has format %d, this binary knows up to %d; start a newer binary", path, ErrTooNew, f.Version, directoryFormat)
	}
	if argosyv1.KnownLevel(f.FeatureLevel) > known {
		return fmt.Errorf("open data directory %s: %w: its cluster is at feature level %d, this binary knows up to %d; start a newer binary, a cluster cannot go back",
			path, ErrTooNew, f.FeatureLevel, known)
	}
	return nil
}

// openFormat checks the format of the directory, and writes it down when it is
// of before there was one.
func (d *dataDir) openFormat(known uint32) error {
	found, written, err := readFormat(d.file("format"))
	if err != nil {
		return err
	}
	if err := found.check(d.path, known); err != nil {
		return err
	}
	d.format = found
	if written {
		return nil
	}
	return found.write(d.file("format"))
}

// raise notes that the log may need a feature level from now on.
func (d *dataDir) raise(level uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if level <= d.format.FeatureLevel {
		return nil
	}
	if d.closed {
		return fmt.Errorf("write format of data directory: %w", ErrStopped)
	}
	next := d.format
	next.FeatureLevel = level
	if err := next.write(d.file("format")); err != nil {
		return err
	}
	d.format = next
	return nil
}

// NoteFeatureLevel notes in the data directory that the log may need a feature
// level from now on, so that a binary that does not know it says so when it is
// started. It can be tried again when it has failed.
func (n *Node) NoteFeatureLevel(level uint32) error { return n.dir.raise(level) }
