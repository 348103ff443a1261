package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Waited returns for how long in all the processes of the host wanted to run and
// none of them did, because the machine had other things to do. It fails with
// ErrUnable where the kernel does not count that for control groups.
func (h *Host) Waited() (time.Duration, error) {
	if h.group == nil || h.group.waits == "" {
		return 0, fmt.Errorf("look how long %s waited: %w", h.Name, errors.Join(ErrUnable, h.groupless))
	}
	text, err := os.ReadFile(h.group.waits)
	if err != nil {
		return 0, fmt.Errorf("look how long %s waited: %w", h.Name, err)
	}
	waited, err := parseWaits(string(text))
	if err != nil {
		return 0, fmt.Errorf("look how long %s waited: %s: %w", h.Name, h.group.waits, err)
	}
	return waited, nil
}

// parseWaits reads the total of the line "full" of a file cpu.pressure. The line
// "some" would count what threads of one program wait for each other, too.
func parseWaits(text string) (time.Duration, error) {
	for line := range strings.Lines(text) {
		rest, full := strings.CutPrefix(line, "full ")
		_, total, found := strings.Cut(rest, "total=")
		if !full || !found {
			continue
		}
		micros, err := strconv.ParseInt(strings.TrimSpace(total), 10, 64)
		if err != nil {
			return 0, err
		}
		return time.Duration(micros) * time.Microsecond, nil
	}
	return 0, fmt.Errorf("there is no total of a full pressure in %q", text)
}

// count lets the kernel count how long the processes wait, where it can: groups of
// version 2 have that, which can be there beside those of version 1.
func (g *group) count(name string) {
	i := slices.IndexFunc(g.dirs, func(dir groupDir) bool { return dir.version == 2 })
	if i < 0 {
		root, err := hierarchy("")
		if err != nil {
			return
		}
		dir := groupDir{path: filepath.Join(root, name), version: 2}
		if err := os.Mkdir(dir.path, 0o755); err != nil {
			return
		}
		i, g.dirs = len(g.dirs), append(g.dirs, dir)
	}
	file := filepath.Join(g.dirs[i].path, "cpu.pressure")
	if text, err := os.ReadFile(file); err == nil {
		if _, err := parseWaits(string(text)); err == nil {
			g.waits = file
		}
	}
}
