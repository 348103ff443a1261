// Package cluster builds clusters of real server and agent processes on loopback
// addresses, and kills, stops, freezes and starts them again. The demo, the
// benchmarks, `argosy dev` and the tests that need processes all use it.
//
// The invariant it protects: nothing that it started outlives it. Servers and
// agents die with the process that started them, and Close ends the keepers and
// workloads that are made to outlive their agents.
package cluster
