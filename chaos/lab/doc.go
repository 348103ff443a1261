// Package lab builds machines inside this one: hosts in network namespaces that
// can be cut off from each other, one way or both, and disks that can stall, fill
// up and lose power. The benchmarks and tests of faults run servers on them.
//
// The invariant it protects: nothing of a lab is left when its process is gone,
// however it went. Hosts are namespaces without a name, disks are mounted in a
// mount namespace of the lab's own on loop devices that let go by themselves,
// and a disk is never stalled without a process beside that lets it go on when
// this one dies.
//
// A lab needs root. Hosts are joined by a router, not by a bridge: what is cut
// is a rule of its routing, so that packets vanish silently and the programs on
// either side find out by themselves.
package lab
