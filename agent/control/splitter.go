package control

import (
	"encoding/binary"
	"fmt"
)

// splitter cuts a stream into messages, each of which follows its length. It
// grows by what has come, never by what a length promises.
type splitter struct {
	max  int
	data []byte
	at   int
}

// keepBytes is the memory that a splitter keeps when it is empty.
const keepBytes = 4 << 10

// add takes what has come. Messages that were returned before are not valid
// afterwards.
func (s *splitter) add(data []byte) {
	rest := copy(s.data, s.data[s.at:])
	s.data, s.at = append(s.data[:rest], data...), 0
}

// next returns the next message if there is a whole one. After an error, which
// is errLost or errTooBig, nothing that follows can be understood.
func (s *splitter) next() (message []byte, ok bool, err error) {
	rest := s.data[s.at:]
	// Ankaios reads up to 19 bytes of a length, of which 10 can mean one.
	length, size := binary.Uvarint(rest)
	switch {
	case size < 0 || size == 0 && len(rest) >= binary.MaxVarintLen64:
		return nil, false, fmt.Errorf("%w: length of a message is no varint", errLost)
	case size == 0:
		return nil, false, nil
	case length > uint64(s.max):
		return nil, false, fmt.Errorf("%w: %d bytes, at most %d are taken", errTooBig, length, s.max)
	case len(rest)-size < int(length):
		return nil, false, nil
	}
	s.at += size + int(length)
	return rest[size : size+int(length)], true, nil
}

// half tells whether there is a part of a message.
func (s *splitter) half() bool { return s.at < len(s.data) }

// rest gives memory back; to be called when there is no whole message.
func (s *splitter) rest() {
	if !s.half() {
		s.reset()
	}
}

// reset forgets everything.
func (s *splitter) reset() {
	s.data, s.at = s.data[:0], 0
	if cap(s.data) > keepBytes {
		s.data = nil
	}
}
