package damage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNothing is returned when there is nothing to damage.
var ErrNothing = errors.New("there is nothing to damage")

// What is in a server's data directory.
const (
	raftDir = "raft"
	// rebuildsFile remembers how often the server was rebuilt: one that was so too
	// often is given up, as its machine must be broken.
	rebuildsFile = "rebuilds"
)

// Forgive lets a server forget how often it was rebuilt: where each damage stands
// for another machine's, it is not the machine.
func Forgive(dir string) error { return os.RemoveAll(filepath.Join(dir, rebuildsFile)) }

// FlipBits changes bits in one file, the more the stronger (0 to 1), and says
// which.
func FlipBits(chance *rand.Rand, dir string, strength float64) (string, error) {
	name, file, used, err := openUsed(chance, dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	var where []string
	for range 1 + int(strength*7) {
		at, bit := someByte(chance, used), chance.IntN(8)
		used[at] ^= 1 << bit
		if _, err := file.WriteAt(used[at:at+1], int64(at)); err != nil {
			return "", err
		}
		where = append(where, fmt.Sprintf("%d.%d", at, bit))
	}
	return fmt.Sprintf("changed bits %s of %d bytes of %s", strings.Join(where, ", "), len(used), name), nil
}

// CutFile cuts the end of what is in one file off, the more the stronger (0 to 1).
func CutFile(chance *rand.Rand, dir string, strength float64) (string, error) {
	name, file, used, err := openUsed(chance, dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	off := 1 + chance.IntN(max(1, int(strength*float64(len(used)))))
	return fmt.Sprintf("cut %d of %d bytes off %s", off, len(used), name), file.Truncate(int64(len(used) - off))
}

// Forget removes what Raft has, which the server has to find out by itself.
func Forget(dir string) error { return os.RemoveAll(filepath.Join(dir, raftDir)) }

// Empty removes everything in a directory.
func Empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, entry := range entries {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, entry.Name())))
	}
	return errors.Join(errs...)
}

// ServerID is the id in a data directory.
func ServerID(dir string) (string, error) {
	id, err := os.ReadFile(filepath.Join(dir, "server-id"))
	return strings.TrimSpace(string(id)), err
}

// openUsed opens a file of a data directory that matters and returns what is in
// it, without the zeros at the end: a log may have much room that it has not come
// to yet.
func openUsed(chance *rand.Rand, dir string) (name string, file *os.File, used []byte, err error) {
	if name, err = aFile(chance, dir); err != nil {
		return "", nil, nil, err
	}
	path := filepath.Join(dir, name)
	content, err := os.ReadFile(path)
	if err != nil {
		return "", nil, nil, err
	}
	if used = bytes.TrimRight(content, "\x00"); len(used) == 0 {
		return "", nil, nil, fmt.Errorf("%w in %s", ErrNothing, path)
	}
	file, err = os.OpenFile(path, os.O_RDWR, 0)
	return name, file, used, err
}

// someByte is the number of a byte that most likely means something: much of a
// store's file are zeros that nobody reads.
func someByte(chance *rand.Rand, content []byte) int {
	at := chance.IntN(len(content))
	for range 1000 {
		if content[at] != 0 {
			break
		}
		at = chance.IntN(len(content))
	}
	return at
}

// aFile picks a file of a data directory that matters: of the log, of a snapshot,
// the term and vote, or the mark of how far the log had reached.
func aFile(chance *rand.Rand, dir string) (string, error) {
	kinds := [][]string{
		{"raft/snapshots/*/state.bin", "raft/snapshots/*/meta.json", "raft/snapshots/*/seal"},
		{"raft/stable"},
		{"raft/high-water"},
	}
	chance.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	// The log is what there is most of, and there always is one.
	for _, kind := range slices.Insert(kinds, chance.IntN(2), []string{"raft/raft.db", "raft/wal/*.wal"}) {
		var found []string
		for _, pattern := range kind {
			matches, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				return "", err
			}
			found = append(found, matches...)
		}
		if len(found) > 0 {
			return filepath.Rel(dir, found[chance.IntN(len(found))])
		}
	}
	return "", fmt.Errorf("%w: there are no files of Raft in %s", ErrNothing, dir)
}
