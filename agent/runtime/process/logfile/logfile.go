// Package logfile is the log of one instance: records in numbered segment files
// of a directory, log.1, log.2 and so on, of which the last two are kept. The
// keeper writes it, agents read it, at the same time and without asking each
// other.
//
// It protects one invariant: a line is in the log once. Every record carries how
// far its writer had read the two outputs of the process, so that a writer that
// was killed at any point is followed by one that goes on at exactly the next
// byte; and every record ends with its length, so that the last record, and with
// it that position, is found without reading the file.
package logfile

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Record is one line, or a piece of a line that is too long for one record.
type Record struct {
	// Line without its end.
	Line []byte
	// Stderr is set when it came from standard error.
	Stderr bool
	// Partial is set when the line goes on in the next record of its stream.
	Partial bool
	// Time it was printed.
	Time time.Time
	// Out and Err are how far the outputs had been read when the record was
	// written, including the record itself.
	Out, Err int64
	// Size is how long the line is, of which Line may be the beginning; Position is
	// its place in the log, higher than that of every record before. Both are told
	// by a reader alone.
	Size     int
	Position uint64
}

const (
	headerSize  = 32
	trailerSize = 4
	overhead    = headerSize + trailerSize

	// MaxPiece is the longest line that fits into one record, in bytes.
	MaxPiece = 64 << 10

	flagStderr  = 1
	flagPartial = 2

	// magic fills the three bytes beside the flags, so that a torn or foreign
	// file is noticed.
	magic = 0x59_47_41
)

// Append adds the record's form to a buffer.
func (r Record) Append(to []byte) []byte {
	var flags uint32
	if r.Stderr {
		flags |= flagStderr
	}
	if r.Partial {
		flags |= flagPartial
	}
	to = binary.LittleEndian.AppendUint32(to, uint32(len(r.Line)))
	to = binary.LittleEndian.AppendUint32(to, magic<<8|flags)
	to = binary.LittleEndian.AppendUint64(to, uint64(r.Time.UnixNano()))
	to = binary.LittleEndian.AppendUint64(to, uint64(r.Out))
	to = binary.LittleEndian.AppendUint64(to, uint64(r.Err))
	to = append(to, r.Line...)
	return binary.LittleEndian.AppendUint32(to, uint32(len(r.Line)))
}

// parse reads the record at the start of data. It returns zero bytes when data
// holds only a part of one, and an error when it holds none. The line is a part
// of data.
func parse(data []byte) (Record, int, error) {
	if len(data) < headerSize {
		return Record{}, 0, nil
	}
	length := binary.LittleEndian.Uint32(data)
	flags := binary.LittleEndian.Uint32(data[4:])
	if flags>>8 != magic || length > MaxPiece {
		return Record{}, 0, fmt.Errorf("read log record: %x is no start of one", data[:8])
	}
	size := overhead + int(length)
	if len(data) < size {
		return Record{}, 0, nil
	}
	if binary.LittleEndian.Uint32(data[size-trailerSize:]) != length {
		return Record{}, 0, fmt.Errorf("read log record: its end does not match its length %d", length)
	}
	return Record{
		Line:    data[headerSize : size-trailerSize],
		Stderr:  flags&flagStderr != 0,
		Partial: flags&flagPartial != 0,
		Time:    time.Unix(0, int64(binary.LittleEndian.Uint64(data[8:]))),
		Out:     int64(binary.LittleEndian.Uint64(data[16:])),
		Err:     int64(binary.LittleEndian.Uint64(data[24:])),
	}, size, nil
}

const prefix = "log."

func segmentName(number int) string { return prefix + strconv.Itoa(number) }

// segmentNumbers picks the numbers of segments out of the names of a directory.
func segmentNumbers(names []string) []int {
	var numbers []int
	for _, name := range names {
		digits, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		if number, err := strconv.Atoi(digits); err == nil && number > 0 {
			numbers = append(numbers, number)
		}
	}
	return numbers
}
