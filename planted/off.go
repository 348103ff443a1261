//go:build !planted

package planted

// Possible tells whether this program has bugs that can be turned on.
const Possible = false

// On tells whether a bug is on: never in this program.
func On(Bug) bool { return false }
