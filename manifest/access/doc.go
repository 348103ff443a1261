// Package access judges what a workload may do through its control interface, by
// the rules that its manifest gives it.
//
// It protects one invariant: what a deny rule names is neither shown nor changed,
// however the request is written. A rule names a path and everything below it.
//
//   - A request may read or write a mask when an allow rule of that operation
//     covers all that the mask can select, and no deny rule of it names anything that
//     the mask can select, or something above it. All masks of a request must be
//     allowed. A request without masks is one for the whole state.
//   - A rule "*" allows the whole state. A rule that begins with "*" also allows
//     what is above it, as long as only "*" follows there.
//   - Logs of a workload may be read when a pattern of an allow rule matches its name,
//     and none of a deny rule.
//
// The rules are those of Ankaios, and differ from it in this:
//
//   - "*" in a request is taken for every name that it can stand for; there it is a
//     name that no deny rule has, and lets everything pass by them.
//   - An allow rule that begins with "*" and goes on with a name ("*.workloads")
//     does not allow what is above that ("desiredState"); there it allows the whole
//     state.
//   - A deny rule for desiredState is one for the same part of effectiveState too.
//     An allow rule is not: what is effective has configs rendered into it. For the
//     same reason a deny rule for configs does not keep their values secret from who
//     may read the effective state.
//   - A deny rule for the state of a workload is one for its subState too, and the
//     other way round: they are shown together.
//   - Every pattern of a log rule is tried; there the first with "*" decides.
//   - Rules are bounded in number and length.
//
// A request that allow rules cover only together, as two rules for the two fields
// that something has, is not allowed, as there: what fields there are is not known
// here.
package access
