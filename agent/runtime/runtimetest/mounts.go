package runtimetest

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/argosy-cluster/argosy/agent/runtime"
)

// What scripts begin with to find what they are shown, mounted or not.
const (
	findFiles = `files="$ARGOSY_FILES"; `
	findPipes = `pipes="${ARGOSY_CONTROL_INTERFACE:-` + runtime.ControlInterfaceTarget + `}"; `
)

// shown is what an instance is to be shown of the host.
type shown struct {
	*scene
	dir string
}

func newShown(s *scene) *shown {
	if !s.harness.Mounts {
		s.Skip("the runtime shows nothing of the host")
	}
	return &shown{scene: s, dir: s.TempDir()}
}

// mustPut makes files by their mount points, those of before are gone.
func (d *shown) mustPut(files map[string]string) []runtime.Mount {
	d.Helper()
	root := filepath.Join(d.dir, "files")
	err := os.RemoveAll(root)
	var mounts []runtime.Mount
	for target, content := range files {
		source := root + target
		err = errors.Join(err, os.MkdirAll(filepath.Dir(source), 0o755), os.WriteFile(source, []byte(content), 0o444))
		mounts = append(mounts, runtime.Mount{Source: source, Target: target, ReadOnly: true})
	}
	if err != nil {
		d.Fatal(err)
	}
	return mounts
}

// mustPipe makes the pipes and opens the one that the instance writes to.
func (d *shown) mustPipe() (runtime.Mount, *os.File) {
	d.Helper()
	folder := filepath.Join(d.dir, "control_interface")
	err := errors.Join(os.Mkdir(folder, 0o755), syscall.Mkfifo(filepath.Join(folder, "output"), 0o666))
	if err != nil {
		d.Fatal(err)
	}
	// For writing too, so that opening it waits for nobody.
	pipe, err := os.OpenFile(filepath.Join(folder, "output"), os.O_RDWR, 0)
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { _ = pipe.Close() })
	return runtime.Mount{Source: folder, Target: runtime.ControlInterfaceTarget, ReadOnly: true}, pipe
}

func testMounts(s *scene) {
	d := newShown(s)
	mounts := d.mustPut(map[string]string{"/etc/suite/deep/a.conf": "level = info", "/suite b,c:d": "binary"})
	control, pipe := d.mustPipe()
	w := s.workload("shown", Script{
		Body: findFiles + findPipes + `cat "$files/etc/suite/deep/a.conf" "$files/suite b,c:d" >"$pipes/output"; echo >"$pipes/output"; ` + forever,
	})
	s.mustStart(w, runtime.StartOptions{Mounts: append(mounts, control)})
	line, err := bufio.NewReader(pipe).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		s.Fatal(err)
	}
	if got, want := strings.TrimSpace(line), "level = infobinary"; got != want {
		s.Fatalf("through the pipe came %q, want what is in the files: %q", got, want)
	}
}

func testMountsAgain(s *scene) {
	d := newShown(s)
	w := s.workload("again", Script{Body: findFiles + `cat "$files/etc/suite.conf"; echo; exit 3`})
	for _, content := range []string{"first", "second"} {
		mark := s.watcher.mark()
		mounts := d.mustPut(map[string]string{"/etc/suite.conf": content})
		instance := s.mustStart(w, runtime.StartOptions{Reuse: true, Mounts: mounts})
		s.watcher.awaitSince(mark, instance.Name, "its end", func(e runtime.Event) bool {
			return e.Instance.Status == runtime.StatusExited && e.Instance.ExitCode == 3
		})
	}
	s.mustBeLines(s.mustLogs(w, runtime.LogOptions{Tail: -1}), "first", "second")
}

func testMountsAnew(s *scene) {
	d := newShown(s)
	script := findFiles + `for file in one two; do test ! -f "$files/etc/$file.suite" || cat "$files/etc/$file.suite"; done; echo; ` + forever
	w := s.workload("anew", Script{Body: script})
	for target, content := range map[string]string{"/etc/one.suite": "first", "/etc/two.suite": "second"} {
		s.mustStart(w, runtime.StartOptions{Mounts: d.mustPut(map[string]string{target: content})})
		s.mustPrint(w, "ready")
		s.mustBeLines(s.mustLogs(w, runtime.LogOptions{Tail: -1}), content, "ready")
		s.mustRemoveTold(w)
	}
}
