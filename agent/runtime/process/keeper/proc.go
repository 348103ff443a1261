package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// envRun names the variable by which a process is found whose start had only
// begun when its keeper was killed.
const envRun = "ARGOSY_RUN"

// bootID returns what distinguishes this run of the kernel from every other.
func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

// stat is what /proc tells of a process.
type stat struct {
	state   byte
	session int
	ticks   uint64
}

// alive says whether it is more than a corpse that waits for its parent.
func (s stat) alive() bool { return s.state != 'Z' && s.state != 'X' && s.state != 'x' }

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}, err
	}
	return parseStat(text)
}

// parseStat reads the fields after the command, which may itself contain blanks
// and parentheses.
func parseStat(text []byte) (stat, error) {
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return stat{}, fmt.Errorf("read process state %.80q: no command", text)
	}
	fields := strings.Fields(string(text[end+1:]))
	// Fields 3 (state), 6 (session) and 22 (start time) of proc(5).
	if len(fields) < 20 || len(fields[0]) != 1 {
		return stat{}, fmt.Errorf("read process state %.80q: too few fields", text)
	}
	session, sessionErr := strconv.Atoi(fields[3])
	ticks, ticksErr := strconv.ParseUint(fields[19], 10, 64)
	if err := errors.Join(sessionErr, ticksErr); err != nil {
		return stat{}, fmt.Errorf("read process state: %w", err)
	}
	return stat{state: fields[0][0], session: session, ticks: ticks}, nil
}

// findRuns returns the pids of live session leaders by the run id in their
// environment. Children inherit the environment, so only leaders count.
func findRuns(wanted map[string]bool) map[string]int {
	found := make(map[string]int)
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return found
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// Processes of other users cannot be read, and are none of ours.
		environ, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		if err != nil {
			continue
		}
		for variable := range bytes.SplitSeq(environ, []byte{0}) {
			run, ok := bytes.CutPrefix(variable, []byte(envRun+"="))
			if !ok || !wanted[string(run)] {
				continue
			}
			if s, err := readStat(pid); err == nil && s.alive() && s.session == pid {
				found[string(run)] = pid
			}
			break
		}
	}
	return found
}
