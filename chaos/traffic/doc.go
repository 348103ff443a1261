// Package traffic asks a cluster for things while faults are done to it, and
// records every question and every answer.
//
// The invariant it protects: the record is honest. Every call that was made is
// in it, with the times between which it happened; an outcome is called done or
// refused only when the cluster has said so, and unknown otherwise; and no two
// writes of it set the same value. It judges nothing: that is the business of
// package check.
//
// Each client is a session, that makes one call after the other. Changers write:
// writers to objects of their own, each write expecting the revision of the one
// before; rivals to a few that they share, expecting what they have read; makers
// create and delete; appliers write several at once; movers change and move
// workloads that run; configurers write configs, and workloads that are rendered
// with them; placers workloads, askers, that change an object of their own by their
// control interface, and record themselves what passes there. Readers read at one
// server each, listers read everything, watchers watch and go on elsewhere,
// subscribers are told by events, followers follow what workloads print.
//
// It knows no time but that of package time, so that it works in a bubble of
// testing/synctest, too.
package traffic
