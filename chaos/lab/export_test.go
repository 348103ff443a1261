package lab

import "path/filepath"

// Within runs a function with the network of a host, for tests that listen
// there.
func Within(h *Host, f func() error) error { return h.within(f) }

// PIDs returns the processes of burners.
func PIDs(b *Burners) []int {
	var pids []int
	for _, cmd := range b.cmds {
		pids = append(pids, cmd.Process.Pid)
	}
	return pids
}

// Device returns the number of a disk's device, as the kernel writes it.
func Device(d *Disk) string {
	_, number, _ := d.throttle()
	return number
}

// GroupPaths returns the directories of a host's control group.
func GroupPaths(h *Host) []string { return h.group.paths() }

// ThrottlePath returns the file with the bounds of block devices.
func ThrottlePath() string {
	root, _ := hierarchy("blkio")
	return filepath.Join(root, throttle)
}

// TracerPID returns the process that makes calls fail.
func TracerPID(f *Failing) int { return f.tracer.Process.Pid }
