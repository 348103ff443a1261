package logfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/argosy-cluster/argosy/agent/runtime"
)

// positionBits are those of a position that tell the place in its segment; the
// others are the number of the segment.
const positionBits = 40

// Reader reads a log from its oldest record on. It holds the directory open, so
// that it reads to the end of what it began even when the log is removed.
type Reader struct {
	root    *os.Root
	segment int
	scan    scanner
	// begun are the lines of the two streams that go on in later records.
	begun [2]line
}

// line is one that is put together from records.
type line struct {
	// text is as much of it as is handed out.
	text []byte
	size int
	last Record
}

func (l *line) add(record *Record) {
	l.text = append(l.text, record.Line[:min(len(record.Line), runtime.MaxLine-len(l.text))]...)
	l.size += len(record.Line)
	l.last = *record
}

// take returns the line and forgets it.
func (l *line) take() *Record {
	record := l.last
	record.Line, record.Size = l.text, l.size
	*l = line{}
	return &record
}

// OpenReader opens the log in a directory.
func OpenReader(dir string) (*Reader, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return &Reader{root: root}, nil
}

// Reads tells whether a directory is the one that was opened, as far as can be told:
// its name may be that of another by now.
func (r *Reader) Reads(dir string) bool {
	opened, err := r.root.Stat(".")
	if err != nil {
		return true
	}
	there, err := os.Stat(dir)
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	return os.SameFile(opened, there)
}

// Close closes the reader.
func (r *Reader) Close() error {
	return errors.Join(r.closeSegment(), r.root.Close())
}

// Next returns the next whole line, or nil when there is none yet. The line is
// valid until the next call. Of a line that is too long it returns what is there
// so far, with a Size above runtime.MaxLineRead.
func (r *Reader) Next() (*Record, error) {
	for {
		record, err := r.nextRecord()
		if err != nil || record == nil {
			return nil, err
		}
		begun := &r.begun[streamOf(record)]
		if !record.Partial && begun.size == 0 {
			record.Size = len(record.Line)
			return record, nil
		}
		begun.add(record)
		if !record.Partial || begun.size > runtime.MaxLineRead {
			return begun.take(), nil
		}
	}
}

// Rest returns the lines that were begun and not ended, to be asked for when
// nothing more will come.
func (r *Reader) Rest() []Record {
	var rest []Record
	for stream := range r.begun {
		if begun := &r.begun[stream]; begun.size > 0 {
			rest = append(rest, *begun.take())
		}
	}
	return rest
}

func streamOf(r *Record) int {
	if r.Stderr {
		return 1
	}
	return 0
}

func (r *Reader) nextRecord() (*Record, error) {
	for {
		if r.scan.file != nil {
			if record, err := r.scanned(); err != nil || record != nil {
				return record, err
			}
		}
		next, err := r.following()
		if err != nil || next == 0 {
			return nil, err
		}
		if r.scan.file != nil {
			// The writer may have added to this segment after it was read to its
			// end, but not after it began the next.
			if record, err := r.scanned(); err != nil || record != nil {
				return record, err
			}
		}
		if err := r.open(next); err != nil {
			return nil, err
		}
	}
}

// scanned returns the next record of the present segment, with its place.
func (r *Reader) scanned() (*Record, error) {
	record, err := r.scan.next()
	if record != nil {
		record.Position = uint64(r.segment)<<positionBits | uint64(r.scan.offset)
	}
	return record, err
}

// following returns the number of the oldest segment after the present one, zero
// when there is none.
func (r *Reader) following() (int, error) {
	dir, err := r.root.Open(".")
	if err != nil {
		return 0, fmt.Errorf("list log: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("list log: %w", err)
	}
	numbers := slices.DeleteFunc(segmentNumbers(names), func(n int) bool { return n <= r.segment })
	if len(numbers) == 0 {
		return 0, nil
	}
	return slices.Min(numbers), nil
}

func (r *Reader) open(segment int) error {
	file, err := r.root.Open(segmentName(segment))
	if errors.Is(err, os.ErrNotExist) {
		// Dropped by the writer while we looked; the next round finds a later one.
		return nil
	}
	if err != nil {
		return fmt.Errorf("open log segment: %w", err)
	}
	err = r.closeSegment()
	r.segment = segment
	r.scan = scanner{file: file, buffer: r.scan.buffer[:0]}
	return err
}

func (r *Reader) closeSegment() error {
	if closer, ok := r.scan.file.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// scanner reads records of one file one after the other.
type scanner struct {
	file   io.ReaderAt
	offset int64 // of the first byte not handed out
	buffer []byte
	used   int // bytes of buffer handed out
}

// next returns the next record, nil when there is no whole one. Its line is
// valid until the next call.
func (s *scanner) next() (*Record, error) {
	for {
		record, size, err := parse(s.buffer[s.used:])
		if err != nil {
			return nil, err
		}
		if size > 0 {
			s.used += size
			s.offset += int64(size)
			return &record, nil
		}
		s.buffer = append(s.buffer[:0], s.buffer[s.used:]...)
		s.used = 0
		have := len(s.buffer)
		s.buffer = slices.Grow(s.buffer, MaxPiece+overhead)
		n, err := s.file.ReadAt(s.buffer[have:cap(s.buffer)], s.offset+int64(have))
		s.buffer = s.buffer[:have+n]
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read log segment: %w", err)
		}
		if n == 0 {
			// A part of a record is read again: its writer may be killed before it has
			// written the rest, and the part be cut off.
			s.buffer = s.buffer[:0]
			return nil, nil
		}
	}
}
