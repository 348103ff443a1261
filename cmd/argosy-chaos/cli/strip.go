package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/report"
	"github.com/argosy-cluster/argosy/chaos/sim"
	"github.com/argosy-cluster/argosy/chaos/trial"
)

// readable are the files that tell people what a trial or a simulation found, and
// how to do it again.
var readable = []string{history.PlanFile, trial.VerdictFile, report.PageFile, report.SummaryFile, sim.SummaryFile, sim.OutputFile}

// strip removes everything from below a directory but what people read. An empty
// name is none.
func strip(dir string) error {
	if dir == "" {
		return nil
	}
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			dirs = append(dirs, path)
		case !slices.Contains(readable, entry.Name()):
			return os.Remove(path)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep little of %s: %w", dir, err)
	}
	slices.Reverse(dirs)
	for _, each := range dirs {
		// Those that have something left stay.
		if left, err := os.ReadDir(each); err == nil && len(left) == 0 && each != dir {
			if err := os.Remove(each); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("keep little of %s: %w", dir, err)
			}
		}
	}
	return nil
}
