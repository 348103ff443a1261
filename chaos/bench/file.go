package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Write stores figures as JSON. Those of measurements that were not made this
// time stay as the file has them, so that one may be repeated by itself.
func Write(path string, results []Result) error {
	kept, err := read(path)
	if err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	all := merge(kept, results)
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}

func read(path string) ([]Result, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var results []Result
	if err := json.Unmarshal(text, &results); err != nil {
		return nil, fmt.Errorf("read %s: %w; remove it to begin anew", path, err)
	}
	return results, nil
}

// merge puts new figures in the place of older ones of the same measurements,
// in the order of the measurements. Figures of none that there is are dropped.
func merge(older, newer []Result) []Result {
	measured := map[string]bool{}
	for _, r := range newer {
		measured[r.Group] = true
	}
	var merged []Result
	for _, group := range Names() {
		from := older
		if measured[group] {
			from = newer
		}
		merged = append(merged, slices.DeleteFunc(slices.Clone(from), func(r Result) bool { return r.Group != group })...)
	}
	return merged
}
