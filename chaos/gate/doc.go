// Package gate is what every change of the product must pass: trials, a
// simulation, and the planted bugs, added up.
//
// The invariant it protects: "held" is said only when as much was done and judged
// as is demanded, and nothing of it was wrong. A part that was left out, was broken
// off or came to too little keeps the gate closed, whatever the others showed.
package gate
