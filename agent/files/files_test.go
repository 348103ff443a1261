package files

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/agent/runfolder"
	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

var web = &argosyv1.InstanceName{Workload: "web", Id: "1", Agent: "a"}

func text(mountPoint, data string) *argosyv1.File {
	return &argosyv1.File{MountPoint: mountPoint, Content: &argosyv1.File_Data{Data: data}}
}

func binary(mountPoint, data string) *argosyv1.File {
	return &argosyv1.File{MountPoint: mountPoint, Content: &argosyv1.File_BinaryData{BinaryData: data}}
}

func mustMake(t *testing.T, m *Maker, files ...*argosyv1.File) []runtime.Mount {
	t.Helper()
	mounts, err := m.Make(t.Context(), web, files)
	if err != nil {
		t.Fatal(err)
	}
	return mounts
}

// mustHave compares all files that are there with those that shall be.
func mustHave(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := make(map[string]string)
	root := filepath.Join(dir, "a_io", "web.1", "files")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		got[strings.TrimPrefix(path, root)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range want {
		if got[path] != content {
			t.Errorf("%s is %q, want %q", path, got[path], content)
		}
	}
	if len(got) != len(want) {
		t.Errorf("there are %d files, want %d: %q", len(got), len(want), got)
	}
}

func TestFilesAreMadeAtTheirMountPoints(t *testing.T) {
	dir := t.TempDir()
	mounts := mustMake(t, New(dir, "a", nil), text("/etc/app/a.conf", "level = info\n"), binary("/key", " AAEC\n\t/w==\r\n"), text("/etc/empty", ""))
	mustHave(t, dir, map[string]string{"/etc/app/a.conf": "level = info\n", "/key": "\x00\x01\x02\xff", "/etc/empty": ""})
	var targets []string
	for _, m := range mounts {
		targets = append(targets, m.Target)
		if m.Source != filepath.Join(dir, "a_io/web.1/files", m.Target) || !m.ReadOnly {
			t.Errorf("mount %+v", m)
		}
		info, err := os.Lstat(m.Source)
		if err != nil || info.Mode() != fileMode {
			t.Errorf("%s: %v, %v, want a file that is read-only", m.Source, info, err)
		}
	}
	if want := []string{"/etc/app/a.conf", "/key", "/etc/empty"}; !slices.Equal(targets, want) {
		t.Errorf("mounted at %q, want %q", targets, want)
	}
	for _, folder := range []string{"a_io", "a_io/web.1"} {
		if info, err := os.Lstat(filepath.Join(dir, folder)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v, want it to be private", folder, info, err)
		}
	}
}

func TestWithoutFilesNothingIsMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if mounts := mustMake(t, New(dir, "a", nil)); len(mounts) > 0 {
		t.Errorf("mounts %v", mounts)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("run folder: %v", err)
	}
}

func TestFilesAreMadeAnewAsAWhole(t *testing.T) {
	dir := t.TempDir()
	m := New(dir, "a", nil)
	mustMake(t, m, text("/kept", "old"), text("/gone", "old"))
	// What a start that was interrupted has left.
	left := filepath.Join(dir, "a_io", "web.1", coming)
	if err := errors.Join(os.Mkdir(left, 0o700), os.WriteFile(filepath.Join(left, "half"), nil, 0o400)); err != nil {
		t.Fatal(err)
	}
	mustMake(t, m, text("/kept", "new"), text("/more", "new"))
	mustHave(t, dir, map[string]string{"/kept": "new", "/more": "new"})
	if _, err := os.Lstat(left); err == nil {
		t.Error("what was left is there")
	}
}

