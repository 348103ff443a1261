// Package selftest tries the suite itself: it carries plans out with a bug that was
// planted in the product, one bug after the other, and demands that the checker
// finds it whose matter it is. Where real processes, disks or their kernel are
// what matters that is a trial, and elsewhere a simulation, which is cheaper.
//
// The invariant it protects: a bug counts as found only when the invariant that
// it breaks was found broken, by a plan with which nothing is wrong without the
// bug. A program that cannot have bugs is refused: it would find none.
package selftest
