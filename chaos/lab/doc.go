// Package lab builds machines inside this one: hosts in network namespaces that
// can be cut off from each other, one way or both, unplugged and slowed down, and
// disks that can stall, fill up, slow down, become read-only and lose power; and
// it takes CPU time, memory and files from what runs on them. The benchmarks and
// tests of faults run servers on them.
//
// The invariant it protects: nothing of a lab is left when its process is gone,
// however it went. Hosts are namespaces without a name, disks are mounted in a
// mount namespace of the lab's own on loop devices that let go by themselves, and
// for all that the kernel would keep there is a process beside the lab that undoes
// it when the lab dies: a stalled disk goes on, a slow device forgets its bound,
// and what was made to outlive its parent is killed with all of its host.
//
// A lab needs root. Hosts are joined in one of two ways, with the same cuts. The
// kernel's router costs nothing: what is cut is a rule of its routing. A switch in
// this process hands each packet from one host's TUN device to the other's, and
// can delay, lose, repeat, reorder and hold up packets between any two hosts. In
// both, packets vanish without a word, and the programs on either side find out by
// themselves. A cut, the shape of a link and the silence of a host are kept apart:
// ending one does not end another.
package lab
