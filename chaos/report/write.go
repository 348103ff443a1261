package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

// Names of the files in the directory of a trial.
const (
	PageFile    = "report.html"
	SummaryFile = "summary.json"
)

// Write writes page and summary into the directory of a trial, which may have the
// file of its plan. Those that are there are replaced.
func Write(dir string, h *history.History, v *check.Verdict) (*Summary, error) {
	p, err := plan.Read(filepath.Join(dir, history.PlanFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("write report: %w", err)
	}
	s := Summarize(h, v, p)
	var text bytes.Buffer
	if err := writePage(&text, h, v, p, s); err != nil {
		return nil, err
	}
	summary, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write report: encode summary: %w", err)
	}
	err = errors.Join(replace(filepath.Join(dir, PageFile), text.Bytes()), replace(filepath.Join(dir, SummaryFile), append(summary, '\n')))
	if err != nil {
		return nil, fmt.Errorf("write report: %w", err)
	}
	return s, nil
}

// replace puts a whole file into place: a reader never sees half of one.
func replace(path string, text []byte) error {
	part := path + ".part"
	if err := os.WriteFile(part, text, 0o644); err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(part)))
	}
	return os.Rename(part, path)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
