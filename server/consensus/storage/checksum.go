package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/planted"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksummed guards each entry by a CRC32C over all that Raft depends on. The
// sum travels at the end of the entry's extensions, so that its data need not
// be copied. Neither boltdb nor the page cache below it would notice a flipped
// bit.
type checksummed struct {
	raft.LogStore
}

var _ raft.MonotonicLogStore = checksummed{}

const sumSize = 4

func (c checksummed) IsMonotonic() bool { return isMonotonic(c.LogStore) }

func (c checksummed) StoreLog(entry *raft.Log) error {
	return c.StoreLogs([]*raft.Log{entry})
}

func (c checksummed) StoreLogs(entries []*raft.Log) error {
	// The caller goes on to use (and to send) its entries: seal copies.
	copies := make([]raft.Log, len(entries))
	sealed := make([]*raft.Log, len(entries))
	for i, entry := range entries {
		copies[i] = *entry
		sum := checksum(entry, entry.Extensions)
		extensions := make([]byte, 0, len(entry.Extensions)+sumSize)
		extensions = append(extensions, entry.Extensions...)
		copies[i].Extensions = binary.BigEndian.AppendUint32(extensions, sum)
		sealed[i] = &copies[i]
		if planted.On(planted.SealedTwice) {
			*entry = copies[i]
		}
	}
	return c.LogStore.StoreLogs(sealed)
}

func (c checksummed) GetLog(index uint64, entry *raft.Log) error {
	if err := c.LogStore.GetLog(index, entry); err != nil {
		if errors.Is(err, raft.ErrLogNotFound) {
			return raft.ErrLogNotFound // Raft compares, it does not unwrap
		}
		return fmt.Errorf("read log entry %d: %w", index, Damaged(err))
	}
	body := len(entry.Extensions) - sumSize
	if body < 0 {
		return fmt.Errorf("read log entry %d: %w (it has no checksum)", index, ErrCorrupt)
	}
	want := binary.BigEndian.Uint32(entry.Extensions[body:])
	extensions := entry.Extensions[:body:body]
	if got := checksum(entry, extensions); (got != want || entry.Index != index) && !planted.On(planted.FlippedBit) {
		return fmt.Errorf("read log entry %d: %w (checksum %08x, stored %08x, index %d)", index, ErrCorrupt, got, want, entry.Index)
	}
	entry.Extensions = nil
	if body > 0 {
		entry.Extensions = extensions
	}
	return nil
}

func checksum(entry *raft.Log, extensions []byte) uint32 {
	var head [25]byte
	binary.BigEndian.PutUint64(head[0:], entry.Index)
	binary.BigEndian.PutUint64(head[8:], entry.Term)
	head[16] = byte(entry.Type)
	binary.BigEndian.PutUint64(head[17:], uint64(len(entry.Data)))
	sum := crc32.Update(0, castagnoli, head[:])
	sum = crc32.Update(sum, castagnoli, entry.Data)
	return crc32.Update(sum, castagnoli, extensions)
}

// isMonotonic forwards the optional interface through a wrapper: Raft would
// otherwise leave a gap in a log that cannot have one.
func isMonotonic(store raft.LogStore) bool {
	monotonic, ok := store.(raft.MonotonicLogStore)
	return ok && monotonic.IsMonotonic()
}
