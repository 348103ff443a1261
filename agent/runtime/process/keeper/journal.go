package keeper

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
)

// phase is how far an instance has come.
type phase string

const (
	starting phase = "starting" // a process may exist, its pid is not known
	started  phase = "started"
	ended    phase = "ended"
	removed  phase = "removed" // only in the journal
)

// row is what the journal remembers of an instance.
type row struct {
	Name  wire.Name `json:"name"`
	Phase phase     `json:"phase"`
	// Run is the random id of this start, in the process's environment.
	Run string `json:"run,omitempty"`
	// PID, Ticks (start time after boot) and Boot (id) together are the process.
	PID   int    `json:"pid,omitempty"`
	Ticks uint64 `json:"ticks,omitempty"`
	Boot  string `json:"boot,omitempty"`

	Started  time.Time `json:"started,omitzero"`
	ExitCode int       `json:"exit_code,omitempty"`
	Detail   string    `json:"detail,omitempty"`

	StopSignal  int           `json:"stop_signal,omitempty"`
	StopTimeout time.Duration `json:"stop_timeout,omitempty"`
}

const (
	journalFile = "journal"
	// journalSlack is how much longer than its content the journal may be, in
	// bytes: it is rewritten when it is longer by this and twice as long.
	journalSlack = 4 << 20
)

// journal is a file of rows, the last one of a name counts. Each line is the
// CRC-32 of a row and the row.
type journal struct {
	path string
	file *os.File
	size int64
	// floor is the size after the last rewrite.
	floor int64
	// lacking is set when it could not be written, and rows may be missing in it.
	lacking bool
}

// openJournal reads the rows of a journal and rewrites it with just these, or goes on
// with it as it is when there is no room for that: who follows a keeper that was killed
// can have processes removed then, too. Lines that are damaged are left out: a torn one
// at the end is what a killed writer leaves.
func openJournal(dir string, logger *slog.Logger) (*journal, map[string]row, error) {
	j := &journal{path: filepath.Join(dir, journalFile)}
	rows := make(map[string]row)
	data, err := os.ReadFile(j.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("read journal: %w", err)
	}
	for number, line := range bytes.Split(data, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		r, err := decodeRow(line)
		if err != nil {
			logger.Warn("journal line left out", "path", j.path, "line", number+1, "error", err)
			continue
		}
		if r.Phase == removed {
			delete(rows, r.Name.Key())
			continue
		}
		rows[r.Name.Key()] = r
	}
	if err := j.rewrite(rows); err != nil {
		if goOnErr := j.goOn(data); goOnErr != nil {
			return nil, nil, errors.Join(err, goOnErr)
		}
		logger.Error("journal not rewritten; going on with it as it is", "error", err)
	}
	return j, rows, nil
}

// goOn opens the journal, which has this content, to be appended to after its last
// whole line.
func (j *journal) goOn(data []byte) error {
	file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	whole := int64(bytes.LastIndexByte(data, '\n') + 1)
	if err := file.Truncate(whole); err != nil {
		return errors.Join(fmt.Errorf("cut torn end off journal: %w", err), file.Close())
	}
	j.file, j.size, j.lacking = file, whole, true
	return nil
}

// append writes a row. It survives the keeper at once, and a power cut after
// sync.
func (j *journal) append(r row) error {
	line, err := encodeRow(r)
	if err != nil {
		return err
	}
	n, err := j.file.Write(line)
	if err != nil {
		j.lacking = true
		if n > 0 {
			err = errors.Join(err, j.file.Truncate(j.size))
		}
		return fmt.Errorf("write journal: %w", err)
	}
	j.size += int64(n)
	return nil
}

func (j *journal) sync() error {
	if err := unix.Fdatasync(int(j.file.Fd())); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	return nil
}

// stale says whether the journal should be rewritten: it is too long, or lacks rows.
func (j *journal) stale() bool {
	return j.lacking || j.size > 2*j.floor && j.size > j.floor+journalSlack
}

// rewrite replaces the journal by one with these rows.
func (j *journal) rewrite(rows map[string]row) error {
	temporary, err := os.OpenFile(j.path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("rewrite journal: %w", err)
	}
	size, err := writeRows(temporary, rows)
	if err == nil {
		err = temporary.Sync()
	}
	if err == nil {
		err = os.Rename(j.path+".new", j.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("rewrite journal: %w", err), temporary.Close(), os.Remove(j.path+".new"))
	}
	if j.file != nil {
		_ = j.file.Close()
	}
	j.file, j.size, j.floor, j.lacking = temporary, size, size, false
	if err := syncDir(filepath.Dir(j.path)); err != nil {
		j.lacking = true
		return fmt.Errorf("rewrite journal: %w", err)
	}
	return nil
}

func (j *journal) close() error {
	return errors.Join(j.sync(), j.file.Close())
}

func writeRows(file *os.File, rows map[string]row) (int64, error) {
	var size int64
	buffered := bufio.NewWriter(file)
	for _, r := range rows {
		line, err := encodeRow(r)
		if err != nil {
			return 0, err
		}
		size += int64(len(line))
		if _, err := buffered.Write(line); err != nil {
			return 0, err
		}
	}
	return size, buffered.Flush()
}

func encodeRow(r row) ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode journal row: %w", err)
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.ChecksumIEEE(body), body), nil
}

func decodeRow(line []byte) (row, error) {
	sum, body, found := bytes.Cut(line, []byte(" "))
	if want := fmt.Sprintf("%08x", crc32.ChecksumIEEE(body)); !found || string(sum) != want {
		return row{}, fmt.Errorf("checksum is %.8q, want %s", sum, want)
	}
	var r row
	if err := json.Unmarshal(body, &r); err != nil {
		return row{}, err
	}
	return r, r.Name.Validate()
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
