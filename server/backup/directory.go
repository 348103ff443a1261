package backup

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// directory is where scheduled backups of one cluster are.
type directory struct {
	path string
	// name is that of the cluster, as it is in the names of files.
	name string
}

// saved is one file of ours.
type saved struct {
	path string
	Meta
}

const (
	extension  = ".argosy"
	timeLayout = "20060102T150405Z"
	partPrefix = ".part-"
)

var unfit = regexp.MustCompile(`[^A-Za-z0-9._]+`)

func newDirectory(path, cluster string) *directory {
	name := strings.Trim(unfit.ReplaceAllString(cluster, "_"), ".")
	if name == "" {
		name = "cluster"
	}
	return &directory{path: path, name: name}
}

func (d *directory) fileName(meta Meta) string {
	return fmt.Sprintf("%s-%d-%s%s", d.name, meta.Revision, meta.SavedAt.UTC().Format(timeLayout), extension)
}

// list returns the backups of a cluster that are there, the oldest first. A file
// counts when its name is one that fileName makes and its header is of that
// cluster: whatever else is in the directory is somebody else's.
func (d *directory) list(clusterID string) ([]saved, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var found []saved
	for _, entry := range entries {
		rest, ok := strings.CutPrefix(entry.Name(), d.name+"-")
		if !ok || !entry.Type().IsRegular() || !strings.HasSuffix(rest, extension) {
			continue
		}
		path := filepath.Join(d.path, entry.Name())
		meta, err := readMetaOf(path)
		if err != nil || meta.ClusterID != clusterID || d.fileName(meta) != entry.Name() {
			continue
		}
		found = append(found, saved{path, meta})
	}
	// Not by their time: a clock that was wrong for a day would make the newest
	// one the first to be removed.
	slices.SortFunc(found, func(a, b saved) int {
		return cmp.Or(
			cmp.Compare(argosyv1.IncarnationNumber(a.Incarnation), argosyv1.IncarnationNumber(b.Incarnation)),
			cmp.Compare(a.Revision, b.Revision),
			a.SavedAt.Compare(b.SavedAt))
	})
	return found, nil
}

func readMetaOf(path string) (Meta, error) {
	file, err := os.Open(path)
	if err != nil {
		return Meta{}, err
	}
	defer func() { _ = file.Close() }()
	return ReadMeta(file)
}

// write writes a backup, so that there is all of it or nothing.
func (d *directory) write(ctx context.Context, meta Meta, view *fsm.View) (err error) {
	file, err := os.CreateTemp(d.path, partPrefix+d.name+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
			_ = os.Remove(file.Name())
		}
	}()
	buffered := bufio.NewWriterSize(file, 1<<20)
	if err := Write(ctx, buffered, meta, view); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), filepath.Join(d.path, d.fileName(meta))); err != nil {
		return err
	}
	return storage.SyncDir(d.path)
}

// clean removes what a backup left behind that did not get to its end. Files
// that are younger than a time are left: another server may share the directory.
func (d *directory) clean(before time.Time) error {
	left, err := filepath.Glob(filepath.Join(d.path, partPrefix+d.name+"-*"))
	if err != nil {
		return err
	}
	var problems []error
	for _, path := range left {
		if info, err := os.Stat(path); err == nil && info.ModTime().Before(before) {
			problems = append(problems, os.Remove(path))
		}
	}
	return errors.Join(problems...)
}

// prune removes the oldest backups of a cluster beyond a number.
func (d *directory) prune(clusterID string, keep int) (left int, err error) {
	found, err := d.list(clusterID)
	if err != nil {
		return 0, err
	}
	for len(found) > keep {
		if err := os.Remove(found[0].path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return len(found), err
		}
		found = found[1:]
	}
	return len(found), nil
}
