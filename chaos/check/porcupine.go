package check

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/argosy-cluster/argosy/chaos/history"
)

const (
	// independentLimit is how long porcupine may take for a history.
	independentLimit = 40 * time.Second
	// segment is how many operations on one object are judged together, at least:
	// what is longer is cut where no operation is under way. What porcupine
	// remembers grows with the square of this.
	segment = 1000
	// projected bounds how often lists are taken for reads of each of their
	// objects.
	projected = 400_000
)

// independent judges P1 by porcupine, which knows nothing of logs: an object is a
// register that writes may set on conditions, and each answer must be possible in
// some order of all calls. Writes of unknown fate are resolved by the log before,
// without which the question soon cannot be answered.
func independent(a *account) Result {
	f := find("P1")
	calls := a.calls()
	deadline := time.Now().Add(independentLimit)
	names := make([]string, 0, len(calls))
	for name := range calls {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, part := range cutQuiet(calls[name]) {
			left := time.Until(deadline)
			if left <= 0 {
				f.cannot("it took more than %v", independentLimit)
				return f.result
			}
			f.result.Checked += int64(len(part))
			switch porcupine.CheckOperationsTimeout(registers, part, left) {
			case porcupine.Illegal:
				f.add(history.Micros(part[len(part)-1].Return), a.testimony(name), "%s: no order of %d calls from %s to %s explains their answers", name, len(part),
					a.when(history.Micros(part[0].Call)), a.when(history.Micros(part[len(part)-1].Return)))
			case porcupine.Unknown:
				f.cannot("it took more than %v", independentLimit)
				return f.result
			case porcupine.Ok:
			}
		}
	}
	if !a.whole && a.unsolved > 0 {
		f.cannot("no log was read from its first entry on: %d objects were not judged", len(a.doubtful))
	}
	return f.result
}

// call is what was asked of one object, and what was answered.
type call struct {
	action history.Action
	// value that was set or read, and revision of that; none of a read that found
	// nothing.
	value    string
	revision uint64
	// expectations of a write
	expected                    uint64
	mustNotExist, ignoreMissing bool
}

// register is the state of one object. The first one is that of which nothing is
// known: where a history was cut, the first answer tells.
type register struct {
	unknown  bool
	exists   bool
	value    string
	revision uint64
}

var registers = porcupine.Model{
	Init: func() any { return register{} },
	Step: func(state, input, _ any) (bool, any) {
		s, c := state.(register), input.(call)
		if c.action == cutHere {
			return true, register{unknown: true}
		}
		ok, next := s.step(c)
		return ok, next
	},
	Equal: func(x, y any) bool { return x == y },
	Hash: func(state any) uint64 {
		s := state.(register)
		return s.revision ^ uint64(len(s.value))
	},
}

// cutHere is the call that stands for all that came before a cut.
const cutHere history.Action = "cut"

func (s register) step(c call) (bool, register) {
	if c.action == history.Get {
		if s.unknown {
			return true, register{exists: c.revision > 0, value: c.value, revision: c.revision}
		}
		found := c.revision > 0
		return found == s.exists && (!found || c.value == s.value && c.revision == s.revision), s
	}
	if !s.unknown {
		allowed := c.revision >= s.revision &&
			!(c.mustNotExist && s.exists) &&
			(c.expected == 0 || s.exists && s.revision == c.expected || !s.exists && c.action == history.Delete && c.ignoreMissing) &&
			!(c.action == history.Delete && !s.exists && !c.ignoreMissing)
		if !allowed {
			return false, s
		}
	}
	if c.action == history.Delete {
		if !s.exists && !s.unknown {
			return true, s
		}
		return true, register{revision: c.revision}
	}
	return true, register{exists: true, value: c.value, revision: c.revision}
}

// calls returns what was asked of each object, by the time of the call.
func (a *account) calls() map[string][]porcupine.Operation {
	calls := map[string][]porcupine.Operation{}
	add := func(name string, c call, from, to history.Micros) {
		if !a.doubtful[name] {
			calls[name] = append(calls[name], porcupine.Operation{Input: c, Call: int64(from), Return: int64(to)})
		}
	}
	for _, w := range a.inOrder {
		if w.revision == 0 {
			continue
		}
		o := w.operation()
		until := w.answered
		if until == 0 {
			until = a.since(w.revision)
		}
		for i, name := range o.Objects {
			c := call{action: o.Action, revision: w.revision, expected: o.Expected, mustNotExist: o.MustNotExist, ignoreMissing: o.IgnoreMissing}
			if i < len(o.Values) {
				c.value = o.Values[i]
			}
			add(name, c, w.first, max(until, w.first))
		}
	}
	for name, all := range a.versions {
		for _, v := range all {
			if w := a.rerenders(name, v.revision); v.rendered != "" && len(w) > 0 {
				// Whoever wrote the configs wrote this, too.
				add(name, call{action: history.Apply, value: v.value, revision: v.revision}, w[0].first, max(a.by(w), w[0].first))
			}
		}
	}
	lists := 0
	for i := range a.h.Operations {
		o := &a.h.Operations[i]
		if !isRead(o) || o.Stale {
			continue
		}
		found := map[string]history.Object{}
		for _, each := range o.Found {
			found[each.Name] = each
		}
		names := o.Objects
		if o.Action == history.List {
			if lists += len(a.versions); lists > projected {
				continue
			}
			names = names[:0:0]
			for name := range a.versions {
				names = append(names, name)
			}
		}
		for _, name := range names {
			add(name, call{action: history.Get, value: found[name].Value, revision: found[name].Revision}, o.Call, o.Return)
		}
	}
	for _, of := range calls {
		slices.SortStableFunc(of, func(x, y porcupine.Operation) int { return cmp.Compare(x.Call, y.Call) })
	}
	return calls
}

// by returns by when the first of some writes of one entry was certainly carried
// out.
func (a *account) by(writes []*write) history.Micros {
	at := a.since(writes[0].revision)
	for _, w := range writes {
		if w.answered > 0 {
			at = min(at, w.answered)
		}
	}
	return at
}

// since returns by when a revision was certainly carried out: when somebody had
// been answered with one that is not lower. Of those that nobody ever was, it
// cannot be said.
func (a *account) since(revision uint64) history.Micros {
	i := sort.Search(len(a.acknowledged), func(i int) bool { return a.acknowledged[i].revision >= revision })
	if i == len(a.acknowledged) {
		return math.MaxInt64
	}
	return a.acknowledged[i].at
}

// cutQuiet cuts the calls of an object where none was under way.
func cutQuiet(all []porcupine.Operation) [][]porcupine.Operation {
	var parts [][]porcupine.Operation
	var part []porcupine.Operation
	end := int64(math.MinInt64)
	for _, o := range all {
		if len(part) >= segment && o.Call > end {
			parts = append(parts, part)
			part = []porcupine.Operation{{Input: call{action: cutHere}, Call: end, Return: end}}
		}
		part = append(part, o)
		end = max(end, o.Return)
	}
	if len(part) > 0 {
		parts = append(parts, part)
	}
	return parts
}
