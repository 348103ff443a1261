// Package check judges histories: one pure function an invariant, which can be
// run again on what is on disk.
//
// The invariant it protects: what was not checked is never called right. A
// judgement says how much it has looked at, and one that could not be made says
// why.
//
// Most of it rests on one thing: every write has a revision, every answer the
// revision of the state that it was read from, and the logs of the replicas tell
// after the trial what was written at which revision. So the order in which
// everything happened need not be searched for. It is read, and held against
// what each client was told (see account).
package check

import (
	"github.com/argosy-cluster/argosy/chaos/history"
)

// Violation is a finding that an invariant did not hold.
type Violation struct {
	// Invariant is its name, such as "S1".
	Invariant string `json:"invariant"`
	// What was wrong, with the values.
	What string `json:"what"`
	// At is when, 0 when that cannot be said.
	At history.Micros `json:"at,omitempty"`
	// Evidence are the few records that show it, as people read them.
	Evidence []string `json:"evidence,omitempty"`
}

// Result is what a checker found.
type Result struct {
	// Checked is how many operations, or other records, it has judged.
	Checked int64 `json:"checked"`
	// Violations are what was wrong: the first few when there are many.
	Violations []Violation `json:"violations,omitempty"`
	// Found is how many violations there were in all.
	Found int64 `json:"found"`
	// Unjudged is why it could not judge, wholly or in part; empty when it could.
	Unjudged string `json:"unjudged,omitempty"`
}

// Checker judges one invariant.
type Checker struct {
	// Invariant is its name, What it says.
	Invariant, What string
	// Check judges a history.
	Check func(h *history.History) Result

	judge func(*account) Result
}

// Verdict is what all checkers say of a history.
type Verdict struct {
	// Results by invariant.
	Results map[string]Result `json:"results"`
	// Operations that were judged by one checker at least.
	Operations int64 `json:"operations"`
	// Violations of all, by invariant.
	Violations map[string]int64 `json:"violations"`
	// Unjudged are the invariants that could not be judged, with the reasons.
	Unjudged map[string]string `json:"unjudged,omitempty"`
	// Idle are the invariants of which nothing in this trial could have shown a
	// violation. They are neither held nor broken.
	Idle []string `json:"idle,omitempty"`
}

// Held tells whether everything was judged and nothing was wrong.
func (v *Verdict) Held() bool { return len(v.Violations) == 0 && len(v.Unjudged) == 0 }
