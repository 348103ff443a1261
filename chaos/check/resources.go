package check

import (
	"slices"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// What a process may take more in the end than in the beginning, beside as much
// again as in the beginning: caches fill, and logs grow until they are cut.
const (
	moreMemory     = 256 << 20
	moreDisk       = 1 << 30
	moreGoroutines = 500
	moreFiles      = 200
)

// few is how many samples of a time are compared: their median in the beginning,
// and the least in the end. What grows with time does not get less again, as does
// what is only used while much is to be done, such as after a fault.
const few = 5

// resources judges L3: what a process takes of its machine in the end, when the
// cluster was left alone for a while, is about what it took in the beginning.
func resources(a *account) Result {
	f := find("L3")
	all := map[string][]history.Sample{}
	var names []string
	for _, s := range a.h.Samples {
		if len(all[s.Process]) == 0 {
			names = append(names, s.Process)
		}
		all[s.Process] = append(all[s.Process], s)
	}
	for _, name := range names {
		samples := all[name]
		f.result.Checked += int64(len(samples))
		if len(samples) < 2*few {
			continue
		}
		compare := func(what string, more int64, of func(history.Sample) int64) {
			began, ended := median(samples[:few], of), least(samples[len(samples)-few:], of)
			if began > 0 && ended > 2*began+more {
				f.add(samples[len(samples)-1].At, nil, "%s had %d %s in the beginning and %d in the end", name, began, what, ended)
			}
		}
		compare("bytes of memory", moreMemory, func(s history.Sample) int64 { return s.RSS })
		compare("bytes on disk", moreDisk, func(s history.Sample) int64 { return s.Disk })
		compare("goroutines", moreGoroutines, func(s history.Sample) int64 { return s.Goroutines })
		compare("open files", moreFiles, func(s history.Sample) int64 { return s.Files })
	}
	return f.result
}

// median of what is known, 0 when nothing is.
func median(samples []history.Sample, of func(history.Sample) int64) int64 {
	known := sorted(samples, of)
	if len(known) == 0 {
		return 0
	}
	return known[len(known)/2]
}

// least of what is known, 0 when nothing is.
func least(samples []history.Sample, of func(history.Sample) int64) int64 {
	known := sorted(samples, of)
	if len(known) == 0 {
		return 0
	}
	return known[0]
}

func sorted(samples []history.Sample, of func(history.Sample) int64) []int64 {
	var known []int64
	for _, s := range samples {
		if v := of(s); v > 0 {
			known = append(known, v)
		}
	}
	slices.Sort(known)
	return known
}

// lines judges Q1: no process has broken down or found a race, at any time; and
// errors were logged only while faults were in effect or still felt.
func lines(a *account) Result {
	f := find("Q1")
	if slices.Contains(a.h.Meta.Promised, history.KindLines) {
		f.result.Checked = int64(1 + len(a.h.Lines))
	}
	curtain := a.curtain()
	for _, l := range a.h.Lines {
		f.result.Checked++
		if l.Kind == "error" && (l.At == 0 || a.apart(curtain, l.At) || a.disturbed(l.At) || a.faltered(l.At)) {
			continue
		}
		f.add(l.At, []string{l.Text}, "%s printed a %s", l.Process, l.Kind)
	}
	return f.result
}

// disturbed tells whether a fault was in effect or still felt.
func (a *account) disturbed(at history.Micros) bool {
	return slices.ContainsFunc(a.h.Faults, func(fault history.Fault) bool {
		return done(&fault) && fault.Begun <= at && a.endOf(&fault).Add(a.patient(settling)) >= at
	})
}
