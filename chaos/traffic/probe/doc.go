// Package probe is a workload that gives signs of life by itself: it writes into
// a file that it started, that it runs, and that it ended, and prints numbered
// lines. One that has an object is a client of its control interface besides, and
// writes everything that passes there into another file.
//
// The invariant it protects: what its files say is true of processes, whatever an
// agent or a server believes. Two processes of one workload find each other by a
// lock that the kernel keeps, and that nothing but the end of the process gives
// back.
package probe
