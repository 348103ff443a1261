package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Limits bound what all processes of a host use together.
type Limits struct {
	// CPU is how many cores they keep busy at the most, 0.05 is a twentieth of one;
	// 0 bounds it not.
	CPU float64
	// Memory is how many bytes they have at the most, with what the kernel keeps of
	// their files; who needs more is killed. 0 bounds it not. Where the kernel
	// cannot take from them what they have, they get no more.
	Memory int64
}

// Limit bounds what the processes of the host use from now on; the zero Limits
// take all bounds away. It fails with ErrUnable where there are no control
// groups for it.
func (h *Host) Limit(limits Limits) error {
	if limits.CPU < 0 || limits.Memory < 0 {
		return fmt.Errorf("limit %s: CPU %v and memory %d must not be negative", h.Name, limits.CPU, limits.Memory)
	}
	if h.group == nil {
		return fmt.Errorf("limit %s: %w", h.Name, h.groupless)
	}
	if err := h.group.limit(limits); err != nil {
		return fmt.Errorf("limit %s: %w", h.Name, err)
	}
	return nil
}

// group is a control group of processes, for CPU time and for memory.
type group struct {
	// dirs are its directories: one, or one for each controller in version 1, and
	// one in which is only counted how long they wait.
	dirs []groupDir
	// waits is the file that tells how long they waited for a processor, empty
	// where the kernel does not count it.
	waits string
}

// groupDir is a control group's directory.
type groupDir struct {
	path string
	// version of control groups, 1 or 2.
	version     int
	controllers []string
}

// newGroup makes a group of a name that nobody else uses.
func newGroup(name string) (*group, error) {
	g := &group{}
	for _, controller := range []string{"cpu", "memory"} {
		dir, err := findParent(controller)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %w", ErrUnable, err), g.close())
		}
		dir.path = filepath.Join(dir.path, name)
		same := func(other groupDir) bool { return other.path == dir.path }
		if i := slices.IndexFunc(g.dirs, same); i >= 0 {
			g.dirs[i].controllers = append(g.dirs[i].controllers, controller)
			continue
		}
		if err := os.Mkdir(dir.path, 0o755); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: make control group: %w", ErrUnable, err), g.close())
		}
		g.dirs = append(g.dirs, dir)
	}
	g.count(name)
	return g, nil
}

// findParent returns the group in which those of the lab are made: in version 1
// that of this process, which may have bounds of its own; in version 2, where a
// group has processes or groups, the first.
func findParent(controller string) (groupDir, error) {
	if root, err := hierarchy(controller); err == nil {
		own, err := ownGroup(controller)
		if err != nil {
			return groupDir{}, err
		}
		return groupDir{path: filepath.Join(root, own), version: 1, controllers: []string{controller}}, nil
	}
	root, err := hierarchy("")
	if err != nil {
		return groupDir{}, fmt.Errorf("there are no control groups for %q", controller)
	}
	if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+controller), 0); err != nil {
		return groupDir{}, fmt.Errorf("let control groups bound %q: %w", controller, err)
	}
	return groupDir{path: root, version: 2, controllers: []string{controller}}, nil
}

// ownGroup returns the group of version 1 that this process is in.
func ownGroup(controller string) (string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		// number:controllers:path
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 && slices.Contains(strings.Split(parts[1], ","), controller) {
			return parts[2], nil
		}
	}
	return "", fmt.Errorf("find own control group for %q: there is none", controller)
}

// hierarchy returns where the control groups of a controller are mounted, of
// version 1; with an empty name those of version 2.
func hierarchy(controller string) (string, error) {
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer func() { _ = mounts.Close() }()
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		// id parent device root point options - type source options
		before, after, _ := strings.Cut(lines.Text(), " - ")
		mount, file := strings.Fields(before), strings.Fields(after)
		if len(mount) < 5 || len(file) < 3 {
			continue
		}
		if controller == "" && file[0] == "cgroup2" ||
			controller != "" && file[0] == "cgroup" && slices.Contains(strings.Split(file[2], ","), controller) {
			return mount[4], nil
		}
	}
	return "", errors.Join(lines.Err(), fmt.Errorf("find control groups for %q: there are none", controller))
}

// add puts a process into the group, with all its threads and those that it will
// start. One that has ended is nowhere.
func (g *group) add(pid int) error {
	for _, dir := range g.dirs {
		err := os.WriteFile(filepath.Join(dir.path, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("put process %d into its control group: %w", pid, err)
		}
	}
	return nil
}

// period is that in which a group is given its share of CPU time, in
// microseconds; leastQuota is the least that the kernel knows.
const period, leastQuota = 100_000, 1_000

// limit bounds the group anew.
func (g *group) limit(limits Limits) error {
	var errs []error
	for _, dir := range g.dirs {
		for _, controller := range dir.controllers {
			if controller == "cpu" {
				errs = append(errs, dir.limitCPU(limits.CPU))
			} else {
				errs = append(errs, dir.limitMemory(limits.Memory))
			}
		}
	}
	return errors.Join(errs...)
}

func (d groupDir) limitCPU(cores float64) error {
	quota := max(int64(cores*period), leastQuota)
	switch {
	case d.version == 2 && cores == 0:
		return d.set("cpu.max", fmt.Sprintf("max %d", period))
	case d.version == 2:
		return d.set("cpu.max", fmt.Sprintf("%d %d", quota, period))
	case cores == 0:
		return d.set("cpu.cfs_quota_us", "-1")
	}
	return errors.Join(d.set("cpu.cfs_period_us", strconv.Itoa(period)), d.set("cpu.cfs_quota_us", strconv.FormatInt(quota, 10)))
}

func (d groupDir) limitMemory(bytes int64) error {
	switch {
	case d.version == 2 && bytes == 0:
		return d.set("memory.max", "max")
	case d.version == 2:
		return d.set("memory.max", strconv.FormatInt(bytes, 10))
	case bytes == 0:
		return d.set("memory.limit_in_bytes", "-1")
	}
	// What they would swap they would not feel.
	if err := d.set("memory.swappiness", "0"); err != nil {
		return err
	}
	err := d.set("memory.limit_in_bytes", strconv.FormatInt(bytes, 10))
	// It takes nobody's memory that is in use, but can bound it at that: they may
	// get more while this is found out.
	for slack := int64(1 << 16); errors.Is(err, unix.EBUSY) && slack < 1<<30; slack *= 2 {
		text, readErr := os.ReadFile(filepath.Join(d.path, "memory.usage_in_bytes"))
		used, parseErr := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if readErr != nil || parseErr != nil {
			return errors.Join(err, readErr, parseErr)
		}
		err = d.set("memory.limit_in_bytes", strconv.FormatInt(used+slack, 10))
	}
	return err
}

func (d groupDir) set(file, value string) error {
	// A file that is not there is not made.
	f, err := os.OpenFile(filepath.Join(d.path, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// close removes the group, whose processes must have been killed.
func (g *group) close() error {
	var errs []error
	for _, dir := range g.dirs {
		err := unix.Rmdir(dir.path)
		// Whoever was killed is in it until it has been waited for.
		for attempt := 0; errors.Is(err, unix.EBUSY) && attempt < 1000; attempt++ {
			time.Sleep(5 * time.Millisecond)
			err = unix.Rmdir(dir.path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove control group %s: %w", dir.path, err))
		}
	}
	g.dirs = nil
	return errors.Join(errs...)
}

// paths returns the directories of the group.
func (g *group) paths() []string {
	var paths []string
	for _, dir := range g.dirs {
		paths = append(paths, dir.path)
	}
	return paths
}
