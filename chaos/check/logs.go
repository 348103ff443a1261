package check

import (
	"fmt"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// logs judges S8: what one log has at an index, every log has that reaches from
// before it to after it; indices rise, and terms never fall. What comes after the
// last entry of a majority was never committed, and may differ.
func logs(a *account) Result {
	f := find("S8")
	for i := range a.h.Replicas {
		r := &a.h.Replicas[i]
		if r.First == 0 {
			continue
		}
		f.result.Checked += int64(1 + len(r.Entries))
		for j := 1; j < len(r.Entries); j++ {
			if before, e := &r.Entries[j-1], &r.Entries[j]; e.Index <= before.Index || e.Term < before.Term {
				f.add(0, []string{describeEntry(before), describeEntry(e)}, "in the log of %s entry %d of term %d follows entry %d of term %d", r.Server, e.Index, e.Term, before.Index, before.Term)
			}
		}
		// The end of a log that has not caught up is yet to be taken back.
		if r.Last >= a.end {
			a.compareLog(f, r)
		}
	}
	if f.result.Checked == 0 && len(a.h.Operations) > 0 {
		f.cannot("no log was read after the trial")
	}
	return f.result
}

// compareLog holds a log against what is committed.
func (a *account) compareLog(f *findings, r *history.Replica) {
	has := make(map[uint64]*history.Entry, len(r.Entries))
	for i := range r.Entries {
		has[r.Entries[i].Index] = &r.Entries[i]
	}
	for i := range a.log {
		e := &a.log[i]
		if e.Sum == "" || e.Index < r.First || e.Index > r.Last {
			continue
		}
		own, ok := has[e.Index]
		delete(has, e.Index)
		switch {
		case !ok:
			f.add(0, []string{describeEntry(e)}, "entry %d is not in the log of %s, which is of %d to %d", e.Index, r.Server, r.First, r.Last)
		case own.Term != e.Term || own.Sum != e.Sum:
			f.add(0, []string{describeEntry(e), r.Server + ": " + describeEntry(own)}, "%s has another entry at %d than the others", r.Server, e.Index)
		}
	}
	for index, e := range has {
		if index <= a.end {
			f.add(0, []string{r.Server + ": " + describeEntry(e)}, "%s has an entry at %d that the others have not", r.Server, index)
		}
	}
}

// replicas judges S9: states are equal at equal revisions, as the servers said
// while they ran, and as their disks lead to after that; and in the end all are
// at the same one.
func replicas(a *account) Result {
	f := find("S9")
	first := map[uint64]said{}
	claim := func(index uint64, hash, by string, at history.Micros) {
		if hash == "" || index == 0 {
			return
		}
		f.result.Checked++
		other, again := first[index]
		if !again {
			first[index] = said{hash, by}
		} else if other.hash != hash {
			f.add(at, []string{
				fmt.Sprintf("%s: revision %d has hash %s", other.by, index, other.hash), fmt.Sprintf("%s: revision %d has hash %s", by, index, hash),
			}, "%s and %s have different states at revision %d", other.by, by, index)
		}
	}
	// What the logs lead to is the measure of what servers say.
	for i := range a.h.Replicas {
		r := &a.h.Replicas[i]
		for _, hash := range r.Hashes {
			claim(hash.Index, hash.Hash, "the log of "+r.Server, 0)
		}
	}
	for i := range a.h.Replicas {
		r := &a.h.Replicas[i]
		claim(r.Revision, r.Hash, r.Server+" in the end", a.h.Meta.Ended)
	}
	for _, s := range a.h.Standings {
		claim(s.Index, s.Hash, s.Server, s.At)
	}
	a.level(f)
	if len(a.h.Replicas) == 0 && len(a.h.Operations) > 0 {
		f.cannot("no replica was read after the trial")
	}
	return f.result
}

type said struct{ hash, by string }

// level finds replicas that are not where the others are in the end.
func (a *account) level(f *findings) {
	var newest *history.Replica
	for i := range a.h.Replicas {
		if r := &a.h.Replicas[i]; newest == nil || r.Revision > newest.Revision {
			newest = r
		}
	}
	for i := range a.h.Replicas {
		r := &a.h.Replicas[i]
		spoiled := a.spoiled(r.Server)
		switch {
		case r.Error != "" && !spoiled:
			f.add(a.h.Meta.Ended, nil, "the data of %s cannot be read: %s", r.Server, r.Error)
		case r.Error != "" || r.Revision == 0:
			// Of what was spoiled another checker tells.
		case r.Revision < newest.Revision && a.h.Meta.Quiet > 0:
			f.add(a.h.Meta.Ended, nil, "%s has come to revision %d in the end, %s to %d", r.Server, r.Revision, newest.Server, newest.Revision)
		}
	}
}

// snapshots judges S10: a snapshot has the hash that it says, and the one that the
// log alone leads to at its index.
func snapshots(a *account) Result {
	f := find("S10")
	logged := map[uint64]said{}
	for i := range a.h.Replicas {
		for _, hash := range a.h.Replicas[i].Hashes {
			logged[hash.Index] = said{hash.Hash, a.h.Replicas[i].Server}
		}
	}
	unproven := 0
	for i := range a.h.Replicas {
		r := &a.h.Replicas[i]
		for _, s := range r.Snapshots {
			f.result.Checked++
			if s.Said != s.Had {
				f.add(0, nil, "the snapshot of %s at %d says that it has hash %s, and has %s", r.Server, s.Index, s.Said, s.Had)
			}
			l, ok := logged[s.Index]
			switch {
			case !ok:
				unproven++
			case l.hash != s.Had:
				f.add(0, nil, "the snapshot of %s at %d has hash %s, and the log of %s leads to %s", r.Server, s.Index, s.Had, l.by, l.hash)
			}
		}
	}
	if unproven > 0 {
		f.cannot("no log leads to %d of %d snapshots: none was read from its first entry on", unproven, f.result.Checked)
	}
	return f.result
}
