// Package selftest tries the suite itself: it runs trials of a program with a bug
// that was planted in it, one bug after the other, and demands that the checker
// finds it whose matter it is.
//
// The invariant it protects: a bug counts as found only when the invariant that
// it breaks was found broken, in a trial that does not break it without the bug.
// A program that cannot have bugs is refused: it would find none.
package selftest
