// Package manifest turns what users write (YAML) into the domain model and
// back, and says what is wrong with it: with the line and a caret where the text
// is at hand.
//
// It protects one invariant: what Validate accepts, every server and every agent
// accepts, whichever way it came in. The command line checks a manifest with the
// same function that the leader judges a write with.
package manifest
