package check

import (
	"fmt"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// leaders judges S3: of two leaderships of one term both are of one server, and
// entries of one term at one index are the same on all replicas.
func leaders(a *account) Result {
	f := find("S3")
	led := map[uint64]history.Leadership{}
	for _, l := range a.h.Leaderships {
		if !l.Gained && !l.Elected {
			continue
		}
		f.result.Checked++
		first, again := led[l.Term]
		// A server that has just started may be elected before it has said its id.
		if again && (first.Server != l.Server || first.ID != l.ID && first.ID != "" && l.ID != "") {
			f.add(l.At, []string{
				fmt.Sprintf("%s: %s (%s) %s term %d", a.when(first.At), first.Server, first.ID, cameToLead(first), l.Term),
				fmt.Sprintf("%s: %s (%s) %s term %d", a.when(l.At), l.Server, l.ID, cameToLead(l), l.Term),
			}, "term %d was led by %s and by %s", l.Term, first.Server, l.Server)
			continue
		}
		led[l.Term] = l
	}
	if f.result.Checked == 0 && len(a.h.Operations) > 0 {
		f.cannot("it was not recorded who led")
	}
	return f.result
}

func cameToLead(l history.Leadership) string {
	if l.Elected {
		return "was elected in"
	}
	return "began to lead in"
}
