//go:build planted

package planted

import (
	"fmt"
	"os"
	"slices"
	"sync/atomic"
)

// Possible tells whether this program has bugs that can be turned on.
const Possible = true

// active is the bug that is on, empty for none.
var active = func() *atomic.Value {
	bug := Bug(os.Getenv(Variable))
	if bug != "" && !slices.Contains(All(), bug) {
		// To go on without it would look like a bug that nobody finds.
		fmt.Fprintf(os.Stderr, "plant bug %q: there is no such bug; %s is one of %v\n", bug, Variable, All())
		os.Exit(2)
	}
	v := &atomic.Value{}
	v.Store(bug)
	return v
}()

// On tells whether a bug is on.
func On(bug Bug) bool { return active.Load() == bug }

// Plant turns a bug on in this process, in place of the one that was, until dig
// is called.
func Plant(bug Bug) (dig func()) {
	before := active.Swap(bug)
	return func() { active.Store(before) }
}
