package check

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// account is what really happened, as far as it is known: the committed log, the
// versions that each object had, and what became of each write.
type account struct {
	h *history.History
	// log are the committed entries by index, each object in one of them once.
	log []history.Entry
	// whole tells that the log was read from its first entry on. Otherwise the log
	// is made up of what clients were told, and a write of unknown outcome may have
	// been carried out or not.
	whole bool
	// end is the highest index that a majority of the logs reaches.
	end uint64
	// versions of each object, by revision.
	versions map[string][]version
	// writes by request, and in the order of their first calls.
	writes   map[string]*write
	inOrder  []*write
	unsolved int
	// doubtful are objects that a write of unknown fate concerns.
	doubtful map[string]bool
	// askers are the processes that speak to their agents, strays answers to nothing.
	askers []*asker
	strays []*history.Message
	// acknowledged are revisions that were known to somebody, and from when on.
	acknowledged timeline
	// future are revisions of writes that nobody had asked for before a time.
	future timeline
}

// version is what an object was from a revision on.
type version struct {
	revision uint64
	created  uint64
	value    string
	gone     bool
	// uses are the configs of a workload with templates, rendered is the value that
	// it was rendered to.
	uses, rendered string
}

// write is one request with all its tries.
type write struct {
	key   string
	tries []*history.Operation
	// first is when it was first called, answered when first acknowledged (0 for
	// never).
	first, answered history.Micros
	// revision at which it was carried out, 0 when it was not.
	revision uint64
	// logged tells that it is in the log, place where among the entry's writes.
	logged bool
	place  int
	// unsolved is set when it is not known whether it was carried out.
	unsolved bool
}

// operation is the try that tells most.
func (w *write) operation() *history.Operation {
	for _, o := range w.tries {
		if o.Outcome == history.Done {
			return o
		}
	}
	return w.tries[0]
}

func isWrite(o *history.Operation) bool {
	return o.Action == history.Apply || o.Action == history.Delete
}

// isRead tells whether an operation was answered with what it read.
func isRead(o *history.Operation) bool {
	return (o.Action == history.Get || o.Action == history.List) && (o.Outcome == history.Done || missing(o))
}

// missing tells whether a read was answered that there is no such object.
func missing(o *history.Operation) bool {
	return o.Action == history.Get && o.Outcome == history.Refused && o.Code == "NOT_FOUND"
}

func newAccount(h *history.History) *account {
	a := &account{h: h, versions: map[string][]version{}, writes: map[string]*write{}, doubtful: map[string]bool{}}
	a.gatherMessages()
	a.gatherWrites()
	a.readLog()
	a.resolve()
	if !a.whole {
		a.infer()
	}
	a.replay()
	a.placeFound()
	a.order()
	return a
}

// keyOf is by what the tries of a write are found.
func keyOf(o *history.Operation) string {
	if o.Request == "" {
		return fmt.Sprintf("%s#%d", o.Client, o.N)
	}
	return o.Request
}

// gatherWrites brings the tries of each request together.
func (a *account) gatherWrites() {
	for i := range a.h.Operations {
		o := &a.h.Operations[i]
		if !isWrite(o) {
			continue
		}
		key := keyOf(o)
		w := a.writes[key]
		if w == nil {
			w = &write{key: key, first: o.Call}
			a.writes[key] = w
			a.inOrder = append(a.inOrder, w)
		}
		w.tries = append(w.tries, o)
		if o.Outcome == history.Done && (w.answered == 0 || o.Return < w.answered) {
			w.answered = o.Return
		}
	}
}

// readLog takes those entries for committed that more than half of the replicas
// have, the ones counted that had them in a snapshot before their log began. One
// that was acknowledged, and that no other log contradicts, is committed as well:
// in the end of a trial that failed replicas may be far behind, or have nothing.
func (a *account) readLog() {
	replicas := a.h.Replicas
	if len(replicas) == 0 {
		return
	}
	var ends []uint64
	for i := range replicas {
		ends = append(ends, replicas[i].Last)
	}
	slices.Sort(ends)
	// More than half of them reach at least so far.
	a.end = ends[(len(ends)-1)/2]
	a.whole = a.end > 0 && a.covered() >= a.end
	// The logs are read along each other.
	next := make([]int, len(replicas))
	for {
		index, more := uint64(math.MaxUint64), false
		for i := range replicas {
			if next[i] < len(replicas[i].Entries) {
				index, more = min(index, replicas[i].Entries[next[i]].Index), true
			}
		}
		if !more {
			a.completeLog()
			return
		}
		var here []*history.Entry
		had, reach := 0, 0
		for i := range replicas {
			r := &replicas[i]
			if r.First > 0 && r.First <= index && index <= r.Last {
				reach++
			}
			if r.First > index || r.First == 0 && r.Revision >= index {
				had++
			}
			// One that goes back is for another checker to find.
			for ; next[i] < len(r.Entries) && r.Entries[next[i]].Index <= index; next[i]++ {
				if e := &r.Entries[next[i]]; e.Index == index {
					here = append(here, e)
				}
			}
		}
		e, holders := mostHeld(here)
		if 2*(had+holders) > len(replicas) || reach == holders && a.answeredBy(e) {
			a.log = append(a.log, *e)
			a.end = max(a.end, e.Index)
		}
	}
}

