package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/planted"
)

// errNotFound is what Raft expects for a value that was never set: it compares
// the text.
var errNotFound = errors.New("not found")

// voteTerm and voteCandidate are the two keys of a vote, in the order in which
// Raft sets them.
const (
	voteTerm      = "LastVoteTerm"
	voteCandidate = "LastVoteCand"
)

const (
	slotSize  = 4096 // one page: more would not be written at once
	slotMagic = 0x41524753
	slotHead  = 4 + 8 + 4 // magic, sequence, length
)

// Stable keeps Raft's term and vote in one small file of two slots. A change
// overwrites the older slot with one write and one flush. What is in a slot fits
// into one sector, which a disk writes or does not: a slot that is not whole is
// damage, never a write that a power loss has interrupted. An election needs two
// flushes a server this way, not the six of a boltdb transaction for each value.
type Stable struct {
	mu       sync.Mutex
	file     *os.File
	sequence uint64
	values   map[string][]byte // as on disk; replaced, never changed
	// voteTerm is the term of a vote whose candidate was not set yet.
	voteTerm []byte
}

var _ raft.StableStore = (*Stable)(nil)

// OpenStable opens the file, or makes it.
func OpenStable(path string) (*Stable, error) {
	if _, err := os.Stat(path); os.IsNotExist(err) {
		// Both slots from the start: later writes change no metadata.
		first, err := encodeSlot(1, nil)
		if err != nil {
			return nil, err
		}
		if err := WriteFile(path, append(make([]byte, slotSize), first...), 0o600); err != nil {
			return nil, fmt.Errorf("make term and vote: %w", err)
		}
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open term and vote: %w", err)
	}
	s := &Stable{file: file}
	if err := s.load(path); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	// The last process may have failed to flush it, and a vote that is read here
	// is given again without a write.
	s.sequence--
	if err := s.write(s.values); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return s, nil
}

// load takes the values of the newer slot. Both must be as they were written: of
// a damaged one nobody can tell whether it was the newer, and with the other a
// vote that was given would be forgotten.
func (s *Stable) load(path string) error {
	content, err := io.ReadAll(io.NewSectionReader(s.file, 0, 2*slotSize))
	if err != nil {
		return fmt.Errorf("read term and vote: %w", Damaged(err))
	}
	if len(content) != 2*slotSize {
		return fmt.Errorf("read term and vote from %s: %w (it has %d of %d bytes)", path, ErrCorrupt, len(content), 2*slotSize)
	}
	var sequences [2]uint64
	for slot := range sequences {
		page := content[slot*slotSize:][:slotSize]
		sequence, values, ok := decodeSlot(page)
		switch {
		case !ok && bytes.Count(page, []byte{0}) == slotSize:
			continue // not written yet, which only the first may be
		case !ok || sequence == 0 || sequence%2 != uint64(slot):
			return fmt.Errorf("read term and vote from %s: %w (slot %d)", path, ErrCorrupt, slot)
		}
		sequences[slot] = sequence
		if sequence > s.sequence {
			s.sequence, s.values = sequence, values
		}
	}
	if s.sequence == 0 || min(sequences[0], sequences[1]) != s.sequence-1 {
		return fmt.Errorf("read term and vote from %s: %w (write %d is there, the one before is not)", path, ErrCorrupt, s.sequence)
	}
	return nil
}

// Set makes a value durable.
func (s *Stable) Set(key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set(string(key), value)
}

// SetUint64 makes a number durable, with one exception: the term of a vote is
// written together with its candidate, which Raft sets next and without which
// it means nothing.
func (s *Stable) SetUint64(key []byte, value uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	encoded := binary.BigEndian.AppendUint64(nil, value)
	if string(key) == voteTerm {
		s.voteTerm = encoded
		return nil
	}
	return s.set(string(key), encoded)
}

func (s *Stable) set(key string, value []byte) error {
	if key == voteCandidate && planted.On(planted.ForgottenVote) {
		return nil
	}
	values := maps.Clone(s.values)
	values[key] = slices.Clone(value)
	if key == voteCandidate && s.voteTerm != nil {
		values[voteTerm] = s.voteTerm
	}
	if maps.EqualFunc(values, s.values, slices.Equal) {
		return nil
	}
	if err := s.write(values); err != nil {
		return err
	}
	s.values = values
	if key == voteCandidate {
		s.voteTerm = nil
	}
	return nil
}

// Get returns a value.
func (s *Stable) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.values[string(key)]
	if !ok {
		return nil, errNotFound
	}
	return slices.Clone(value), nil
}

// GetUint64 returns a number.
func (s *Stable) GetUint64(key []byte) (uint64, error) {
	value, err := s.Get(key)
	if err != nil {
		return 0, err
	}
	if len(value) != 8 {
		return 0, fmt.Errorf("read %s: %w (%d bytes, not a number)", key, ErrCorrupt, len(value))
	}
	return binary.BigEndian.Uint64(value), nil
}

// Close closes the file.
func (s *Stable) Close() error { return s.file.Close() }

func (s *Stable) write(values map[string][]byte) error {
	page, err := encodeSlot(s.sequence+1, values)
	if err != nil {
		return err
	}
	slot := int64(s.sequence+1) % 2
	if _, err := s.file.WriteAt(page, slot*slotSize); err != nil {
		return fmt.Errorf("write term and vote: %w", err)
	}
	if err := unix.Fdatasync(int(s.file.Fd())); err != nil {
		return fmt.Errorf("flush term and vote: %w", err)
	}
	s.sequence++
	return nil
}

// A slot is: magic, sequence, length of the body, body, CRC32C of all before.
// The body is a list of keys and values, each with its length before it.
func encodeSlot(sequence uint64, values map[string][]byte) ([]byte, error) {
	page := make([]byte, 0, slotSize)
	page = binary.BigEndian.AppendUint32(page, slotMagic)
	page = binary.BigEndian.AppendUint64(page, sequence)
	page = binary.BigEndian.AppendUint32(page, 0)
	for key, value := range values {
		page = binary.AppendUvarint(page, uint64(len(key)))
		page = append(page, key...)
		page = binary.AppendUvarint(page, uint64(len(value)))
		page = append(page, value...)
	}
	binary.BigEndian.PutUint32(page[12:], uint32(len(page)-slotHead))
	page = binary.BigEndian.AppendUint32(page, crc32.Checksum(page, castagnoli))
	if len(page) > slotSize {
		return nil, fmt.Errorf("write term and vote: %d bytes do not fit into %d", len(page), slotSize)
	}
	return page[:slotSize], nil
}

func decodeSlot(page []byte) (sequence uint64, values map[string][]byte, ok bool) {
	length := int(binary.BigEndian.Uint32(page[12:]))
	if binary.BigEndian.Uint32(page) != slotMagic || length > len(page)-slotHead-sumSize {
		return 0, nil, false
	}
	body := page[slotHead : slotHead+length]
	sum := binary.BigEndian.Uint32(page[slotHead+length:])
	if crc32.Checksum(page[:slotHead+length], castagnoli) != sum {
		return 0, nil, false
	}
	values = make(map[string][]byte)
	next := func() []byte {
		size, n := binary.Uvarint(body)
		if n <= 0 || size > uint64(len(body)-n) {
			ok = false
			return nil
		}
		piece := slices.Clone(body[n : n+int(size)])
		body = body[n+int(size):]
		return piece
	}
	ok = true
	for len(body) > 0 && ok {
		key := next()
		values[string(key)] = next()
	}
	return binary.BigEndian.Uint64(page[4:]), values, ok
}
