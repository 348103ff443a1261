// Package fabric is a network in memory between hosts of a simulation: with
// delay, jitter, loss, repetition and reordering, with directions that are cut,
// and with hosts that die and come back.
//
// It behaves as TCP and UDP do where programs can tell: the bytes of a connection
// come in order or not at all, what is lost of them comes later, what is sent to
// a host that has died is answered by a reset or by silence, and datagrams
// promise nothing.
//
// The invariant it protects: whatever waits here waits for the clock of its bubble
// (testing/synctest) or for another goroutine of it, never for the machine, and
// no lock is held meanwhile.
package fabric
