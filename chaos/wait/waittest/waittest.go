// Package waittest lets tests of real processes wait for what must become so. The
// invariant it protects: a test that waits in vain says for what, and why it was
// not so in the end.
package waittest

import (
	"testing"
	"time"
)

// Eventually returns a function that waits until a condition, named by what it
// is, has no error, for so long at the most.
func Eventually(patience time.Duration) func(t *testing.T, what string, ok func() error) {
	return func(t *testing.T, what string, ok func() error) {
		t.Helper()
		deadline := time.After(patience)
		for {
			err := ok()
			if err == nil {
				return
			}
			select {
			case <-deadline:
				t.Fatalf("waited in vain for %s: %v", what, err)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}
