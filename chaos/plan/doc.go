// Package plan says, before a trial begins, what will be done to a cluster and
// when: a plan is made of a seed, written down, replayed, and made smaller while
// it still shows what it showed.
//
// The invariant it protects: a plan is all that there is to a trial's chance. The
// same seed and profile make the same plan, and whoever has the plan's file can
// do the same again.
package plan
