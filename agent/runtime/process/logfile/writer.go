package logfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Writer appends to a log. It keeps no file open, as one keeper has hundreds of
// them, most of them silent.
type Writer struct {
	dir     string
	limit   int64
	segment int
	size    int64
	last    Record
}

// OpenWriter goes on where the last writer of a directory stopped. A segment is
// closed when it would grow beyond limit bytes.
func OpenWriter(dir string, limit int64) (*Writer, error) {
	w := &Writer{dir: dir, limit: limit, segment: 1}
	names, err := readNames(dir)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	numbers := segmentNumbers(names)
	slices.Sort(numbers)
	// The last segment may be empty when its writer was killed, the one before
	// it holds the last record then.
	for i, number := range slices.Backward(numbers) {
		size, last, err := recoverSegment(w.path(number))
		if err != nil {
			return nil, err
		}
		if i == len(numbers)-1 {
			w.segment, w.size = number, size
		}
		if size > 0 {
			w.last = last
			break
		}
	}
	return w, nil
}

// Last returns the last record written, without its line; it is zero in a new
// log.
func (w *Writer) Last() Record { return w.last }

// Append writes records, which a caller has put into one buffer with
// Record.Append; last is the last of them. They go into one segment.
func (w *Writer) Append(records []byte, last Record) error {
	if w.size > 0 && w.size+int64(len(records)) > w.limit {
		w.segment++
		w.size = 0
		if err := os.Remove(w.path(w.segment - 2)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("drop oldest log segment: %w", err)
		}
	}
	file, err := os.OpenFile(w.path(w.segment), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open log segment: %w", err)
	}
	defer file.Close()
	n, err := file.Write(records)
	if err != nil {
		// A half-written record would hide all that follow it.
		if n > 0 {
			err = errors.Join(err, file.Truncate(w.size))
		}
		return fmt.Errorf("write log: %w", err)
	}
	w.size += int64(n)
	w.last = last
	w.last.Line = nil
	return nil
}

func (w *Writer) path(segment int) string { return filepath.Join(w.dir, segmentName(segment)) }

// recoverSegment returns the length of the whole records in a segment and the
// last of them, and cuts off what a killed writer left behind them.
func recoverSegment(path string) (int64, Record, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, Record{}, fmt.Errorf("open log segment: %w", err)
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, Record{}, fmt.Errorf("size log segment: %w", err)
	}
	if last, ok := lastRecord(file, size); ok {
		return size, last, nil
	}
	var (
		good int64
		last Record
		scan = scanner{file: file}
	)
	for {
		record, err := scan.next()
		if err != nil || record == nil {
			break
		}
		good, last = scan.offset, *record
		last.Line = nil
	}
	if good < size {
		if err := file.Truncate(good); err != nil {
			return 0, Record{}, fmt.Errorf("cut torn end off log segment: %w", err)
		}
	}
	return good, last, nil
}

// lastRecord reads the record that ends at the end of a file.
func lastRecord(file io.ReaderAt, size int64) (Record, bool) {
	var trailer [trailerSize]byte
	if size < overhead {
		return Record{}, false
	}
	if _, err := file.ReadAt(trailer[:], size-trailerSize); err != nil {
		return Record{}, false
	}
	length := int64(binary.LittleEndian.Uint32(trailer[:])) + overhead
	if length > MaxPiece+overhead || length > size {
		return Record{}, false
	}
	data := make([]byte, length)
	if _, err := file.ReadAt(data, size-length); err != nil {
		return Record{}, false
	}
	record, n, err := parse(data)
	if err != nil || int64(n) != length {
		return Record{}, false
	}
	record.Line = nil
	return record, true
}

func readNames(dir string) ([]string, error) {
	file, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return file.Readdirnames(-1)
}

// Later returns the later of a time and the time of the last record, so that
// times in a log never go back, whatever the clock does.
func (w *Writer) Later(at time.Time) time.Time {
	if at.Before(w.last.Time) {
		return w.last.Time
	}
	return at
}
