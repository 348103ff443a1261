// Package ledger keeps the account of all soaks: one line of a file for each,
// written once and never changed, so that what many soaks tried adds up.
//
// The invariant it protects: a total is the sum of lines that are each whole and
// understood. A file in which one is not is refused, not read as far as it goes;
// and what was done to real processes is never added to what was simulated.
package ledger
