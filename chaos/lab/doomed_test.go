package lab_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/lab"
)

// doomedLab is the argument that makes this binary a lab that is killed in the
// midst of all that a lab can do.
const doomedLab = "doomed-lab"

// estate is what a lab leaves when it is killed.
type estate struct {
	// Processes that must end, and Namespaces that nobody may be in.
	Processes  []int
	Namespaces []string
	// Groups are directories of control groups.
	Groups []string
	// Slow are the numbers of block devices that are slowed down.
	Slow []string
}

func beDoomed(dir string) int {
	fmt.Println(doomed(dir))
	return 1
}

// doomed builds a lab with everything, tells what it is, and waits to be killed.
func doomed(dir string) error {
	var e estate
	for name, options := range map[string][]lab.Option{"router": nil, "switch": {lab.Shaped(1)}} {
		l, err := lab.New(filepath.Join(dir, name), options...)
		if err != nil {
			return err
		}
		if err := e.furnish(l); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(e); err != nil {
		return err
	}
	select {}
}

// furnish does to a lab all that can be done.
func (e *estate) furnish(l *lab.Lab) error {
	host, err := l.Host("host")
	if err != nil {
		return err
	}
	other, err := l.Host("other")
	if err != nil {
		return err
	}
	if err := errors.Join(l.Cut(host, other), other.Unplug()); err != nil {
		return err
	}
	// One that outlives its parent, in a small group.
	cmd := exec.Command("/bin/sh", "-c", orphan)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := host.Start(cmd); err != nil {
		return err
	}
	pid := 0
	if _, err := fmt.Fscan(out, &pid); err != nil {
		return err
	}
	e.Processes = append(e.Processes, pid)
	if err := host.Limit(lab.Limits{CPU: 0.1, Memory: 64 << 20}); err == nil {
		e.Groups = append(e.Groups, lab.GroupPaths(host)...)
	} else if !errors.Is(err, lab.ErrUnable) {
		return err
	}
	for _, space := range []string{"net", "mnt"} {
		name, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, space))
		if err != nil {
			return err
		}
		e.Namespaces = append(e.Namespaces, name)
	}
	if failing, err := lab.Fail(pid, lab.Failure{Flushes: true, Error: syscall.EIO}); err == nil {
		e.Processes = append(e.Processes, lab.TracerPID(failing))
	} else if !errors.Is(err, lab.ErrUnable) {
		return err
	}
	slow, err := l.Disk("slow", 16<<20)
	if err != nil {
		return err
	}
	if err := slow.Slow(100); err == nil {
		e.Slow = append(e.Slow, lab.Device(slow))
	} else if !errors.Is(err, lab.ErrUnable) {
		return err
	}
	// One that waits for a disk that stalls, and cannot be killed until it goes on.
	disk, err := l.Disk("disk", 16<<20)
	if err != nil {
		return err
	}
	if err := disk.Stall(); err != nil {
		return err
	}
	waiting := exec.Command("touch", filepath.Join(disk.Path, "late"))
	if err := other.Start(waiting); err != nil {
		return err
	}
	e.Processes = append(e.Processes, waiting.Process.Pid)
	name, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", waiting.Process.Pid))
	e.Namespaces = append(e.Namespaces, name)
	return err
}

func TestNothingOfALabOutlivesItsProcess(t *testing.T) {
	t.Parallel()
	mustLab(t)
	dir := t.TempDir()
	doomed := exec.Command("/proc/self/exe", doomedLab, dir)
	out, err := doomed.StdoutPipe()
	must(t, err)
	must(t, doomed.Start())
	var left estate
	err = json.NewDecoder(out).Decode(&left)
	if err != nil || len(left.Processes) < 4 || len(left.Namespaces) != 6 {
		_ = doomed.Process.Kill()
		t.Fatalf("the doomed lab: %v, %+v", err, left)
	}
	if err := left.gone(); err == nil {
		t.Error("the lab had nothing")
	}
	if devices := loopDevices(t, dir); len(devices) != 4 {
		t.Errorf("loop devices of the lab: %v", devices)
	}
	must(t, doomed.Process.Kill())
	_ = doomed.Wait()
	eventually(t, "all of it to be gone", func() error {
		err := left.gone()
		if devices := loopDevices(t, dir); err == nil && len(devices) > 0 {
			err = fmt.Errorf("loop devices are left: %v", devices)
		}
		return err
	})
}

// gone returns what there still is.
func (e estate) gone() error {
	for _, pid := range e.Processes {
		if lives(pid) {
			return fmt.Errorf("process %d is left", pid)
		}
	}
	for _, space := range []string{"net", "mnt"} {
		links, err := filepath.Glob("/proc/[0-9]*/ns/" + space)
		if err != nil {
			return err
		}
		for _, link := range links {
			// A process that has ended meanwhile is nowhere.
			if name, err := os.Readlink(link); err == nil && slices.Contains(e.Namespaces, name) {
				return fmt.Errorf("somebody is left in a namespace: %s", link)
			}
		}
	}
	for _, group := range e.Groups {
		if _, err := os.Stat(group); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("control group %s is left: %w", group, err)
		}
	}
	bounds, err := os.ReadFile(lab.ThrottlePath())
	for _, device := range e.Slow {
		if err == nil && strings.Contains("\n"+string(bounds), "\n"+device+" ") {
			return fmt.Errorf("a bound of device %s is left: %s", device, bounds)
		}
	}
	return nil
}

// loopDevices returns the loop devices whose image is below a directory.
func loopDevices(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	must(t, err)
	var found []string
	for _, file := range files {
		// One that is let go of meanwhile is nobody's.
		text, _ := os.ReadFile(file)
		if strings.HasPrefix(string(text), dir) {
			found = append(found, file)
		}
	}
	return found
}
