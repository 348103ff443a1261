// Package ankaios has the wire messages of Eclipse Ankaios 1.x that workloads
// speak to their agent, so that they need not change to run here. Packages,
// names and field numbers are interop facts; the comments are ours.
package ankaios
