// Package planted names bugs that can be planted in the product on purpose, to
// see that the suite which tries to break it finds them: a checker that nobody
// has seen fail proves nothing.
//
// The invariant it protects: no program that is given to anybody has any of
// them. Without the build tag "planted" On is a constant false, and the compiler
// leaves out what depends on it; a test looks for what would be left of it in the
// program. With the tag a program is as without it until a variable of its
// environment names a bug, and one that does not exist ends it.
//
// Where a bug is planted stands what somebody could have written who did not
// know better, as one condition.
package planted
