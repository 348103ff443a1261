package check

import "testing"

// BenchmarkJudge has each checker judge a history of 200,000 operations.
func BenchmarkJudge(b *testing.B) {
	h := honest(1, 200_000, 30, 60)
	b.Run("account", func(b *testing.B) {
		for b.Loop() {
			newAccount(h)
		}
	})
	a := newAccount(h)
	for _, c := range checkers() {
		b.Run(c.Invariant, func(b *testing.B) {
			for b.Loop() {
				c.judge(a)
			}
		})
	}
}
