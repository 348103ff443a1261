package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/plan"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// What is in a server's data directory.
const (
	raftDir = "raft"
	// rebuildsFile remembers how often the server was rebuilt: one that was so too
	// often is given up, as its machine must be broken. Here it is not the machine:
	// each fault stands for another one.
	rebuildsFile = "rebuilds"
)

// removeLimit is how long an operator tries to remove a server that is gone.
const removeLimit = 10 * time.Second

func spoilt(names []string) Harm { return Harm{Down: names, Spoiled: names, Busy: names} }

// rebuilding is the harm of those whose data was spoiled, until they are level
// again: nothing else is done to them meanwhile.
func rebuilding(names []string) Harm { return Harm{Spoiled: names, Busy: names} }

// spoil does something to the data directory of a server that does not run.
type spoil func(ctx context.Context, w *World, step plan.Step, p *cluster.Process) (detail string, err error)

// spoiling kills a server, spoils its data and lets it find out by itself.
func spoiling(do spoil) inject {
	return to(leaderOrServer, spoilt, rebuilding, func(ctx context.Context, w *World, step plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
		if err := kill(p); err != nil {
			return "", nil, err
		}
		if err := os.RemoveAll(filepath.Join(w.Site.Data(p), rebuildsFile)); err != nil {
			return "", nil, err
		}
		detail, err := do(ctx, w, step, p)
		return p.Name + ": " + detail, nil, errors.Join(err, flush(w.Site.Data(p)))
	})
}

// flipBits changes bits in one file.
func flipBits(_ context.Context, w *World, step plan.Step, p *cluster.Process) (string, error) {
	name, file, used, err := openUsed(w.Rand, w.Site.Data(p))
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	var where []string
	for range 1 + int(step.Strength*7) {
		at, bit := someByte(w.Rand, used), w.Rand.IntN(8)
		used[at] ^= 1 << bit
		if _, err := file.WriteAt(used[at:at+1], int64(at)); err != nil {
			return "", err
		}
		where = append(where, fmt.Sprintf("%d.%d", at, bit))
	}
	return fmt.Sprintf("changed bits %s of %d bytes of %s", strings.Join(where, ", "), len(used), name), nil
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
		return "", nil, nil, fmt.Errorf("%w: there is nothing in %s", ErrNoTarget, path)
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

// cutFile cuts the end of what is in one file off.
func cutFile(_ context.Context, w *World, step plan.Step, p *cluster.Process) (string, error) {
	name, file, used, err := openUsed(w.Rand, w.Site.Data(p))
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	off := 1 + w.Rand.IntN(max(1, int(step.Strength*float64(len(used)))))
	return fmt.Sprintf("cut %d of %d bytes off %s", off, len(used), name), file.Truncate(int64(len(used) - off))
}

// aFile picks a file of a data directory that matters: of the log, of a snapshot,
// the term and vote, or the mark of how far the log had reached.
func aFile(chance *rand.Rand, dir string) (string, error) {
	kinds := [][]string{
		{"raft/snapshots/*/state.bin", "raft/snapshots/*/meta.json"},
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
	return "", fmt.Errorf("%w: there are no files of Raft in %s", ErrNoTarget, dir)
}

// wipe removes what a server has: all of it, after an operator has removed the
// server from the cluster, as one does who puts a new disk in; or Raft's data
// alone, which the server has to find out by itself.
func wipe(ctx context.Context, w *World, _ plan.Step, p *cluster.Process) (string, error) {
	dir := w.Site.Data(p)
	if w.Rand.IntN(2) == 0 {
		return "removed Raft's data", os.RemoveAll(filepath.Join(dir, raftDir))
	}
	id, err := os.ReadFile(filepath.Join(dir, "server-id"))
	if err != nil {
		return "", err
	}
	old := strings.TrimSpace(string(id))
	removing, cancel := context.WithTimeout(ctx, removeLimit)
	defer cancel()
	_, err = w.Client.RemoveServer(removing, &argosyv1.RemoveServerRequest{Server: old})
	if err != nil && argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
		return fmt.Sprintf("removed Raft's data (the server could not be removed from the cluster: %v)", err), os.RemoveAll(filepath.Join(dir, raftDir))
	}
	return "removed server " + old + " from the cluster, and all its data", empty(dir)
}

// empty removes everything in a directory.
func empty(dir string) error {
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
