// Package neighbours keeps what the leader told this agent of workloads that it
// does not run itself: the states of those that its own depend on, and who
// depends on its own. It protects one invariant: what an agent once was told it
// goes on with, over an outage of all servers and a start of its own, until a
// leader tells everything anew.
package neighbours