// completeLog adds what comes before the last committed entry in a log that has
// it: of two logs with one entry in common all that comes before it is equal.
func (a *account) completeLog() {
	if len(a.log) == 0 {
		return
	}
	top := a.log[len(a.log)-1]
	for i := range a.h.Replicas {
		r := &a.h.Replicas[i]
		if !slices.ContainsFunc(r.Entries, func(e history.Entry) bool { return e.Index == top.Index && e.Sum == top.Sum }) {
			continue
		}
		for _, e := range r.Entries {
			if e.Index < top.Index && a.entry(e.Index) == nil && !a.contradicted(&e) {
				at := sort.Search(len(a.log), func(i int) bool { return a.log[i].Index > e.Index })
				a.log = slices.Insert(a.log, at, e)
			}
		}
		return
	}
}

// contradicted tells whether a majority of the logs reaches an entry and has not
// got it.
func (a *account) contradicted(e *history.Entry) bool {
	without := 0
	for i := range a.h.Replicas {
		r := &a.h.Replicas[i]
		_, has := slices.BinarySearchFunc(r.Entries, e.Index, func(e history.Entry, index uint64) int { return cmp.Compare(e.Index, index) })
		if r.First > 0 && r.First <= e.Index && e.Index <= r.Last && !has {
			without++
		}
	}
	return 2*without > len(a.h.Replicas)
}

// answeredBy tells whether a write of an entry was acknowledged as that.
func (a *account) answeredBy(e *history.Entry) bool {
	return slices.ContainsFunc(e.Requests, func(request string) bool {
		w := a.writes[request]
		return w != nil && slices.ContainsFunc(w.tries, func(o *history.Operation) bool {
			return o.Outcome == history.Done && o.Revision == e.Index
		})
	})
}

// mostHeld returns the entry that most of some are, and how many.
func mostHeld(entries []*history.Entry) (most *history.Entry, holders int) {
	for _, e := range entries {
		n := 0
		for _, other := range entries {
			if e.Term == other.Term && e.Sum == other.Sum {
				n++
			}
		}
		if n > holders {
			most, holders = e, n
		}
	}
	return most, holders
}

// covered returns up to which index some log or other was read from the first one
// on.
func (a *account) covered() uint64 {
	logs := slices.Clone(a.h.Replicas)
	slices.SortFunc(logs, func(x, y history.Replica) int { return cmp.Compare(x.First, y.First) })
	var covered uint64
	for i := range logs {
		if logs[i].First > 0 && logs[i].First <= covered+1 {
			covered = max(covered, logs[i].Last)
		}
	}
	return covered
}

// resolve finds each write in the log, or what else tells its fate.
func (a *account) resolve() {
	asked := a.valuesAsked()
	for i := range a.log {
		e := &a.log[i]
		for place, request := range e.Requests {
			if w := a.writes[request]; w != nil && !w.logged {
				w.logged, w.revision, w.place = true, e.Index, place
			}
		}
		for _, o := range e.Put {
			if w := asked[o.Value]; w != nil && !w.logged && w.tries[0].Objects[0] == o.Name {
				w.logged, w.revision, w.place = true, e.Index, len(e.Requests)
				if w.tries[0].Outcome == history.Done {
					w.tries[0].Revision = e.Index
				}
			}
		}
	}
	var seen map[string]uint64
	for _, w := range a.inOrder {
		if w.logged {
			continue
		}
		refused := true
		for _, o := range w.tries {
			if o.Outcome == history.Done && w.revision == 0 {
				w.revision = o.Revision
			}
			refused = refused && o.Outcome == history.Refused
		}
		if w.revision > 0 || refused || a.whole {
			continue
		}
		if seen == nil {
			seen = a.valuesSeen()
		}
		for _, value := range w.tries[0].Values {
			w.revision = max(w.revision, seen[value])
		}
		if w.revision == 0 {
			w.unsolved = true
			a.unsolved++
			for _, name := range w.tries[0].Objects {
				a.doubtful[name] = true
			}
		}
	}
}

// valuesSeen returns at which revision somebody saw each value.
func (a *account) valuesSeen() map[string]uint64 {
	seen := map[string]uint64{}
	a.eachSeen(func(o history.Object) { seen[o.Value] = o.Revision })
	return seen
}

