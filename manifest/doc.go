// Package manifest turns what users write (YAML) into the domain model and
// back, and says what is wrong with it: with the line and a caret where the text
// is at hand. It says what the fields mean (a JSON schema, explanations, the
// reference page; all made of one table) and what differs between two workloads.
//
// It protects one invariant: what Validate and ValidateConfig accept, every
// server and every agent accepts, whichever way it came in. The command line
// checks a manifest with the same functions that the leader judges a write with.
//
// A text may come from anybody. What reading it costs is bounded by its length:
// the number of values, the depth and what aliases make of it have limits that
// are looked at before.
package manifest
