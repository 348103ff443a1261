// Package files makes the files of instances on the host, where the runtimes mount
// them from: below files in the folder of the instance, each at its mount point.
//
// It protects one invariant: an instance sees all of its files as its workload has
// them, or is not started. They are made beside those of the start before and
// replace them as a whole; what an interrupted start left is never used. Nothing is
// flushed to the disk: after a crash of the machine instances are started again,
// and their files made anew before.
//
// Nothing is removed here: the files end with the folder of their instance.
package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/agent/runfolder"
	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/manifest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const (
	// current has the files, coming is where they are made.
	current = "files"
	coming  = "files.new"
	// Whoever the instance runs as reads them; the folder of the instance keeps
	// all others out.
	fileMode   = 0o444
	folderMode = 0o755
)

// maxBytes is how much the files of a workload may hold together: what one message
// from the leader can bring. A manifest's limits are much lower.
const maxBytes = 32 << 20

// Maker makes files for the instances of one agent.
type Maker struct{ folder runfolder.Folder }

// New returns a maker for an agent, in the run folder dir. It touches nothing.
func New(dir, agent string, logger *slog.Logger) *Maker {
	return &Maker{folder: runfolder.New(dir, agent, logger)}
}

// Make makes the files of an instance anew and returns how they are to be mounted.
// Its errors are of type *runtime.FileError when they are about one file.
func (m *Maker) Make(ctx context.Context, instance *argosyv1.InstanceName, files []*argosyv1.File) ([]runtime.Mount, error) {
	if len(files) == 0 {
		return nil, nil
	}
	name, err := runfolder.NameOf(instance)
	if err != nil {
		return nil, fmt.Errorf("make files: %w", err)
	}
	if err := m.replace(ctx, name, files); err != nil {
		return nil, err
	}
	mounts := make([]runtime.Mount, len(files))
	for i, f := range files {
		target := f.GetMountPoint()
		mounts[i] = runtime.Mount{Source: m.folder.Path(name, current) + target, Target: target, ReadOnly: true}
	}
	return mounts, nil
}

// replace puts new files in the place of those that are there.
func (m *Maker) replace(ctx context.Context, name string, files []*argosyv1.File) error {
	folder, err := m.folder.OpenInstance(name)
	if err != nil {
		return fmt.Errorf("make files: %w", err)
	}
	defer folder.Close()
	root, err := os.OpenRoot(runfolder.Self(folder))
	if err != nil {
		return fmt.Errorf("make files: %w", err)
	}
	defer root.Close()
	if err := m.fill(ctx, root, files); err != nil {
		return errors.Join(err, clear(root, coming))
	}
	if err := clear(root, current); err != nil {
		return err
	}
	if err := root.Rename(coming, current); err != nil {
		return fmt.Errorf("make files: %w", err)
	}
	return nil
}

// fill makes the files in a folder beside.
func (m *Maker) fill(ctx context.Context, root *os.Root, files []*argosyv1.File) error {
	if err := clear(root, coming); err != nil {
		return err
	}
	if err := root.Mkdir(coming, folderMode); err != nil {
		return fmt.Errorf("make files: %w", err)
	}
	into, err := root.OpenRoot(coming)
	if err != nil {
		return fmt.Errorf("make files: %w", err)
	}
	defer into.Close()
	room := maxBytes
	for _, f := range files {
		if ctx.Err() != nil {
			return fmt.Errorf("make files: %w", context.Cause(ctx))
		}
		if err := makeFile(into, f, &room); err != nil {
			return &runtime.FileError{Path: f.GetMountPoint(), Err: err, Permanent: isPermanent(err)}
		}
	}
	return nil
}

func makeFile(into *os.Root, f *argosyv1.File, room *int) error {
	if err := checkTarget(f.GetMountPoint()); err != nil {
		return err
	}
	content, err := contentOf(f)
	if err != nil {
		return err
	}
	if *room -= len(content); *room < 0 {
		return fmt.Errorf("%w: with it the files of the workload are larger than %d bytes: keep large data in the image or a volume",
			errUnfit, maxBytes)
	}
	return write(into, f.GetMountPoint()[1:], content)
}

// errUnfit is returned for what can never be, as the workload is written.
var errUnfit = errors.New("it cannot be as it is written")

// isPermanent tells whether to try again is of no use: the folder was empty, so
// that what is in the way of a file is another one of the workload.
func isPermanent(err error) bool {
	for _, never := range []error{errUnfit, unix.EEXIST, unix.ENOTDIR, unix.EISDIR, unix.ENAMETOOLONG, unix.EINVAL} {
		if errors.Is(err, never) {
			return true
		}
	}
	return false
}

func clear(root *os.Root, name string) error {
	if err := root.RemoveAll(name); err != nil {
		return fmt.Errorf("remove former files: %w", err)
	}
	return nil
}

func write(into *os.Root, name string, content []byte) error {
	if err := into.MkdirAll(path.Dir(name), folderMode); err != nil {
		return err
	}
	file, err := into.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Chmod(fs.FileMode(fileMode)), file.Close())
}

func contentOf(f *argosyv1.File) ([]byte, error) {
	switch content := f.GetContent().(type) {
	case *argosyv1.File_Data:
		return []byte(content.Data), nil
	case *argosyv1.File_BinaryData:
		data, err := manifest.DecodeBinary(content.BinaryData)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUnfit, err)
		}
		return data, nil
	default:
		return nil, fmt.Errorf("%w: it has no content: give data or binaryData", errUnfit)
	}
}

func checkTarget(target string) error {
	switch {
	case !path.IsAbs(target) || path.Clean(target) != target || target == "/" || strings.ContainsRune(target, 0):
		return fmt.Errorf("%w: its mount point is no absolute path without '.', '..' and '//' that ends in a name", errUnfit)
	case target == runtime.ControlInterfaceTarget || strings.HasPrefix(target, runtime.ControlInterfaceTarget+"/"):
		return fmt.Errorf("%w: its mount point belongs to the control interface", errUnfit)
	}
	return nil
}
