package check

import (
	"fmt"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// keep is how many violations of one invariant are kept with their evidence.
const keep = 20

// findings collects what a checker finds.
type findings struct {
	invariant string
	result    Result
}

func find(invariant string) *findings { return &findings{invariant: invariant} }

func (f *findings) add(at history.Micros, evidence []string, format string, args ...any) {
	f.result.Found++
	if len(f.result.Violations) < keep {
		f.result.Violations = append(f.result.Violations, Violation{f.invariant, fmt.Sprintf(format, args...), at, evidence})
	}
}

// cannot notes why something could not be judged, once.
func (f *findings) cannot(format string, args ...any) {
	if f.result.Unjudged == "" {
		f.result.Unjudged = fmt.Sprintf(format, args...)
	}
}

func (a *account) when(at history.Micros) string {
	return at.Sub(a.h.Meta.Began).Round(100 * time.Microsecond).String()
}

// tell describes operations for people.
func (a *account) tell(operations ...*history.Operation) []string {
	var all []string
	for _, o := range operations {
		if o != nil {
			all = append(all, a.describe(o))
		}
	}
	return all
}

func (a *account) describe(o *history.Operation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s to %s: %s #%d %s", a.when(o.Call), a.when(o.Return), o.Client, o.N, o.Action)
	if o.Stale {
		b.WriteString(" (stale)")
	}
	for i, name := range o.Objects {
		fmt.Fprintf(&b, " %s", name)
		if i < len(o.Values) {
			fmt.Fprintf(&b, "=%s", o.Values[i])
		}
	}
	if o.Expected > 0 {
		fmt.Fprintf(&b, " expected %d", o.Expected)
	}
	if o.ExpectedState > 0 {
		fmt.Fprintf(&b, " expected state %d", o.ExpectedState)
	}
	if o.MustNotExist {
		b.WriteString(" must not exist")
	}
	if o.Server != "" {
		fmt.Fprintf(&b, " at %s", o.Server)
	}
	fmt.Fprintf(&b, ": %s", o.Outcome)
	if o.Code != "" {
		fmt.Fprintf(&b, " %s", o.Code)
	}
	if o.Revision > 0 {
		fmt.Fprintf(&b, ", revision %d", o.Revision)
	}
	if o.AnsweredBy != "" {
		fmt.Fprintf(&b, ", answered by %s in term %d", o.AnsweredBy, o.Term)
	}
	if o.Replayed {
		b.WriteString(", replayed")
	}
	if o.Action == history.Get && o.Outcome == history.Done {
		fmt.Fprintf(&b, ", found %s", describeObjects(o.Found))
	}
	if o.Request != "" {
		fmt.Fprintf(&b, ", request %s", o.Request)
	}
	return b.String()
}

func describeObjects(objects []history.Object) string {
	if len(objects) == 0 {
		return "nothing"
	}
	var all []string
	for _, o := range objects {
		all = append(all, describeObject(o))
	}
	return strings.Join(all, ", ")
}

func describeObject(o history.Object) string {
	return fmt.Sprintf("%s=%s of revision %d", o.Name, o.Value, o.Revision)
}

func describeEntry(e *history.Entry) string {
	text := fmt.Sprintf("entry %d of term %d: put %s", e.Index, e.Term, describeObjects(e.Put))
	if len(e.Deleted) > 0 {
		text += ", deleted " + strings.Join(e.Deleted, ", ")
	}
	return text + ", requests " + strings.Join(e.Requests, ", ")
}
