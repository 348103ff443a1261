// Package backup saves the whole desired state in one file, and reads such files
// back. It protects one invariant: a file that is read without an error holds,
// to the last byte, a state that a replica had. Everything else (cut short, a
// flipped bit, another program's file, a newer version's) is refused with words
// that say which it is.
//
// # The file
//
//	"argosy backup 1\n"                      16 bytes; the digit is the version
//	frame ... frame                          the first is an encoded BackupHeader,
//	                                         the rest cut up a snapshot (see fsm)
//	end                                      a frame without data
//	SHA-256 of everything before             32 bytes
//
// A frame is the length of its data (4 bytes, the highest first), a CRC-32C of
// that length and the data (4 bytes), and the data, at most 1 MiB. The checksum
// of a frame tells where a file is damaged and lets a reader stop there; the
// hash over all of it tells that no frame is missing, twice or from elsewhere;
// and the state has its own hash from the replica's memory, which tells that
// what was written down was what the replica had.
//
// The file is not compressed: what compresses well here is rarely large, any
// program can do it to the whole file, and a reader that must not trust its
// input need not fear one that grows.
package backup
