// Package load reads how busy this machine is. Its invariant: a reading never
// fails for good; what cannot be read is reported as it was last known.
package load

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"sync"
)

// Sample is the load of a machine.
type Sample struct {
	// CPUPercent is the use of all CPUs since the sample before, 0 to 100.
	CPUPercent uint32
	// FreeBytes is the memory that a new workload could get without swapping.
	FreeBytes uint64
	// TotalBytes is all memory.
	TotalBytes uint64
}

// Reader takes samples. It is safe for concurrent use.
type Reader struct {
	read func(path string) ([]byte, error)

	mu         sync.Mutex
	last       Sample
	busy, idle uint64
}

// New makes a reader; the first sample tells the use since now.
func New() *Reader { return newReader(os.ReadFile) }

func newReader(read func(string) ([]byte, error)) *Reader {
	r := &Reader{read: read}
	r.Sample()
	return r
}

// Sample reads the load.
func (r *Reader) Sample() Sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	if content, err := r.read("/proc/stat"); err == nil {
		r.cpu(content)
	}
	if content, err := r.read("/proc/meminfo"); err == nil {
		r.memory(content)
	}
	return r.last
}

// cpu reads the line "cpu user nice system idle iowait irq softirq steal ...".
func (r *Reader) cpu(content []byte) {
	line, _, _ := bytes.Cut(content, []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) < 5 || fields[0] != "cpu" {
		return
	}
	var busy, idle uint64
	// Guest time (fields 9 and 10) is contained in user time already.
	for i, field := range fields[1:min(len(fields), 9)] {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return
		}
		if i == 3 || i == 4 {
			idle += n
		} else {
			busy += n
		}
	}
	// Idle time may run backwards by a tick; a difference below zero is none.
	newBusy, newIdle := busy-min(busy, r.busy), idle-min(idle, r.idle)
	if all := newBusy + newIdle; all > 0 {
		r.last.CPUPercent = uint32((newBusy*100 + all/2) / all)
	}
	r.busy, r.idle = busy, idle
}

func (r *Reader) memory(content []byte) {
	for wanted := 2; wanted > 0 && len(content) > 0; {
		var line []byte
		line, content, _ = bytes.Cut(content, []byte("\n"))
		var into *uint64
		switch name, _, _ := bytes.Cut(line, []byte(":")); string(name) {
		case "MemTotal":
			into = &r.last.TotalBytes
		case "MemAvailable":
			into = &r.last.FreeBytes
		default:
			continue
		}
		wanted--
		if fields := strings.Fields(string(line)); len(fields) > 1 {
			if kib, err := strconv.ParseUint(fields[1], 10, 64); err == nil {
				*into = kib << 10
			}
		}
	}
}
