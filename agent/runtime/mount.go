package runtime

import (
	"fmt"
	"strings"
)

// ControlInterfaceTarget is where workloads look for their control interface.
const ControlInterfaceTarget = "/run/ankaios/control_interface"

// Mount is a file or a folder of the host that an instance is shown.
type Mount struct {
	// Source is its path on the host, absolute. That of a file ends in Target:
	// what is before that is the folder in which all files of the instance lie.
	Source string
	// Target is where the instance finds it: an absolute path, clean.
	Target string
	// ReadOnly keeps the instance from changing it. Pipes can be written to all
	// the same.
	ReadOnly bool
}

// ControlInterface returns the folder of the control interface on the host; empty
// when the instance has none.
func (o StartOptions) ControlInterface() string {
	for _, m := range o.Mounts {
		if m.Target == ControlInterfaceTarget {
			return m.Source
		}
	}
	return ""
}

// FilesFolder returns the folder on the host in which each file of the instance
// has its mount point as path; empty when it has no files. It is for runtimes
// that cannot mount.
func (o StartOptions) FilesFolder() string {
	for _, m := range o.Mounts {
		if folder, ok := strings.CutSuffix(m.Source, m.Target); ok {
			return folder
		}
	}
	return ""
}

// FileError is returned when a file of an instance cannot be made.
type FileError struct {
	// Path is its mount point.
	Path string
	// Err is why.
	Err error
	// Permanent is set when it never can be, as the workload is written.
	Permanent bool
}

// Error implements error.
func (e *FileError) Error() string { return fmt.Sprintf("make file %s: %v", e.Path, e.Err) }

// Unwrap returns why.
func (e *FileError) Unwrap() error { return e.Err }