func (a *account) eachSeen(yield func(history.Object)) {
	for i := range a.h.Operations {
		for _, o := range a.h.Operations[i].Found {
			yield(o)
		}
	}
	for i := range a.h.Sights {
		for _, o := range a.h.Sights[i].Put {
			yield(o)
		}
	}
	for i := range a.h.Replicas {
		for _, o := range a.h.Replicas[i].Objects {
			yield(o)
		}
	}
}

// infer completes a log that was not read from its beginning with what clients
// were told.
func (a *account) infer() {
	known := map[uint64]*history.Entry{}
	for i := range a.log {
		known[a.log[i].Index] = nil
	}
	at := func(revision uint64) *history.Entry {
		e, ok := known[revision]
		if !ok {
			e = &history.Entry{Index: revision}
			known[revision] = e
		}
		return e
	}
	put := func(o history.Object, sure bool) {
		if o.Revision == 0 {
			return
		}
		e := at(o.Revision)
		if e == nil {
			return
		}
		i := slices.IndexFunc(e.Put, func(p history.Object) bool { return p.Name == o.Name })
		switch {
		case i < 0:
			e.Put = append(e.Put, o)
		case sure:
			// Of several writes of one entry the one that was seen is the last.
			e.Put[i] = o
		}
	}
	for _, w := range a.inOrder {
		if w.revision == 0 || w.logged {
			continue
		}
		o := w.operation()
		e := at(w.revision)
		if e != nil {
			w.place = len(e.Requests)
			e.Requests = append(e.Requests, w.key)
		}
		for i, name := range o.Objects {
			switch {
			case o.Action == history.Apply && i < len(o.Values):
				put(history.Object{Name: name, Value: o.Values[i], Revision: w.revision}, false)
			case o.Action == history.Delete && e != nil:
				e.Deleted = append(e.Deleted, name)
			}
		}
	}
	a.eachSeen(func(o history.Object) { put(o, true) })
	for _, e := range known {
		if e != nil {
			// What was seen of an entry is what it left.
			e.Deleted = slices.DeleteFunc(e.Deleted, func(name string) bool {
				return slices.ContainsFunc(e.Put, func(o history.Object) bool { return o.Name == name })
			})
			a.log = append(a.log, *e)
		}
	}
	slices.SortFunc(a.log, func(x, y history.Entry) int { return cmp.Compare(x.Index, y.Index) })
}

// replay works out the versions of the objects, and leaves in each entry what it
// changed.
func (a *account) replay() {
	for i := range a.log {
		e := &a.log[i]
		// The records are the history's.
		put, deleted := slices.Clone(e.Put), []string(nil)
		for j, o := range put {
			last, exists := a.last(o.Name)
			if o.Created == 0 {
				put[j].Created = e.Index
				if exists {
					put[j].Created = last.created
				}
			}
			put[j].Revision = e.Index
			a.versions[o.Name] = append(a.versions[o.Name], version{revision: e.Index, created: put[j].Created, value: o.Value, uses: o.Uses, rendered: o.Rendered})
		}
		for _, name := range e.Deleted {
			if _, exists := a.last(name); exists {
				deleted = append(deleted, name)
				a.versions[name] = append(a.versions[name], version{revision: e.Index, gone: true})
			}
		}
		e.Put, e.Deleted = put, deleted
	}
}

func (a *account) last(name string) (version, bool) {
	all := a.versions[name]
	if len(all) == 0 || all[len(all)-1].gone {
		return version{}, false
	}
	return all[len(all)-1], true
}

// at returns what an object was at a revision, false when it was not there.
func (a *account) at(name string, revision uint64) (version, bool) {
	all := a.versions[name]
	i := sort.Search(len(all), func(i int) bool { return all[i].revision > revision })
	if i == 0 || all[i-1].gone {
		return version{}, false
	}
	return all[i-1], true
}

// entriesAfter returns the entries after a revision, up to another.
func (a *account) entriesAfter(after, to uint64) []history.Entry {
	from := sort.Search(len(a.log), func(i int) bool { return a.log[i].Index > after })
	end := sort.Search(len(a.log), func(i int) bool { return a.log[i].Index > to })
	return a.log[from:max(from, end)]
}

func (a *account) entry(index uint64) *history.Entry {
	i := sort.Search(len(a.log), func(i int) bool { return a.log[i].Index >= index })
	if i < len(a.log) && a.log[i].Index == index {
		return &a.log[i]
	}
	return nil
}

// last revision of all that is known to have been written.
func (a *account) newest() uint64 {
	if len(a.log) == 0 {
		return 0
	}
	return a.log[len(a.log)-1].Index
}
