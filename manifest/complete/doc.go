// Package complete is the state of a cluster as users see it, one tree of
// desiredState, effectiveState, workloadStates and agents: how it is made of what
// the servers tell, how it is told of in events, and how an update of it becomes a
// write.
//
// It protects one invariant: the tree is a function of what a View has taken in,
// whatever the order and however it was parted into messages. Two trees that follow
// one another share everything that did not change, so that finding what did costs
// microseconds in a state of any size.
//
// The shape is that of Ankaios, and that of its messages (package ankaios):
//
//   - desiredState and effectiveState have apiVersion, workloads and configs;
//     effectiveState has no configs, and its workloads are what templates are
//     rendered to. workloads, configs, workloadStates and agents are there also when
//     they are empty; of a workload, what is empty is left out.
//   - workloadStates has a state by agent, workload and instance id. A state that is
//     not scheduled has the empty agent.
//   - agents has those that are connected: with status as soon as they have
//     reported their load, and with tags when they have any.
//
// Nothing in it blocks, reads a clock or talks to anybody. Views, mirrors and
// observers are for one goroutine at a time; trees are for any number.
package complete
