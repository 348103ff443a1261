package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What a power loss in the middle of a write leaves of it.
//
// What a store had flushed before a write stays. The write itself may not have
// happened, have happened, or have happened in part, in whatever order the disk
// liked: up to some byte, or some sectors of it and others not. Two orders are kept,
// since the stores flush in between: bbolt writes its meta pages when everything
// else is on the disk, and the mark of how far a log has reached is raised after the
// log has been written, and lowered before it is cut.

// sector is what a disk writes whole or not at all.
const sector = 512

// bboltMeta is where bbolt has its two meta pages.
const bboltMeta = 2 * 4096

// mark is the name of the file that tells how far the log has reached.
const mark = "high-water"

// files are the contents of a log's files, by their names in Raft's directory.
type files map[string][]byte

// readFiles reads the files of the log.
func readFiles(raftDir string) (files, error) {
	all := files{}
	for _, pattern := range []string{"raft.db", "wal/*", mark} {
		names, err := filepath.Glob(filepath.Join(raftDir, pattern))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			content, err := os.ReadFile(name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			relative, err := filepath.Rel(raftDir, name)
			if err != nil {
				return nil, err
			}
			all[relative] = content
		}
	}
	return all, nil
}

// write makes the files of a log these, and no others.
func (f files) write(raftDir string) error {
	now, err := readFiles(raftDir)
	if err != nil {
		return err
	}
	var errs []error
	for name := range now {
		if _, stays := f[name]; !stays {
			errs = append(errs, os.Remove(filepath.Join(raftDir, name)))
		}
	}
	for name, content := range f {
		if !bytes.Equal(content, now[name]) {
			errs = append(errs, os.WriteFile(filepath.Join(raftDir, name), content, 0o600))
		}
	}
	return errors.Join(errs...)
}

// torn is what is left of a write when the power is lost in it, and what that is in
// words.
func torn(random *rand.Rand, before, after files) (files, string) {
	var log []string // of the log's files, those that it has changed
	for name := range after {
		if name != mark && !bytes.Equal(before[name], after[name]) {
			log = append(log, name)
		}
	}
	for name := range before {
		if _, stays := after[name]; !stays {
			log = append(log, name)
		}
	}
	slices.Sort(log)
	switch random.IntN(4) {
	case 0:
		return before, "nothing of a write survived"
	case 1:
		return after, "all of a write survived"
	}
	if len(log) != 1 || before[log[0]] == nil || after[log[0]] == nil {
		// More than one file was changed, one after the other with flushes between.
		return before, "nothing of a write survived"
	}
	if bytes.Compare(after[mark], before[mark]) < 0 {
		// The log is cut after that: what of it is left is as little as was meant.
		lowered := clone(before)
		lowered[mark] = after[mark]
		return lowered, "only the mark of a write survived"
	}
	name := log[0]
	left := clone(before)
	was, is := before[name], after[name]
	if strings.HasSuffix(name, ".db") {
		if commits(is) != commits(was)+1 {
			return before, "nothing of a write survived"
		}
		data := slices.Concat(was[:min(bboltMeta, len(was))], is[min(bboltMeta, len(was)):])
		left[name] = tear(random, was, data)
	} else {
		left[name] = tear(random, was, is)
	}
	return left, "a part of a write to " + name + " survived"
}

// commits is how many transactions a file of bbolt has seen. What one has freed the
// next one may overwrite: of two at once none may be torn.
func commits(db []byte) uint64 {
	const page, count = 4096, 64 // in a meta page, after its header
	if len(db) < bboltMeta {
		return 0
	}
	return max(binary.LittleEndian.Uint64(db[count:]), binary.LittleEndian.Uint64(db[page+count:]))
}

func clone(f files) files {
	copied := files{}
	for name, content := range f {
		copied[name] = content
	}
	return copied
}

// tear takes some of what was changed: up to a byte, or sectors here and there.
func tear(random *rand.Rand, was, is []byte) []byte {
	from, to := changed(was, is)
	if from == to {
		return was
	}
	left := make([]byte, max(len(was), len(is)))
	copy(left, was)
	if random.IntN(2) == 0 {
		copy(left[from:], is[from:from+random.IntN(to-from)])
		return left
	}
	for at := from - from%sector; at < to; at += sector {
		if end := min(at+sector, len(is)); random.IntN(2) == 0 {
			copy(left[at:end], is[at:end])
		}
	}
	return left
}

// changed is from where to where one content is not another.
func changed(was, is []byte) (from, to int) {
	for from < min(len(was), len(is)) && was[from] == is[from] {
		from++
	}
	to = len(is)
	if len(was) >= len(is) {
		for to > from && was[to-1] == is[to-1] {
			to--
		}
	}
	return from, to
}