func TestAMakeThatFailsLeavesTheFormerFiles(t *testing.T) {
	dir := t.TempDir()
	m := New(dir, "a", nil)
	mustMake(t, m, text("/a", "old"))
	if _, err := m.Make(t.Context(), web, []*argosyv1.File{text("/a", "new"), binary("/b", "?")}); err == nil {
		t.Fatal("no error")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Make(ended, web, []*argosyv1.File{text("/a", "new")}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
	mustHave(t, dir, map[string]string{"/a": "old"})
	if _, err := os.Lstat(filepath.Join(dir, "a_io", "web.1", coming)); err == nil {
		t.Error("what was begun is there")
	}
}

func TestFilesThatCanNeverBe(t *testing.T) {
	for name, test := range map[string]struct {
		files []*argosyv1.File
		text  string
	}{
		"no base64":               {[]*argosyv1.File{binary("/a", "AAE")}, "base64"},
		"no content":              {[]*argosyv1.File{{MountPoint: "/a"}}, "no content"},
		"relative":                {[]*argosyv1.File{text("etc/a", "")}, "no absolute path"},
		"empty":                   {[]*argosyv1.File{text("", "")}, "no absolute path"},
		"the root":                {[]*argosyv1.File{text("/", "")}, "no absolute path"},
		"out of the folder":       {[]*argosyv1.File{text("/../../x", "")}, "no absolute path"},
		"a folder":                {[]*argosyv1.File{text("/etc/", "")}, "no absolute path"},
		"zero byte":               {[]*argosyv1.File{text("/a\x00", "")}, "no absolute path"},
		"too long":                {[]*argosyv1.File{text("/"+strings.Repeat("x", 300), "")}, "too long"},
		"twice":                   {[]*argosyv1.File{text("/a", ""), text("/a", "")}, "exists"},
		"below a file":            {[]*argosyv1.File{text("/a", ""), text("/a/b", "")}, "exists"},
		"above a file":            {[]*argosyv1.File{text("/a/b", ""), text("/a", "")}, "exists"},
		"the control interface":   {[]*argosyv1.File{text("/run/ankaios/control_interface", "")}, "control interface"},
		"a pipe of the interface": {[]*argosyv1.File{text("/run/ankaios/control_interface/input", "")}, "control interface"},
		"too much": {[]*argosyv1.File{
			text("/a", strings.Repeat("x", maxBytes)), text("/b", "x"),
		}, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(t.TempDir(), "a", nil).Make(t.Context(), web, test.files)
			failed, ok := errors.AsType[*runtime.FileError](err)
			if !ok || !failed.Permanent || failed.Path != test.files[len(test.files)-1].GetMountPoint() {
				t.Fatalf("error %#v, want a permanent one about the last file", err)
			}
			if !strings.Contains(failed.Err.Error(), test.text) {
				t.Errorf("error %q does not say %q", failed.Err, test.text)
			}
		})
	}
}

func TestAFullDiskIsNotForEver(t *testing.T) {
	for _, err := range []error{unix.ENOSPC, unix.EIO, unix.EDQUOT, unix.EROFS, unix.EACCES} {
		if isPermanent(&fs.PathError{Op: "write", Path: "x", Err: err}) {
			t.Errorf("%v counts as permanent", err)
		}
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	outside := t.TempDir()
	for _, place := range []string{"a_io", "a_io/web.1", "a_io/web.1/files", "a_io/web.1/files.new"} {
		t.Run(place, func(t *testing.T) {
			dir := t.TempDir()
			link := filepath.Join(dir, place)
			if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o700), os.Symlink(outside, link)); err != nil {
				t.Fatal(err)
			}
			_, err := New(dir, "a", nil).Make(t.Context(), web, []*argosyv1.File{text("/etc/a", "secret")})
			if place == "a_io" {
				if err == nil {
					t.Error("what is in the place of the agent's folder was replaced")
				}
			} else if err != nil {
				t.Errorf("a left-over was not replaced: %v", err)
			}
			if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
				t.Errorf("outside: %v, %v", entries, err)
			}
		})
	}
}

func TestNamesThatAreNoFolderAreRefused(t *testing.T) {
	for _, name := range []*argosyv1.InstanceName{{Workload: "..", Id: "1"}, {Workload: "a/b", Id: "1"}, {Workload: "a", Id: ""}} {
		_, err := New(t.TempDir(), "a", nil).Make(t.Context(), name, []*argosyv1.File{text("/a", "")})
		if !errors.Is(err, runfolder.ErrName) {
			t.Errorf("%v: error %v", name, err)
		}
	}
}
