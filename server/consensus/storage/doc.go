// Package storage keeps Raft's log and its few durable values (term and vote)
// on disk.
//
// The invariant it protects: what was acknowledged is still there and
// unchanged when it is read, or the reader is told. A replica that forgets or
// alters entries in silence can make a cluster lose committed writes, which is
// why every doubt is an error here and never a repair.
//
// The log is raft-boltdb or, by option, raft-wal, under thin layers of ours.
// From Raft's side inwards:
//
//   - a cache of the newest entries, bounded by number and by bytes;
//   - a watchdog that knows when the disk does not answer;
//   - a checksum (CRC32C) for each entry, verified on every read;
//   - a high-water mark that tells a log which has become shorter by itself
//     (raft-wal takes a damaged tail for a torn write and drops it; a restored
//     old copy of the directory looks the same);
//   - a layer that opens the log anew after every change that failed, so that
//     nothing in memory is relied on that may not be on disk. Opening one
//     settles what it finds first (see settle).
//
// Raft's snapshots lie beside it, each with a seal of what it is of (Snapshots).
//
// Term and vote live in a file of their own (Stable): Raft writes them three
// times in the middle of an election, and a fail-over waits for each flush.
package storage
