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
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"

	"github.com/argosy-cluster/argosy/agent/runfolder"
	"github.com/argosy-cluster/argosy/agent/runtime"
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

// Limits of what one workload may have.
const (
	// maxFiles is how many.
	maxFiles = 4096
	// maxBytes is how much is in all of them: what one message from the leader can
	// hold.
	maxBytes = 32 << 20
	// maxPath and maxName are the kernel's, less room for the folder of the
	// instance.
	maxPath = 3072
	maxName = 255
)

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
	if err := check(files); err != nil {
		return nil, err
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
	left := maxBytes
	for _, f := range files {
		if ctx.Err() != nil {
			return fmt.Errorf("make files: %w", context.Cause(ctx))
		}
		content, err := contentOf(f)
		if left -= len(content); err == nil && left < 0 {
			err = fmt.Errorf("with it the files of the workload are larger than %d bytes: keep large data in the image or a volume", maxBytes)
		}
		if err != nil {
			return &runtime.FileError{Path: f.GetMountPoint(), Err: err, Permanent: true}
		}
		if err := write(into, f.GetMountPoint()[1:], content); err != nil {
			return &runtime.FileError{Path: f.GetMountPoint(), Err: err}
		}
	}
	return nil
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

// space is the white space that may stand in base64.
var space = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "")

func contentOf(f *argosyv1.File) ([]byte, error) {
	switch content := f.GetContent().(type) {
	case *argosyv1.File_Data:
		return []byte(content.Data), nil
	case *argosyv1.File_BinaryData:
		data, err := base64.StdEncoding.DecodeString(space.Replace(content.BinaryData))
		if err != nil {
			return nil, fmt.Errorf("read binaryData: %w: want base64 of the standard alphabet, with padding", err)
		}
		return data, nil
	default:
		return nil, errors.New("it has no content: give data or binaryData")
	}
}

// check says which mount points can never be, alone or together.
func check(files []*argosyv1.File) error {
	seen := make(map[string]struct{}, len(files))
	for i, f := range files {
		target := f.GetMountPoint()
		err := checkTarget(target)
		if _, twice := seen[target]; twice && err == nil {
			err = errors.New("two files have this mount point")
		}
		if i >= maxFiles && err == nil {
			err = fmt.Errorf("the workload has more than %d files", maxFiles)
		}
		if err != nil {
			return &runtime.FileError{Path: target, Err: err, Permanent: true}
		}
		seen[target] = struct{}{}
	}
	for target := range seen {
		for above := path.Dir(target); above != "/"; above = path.Dir(above) {
			if _, isFile := seen[above]; isFile {
				return &runtime.FileError{Path: above, Err: fmt.Errorf("it would have to be a folder too, for %s", target), Permanent: true}
			}
		}
	}
	return nil
}

func checkTarget(target string) error {
	switch {
	case !path.IsAbs(target) || path.Clean(target) != target || target == "/":
		return errors.New("its mount point is not an absolute path of a file without \".\", \"..\" and double or trailing \"/\"")
	case strings.ContainsRune(target, 0):
		return errors.New("its mount point contains a zero byte")
	case len(target) > maxPath:
		return fmt.Errorf("its mount point is longer than %d bytes", maxPath)
	case target == runtime.ControlInterfaceTarget || strings.HasPrefix(target, runtime.ControlInterfaceTarget+"/"):
		return errors.New("its mount point belongs to the control interface")
	}
	for name := range strings.SplitSeq(target, "/") {
		if len(name) > maxName {
			return fmt.Errorf("its mount point has a name of more than %d bytes", maxName)
		}
	}
	return nil
}
