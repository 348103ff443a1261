// Package reconcile makes what runs on this node equal to what the leader
// assigned to it.
//
// It protects these invariants:
//
//   - At most once: a workload's new instance is started only after every older
//     instance of it is known to be gone. Created it may be before.
//   - Nothing is touched without a reason: an assignment that is told again, a
//     new leader, or a restart of the agent calls no runtime for what runs as
//     it should, and a job that has finished is not run again.
//   - Nothing is removed or created before a leader has vouched for the
//     assignments in this life of the agent; until then what exists is
//     supervised.
//   - Nothing is concluded from a runtime that does not answer.
//   - An instance is started for the first time when what its workload depends on
//     is so, and removed when those that depend on it have stopped.
//
// The shape: each workload has a slot. Whatever concerns a slot (an
// assignment, an event of a runtime, the end of an operation, a timer) changes
// it and makes it decide again; deciding is the pure function plan, which
// looks at one slot and names at most one operation. Operations run in
// goroutines of their own, one at a time for a slot and a bounded number for a
// runtime. A slot at rest has neither goroutine nor timer, and an event costs
// work for its own slot only. A slow timer lists each runtime for what its
// events may have missed.
//
// Differences from the reference on purpose: an instance that was lost is
// started again when its restart policy says so; an instance that was seen to
// end keeps its exit code when it vanishes afterwards; a failed removal is
// tried again; restarts back off; a change that the instance cannot see (tags,
// access rules, dependencies, restart policy) touches nothing that runs; what
// depends on a workload counts as in its way until it has stopped, not only until
// it is told to.
//
// After a start of the machine (told by its boot id) everything is started again
// in order, finished jobs too; when no leader speaks, what was last assigned is
// started all the same (Config.PresumeAfter).
package reconcile
