// Package mask selects parts of the state that users see: what of it is shown,
// what an update replaces, which of its changes somebody is told.
//
// A mask is a path of names separated by dots; "*" stands for any one name, in
// maps as well as for any index of a list. It selects everything below the path.
// No masks at all select the whole state, as the empty mask does.
//
// It protects one invariant: nothing that no mask selects is ever shown, except
// what belongs to it by the API's rules: the apiVersion of a state of which anything
// was asked for, and subState with state. Whoever judges whether masks may be used
// (package access) relies on it.
//
// The rules are those of Ankaios, and differ from it in this:
//
//   - A mask with an empty name, or with "*" as a part of a name, is refused; there
//     it selects nothing and nobody is told. The same holds for masks beyond the
//     limits of this package.
//   - Items of lists can be selected; there an index makes the answer empty, and
//     "*" does not stand for one. The items that are selected are shown as a list of
//     them alone, in their order. An index has one way to be written: "01" selects
//     nothing.
//   - state and subState are shown together only where they are the fields of a
//     workload's state, not where a workload or an agent has such a name.
//   - Two masks of which one is inside of the other report a change once, as the
//     wider one sees it.
//   - A mask for a field within a list reports the changes of that item; there
//     lists are never looked into.
//   - Differences are found by what two states do not share, not by copying both.
//   - An update cannot set what is observed: masks below agents other than for
//     tags change nothing, and agents neither come nor go by it.
//
// Keys that contain a dot (those of tags may) cannot be written in a mask, as
// there; they can be selected by "*", and are reported as they are.
package mask
