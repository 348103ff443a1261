package keeper

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/agent/runtime/process/logfile"
)

const (
	// turn is how much of one file is copied before another one gets its turn, in
	// bytes.
	turn = 256 << 10
	// punchStep is how much must have been copied before its space is given back,
	// in bytes. Young pages are dropped before they were ever written to the disk.
	punchStep = 256 << 10
	// blockSize is what a file system gives back at least, in bytes.
	blockSize = 4096
	// endSize is how much is remembered of the end of what was copied, in bytes,
	// to notice that a file was truncated and written anew.
	endSize = 32
	// sweepEvery is how often files are looked at that the kernel has no watch for.
	sweepEvery = time.Second
	// complainEvery limits the lines about logs that cannot be written.
	complainEvery = time.Minute
)

// outputFiles are what processes write to, by stream.
var outputFiles = [2]string{"stdout", "stderr"}

// instanceLog is the log of one instance and how far its outputs are copied into
// it. The collector guards it.
type instanceLog struct {
	dir     string
	writer  *logfile.Writer
	copied  [2]int64
	punched [2]int64
	// ends are the last bytes that were copied; empty when not known.
	ends    [2][]byte
	watches [2]int32
	live    bool
	// grown is set when followers must be told.
	grown     bool
	followers map[chan struct{}]struct{}
}

// output is one of the two files of an instance.
type output struct {
	log    *instanceLog
	stream int
}

// collector copies what processes print into their logs.
type collector struct {
	segment, backlog int64
	logger           *slog.Logger
	inotify          *os.File
	fd               int

	mu         sync.Mutex
	watched    map[int32]output
	unwatched  map[*instanceLog]struct{}
	sweeper    *time.Timer
	closed     bool
	complained time.Time
	in, out    []byte
}

func newCollector(segment, backlog int64, logger *slog.Logger) (*collector, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open inotify: %w", err)
	}
	return &collector{
		segment: segment, backlog: backlog, logger: logger,
		inotify: os.NewFile(uintptr(fd), "inotify"), fd: fd,
		watched:   make(map[int32]output),
		unwatched: make(map[*instanceLog]struct{}),
		in:        make([]byte, logfile.MaxPiece),
	}, nil
}

// close ends run. Nothing may be attached after it.
func (c *collector) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	if c.sweeper != nil {
		c.sweeper.Stop()
	}
	_ = c.inotify.Close()
}

// open opens the log in a directory, at the place where it was left.
func (c *collector) open(dir string) (*instanceLog, error) {
	writer, err := logfile.OpenWriter(dir, c.segment)
	if err != nil {
		return nil, err
	}
	last := writer.Last()
	return &instanceLog{
		dir: dir, writer: writer,
		copied:    [2]int64{last.Out, last.Err},
		punched:   [2]int64{last.Out, last.Err},
		watches:   [2]int32{-1, -1},
		followers: make(map[chan struct{}]struct{}),
	}, nil
}

// outputs opens the files for a process to write to. They are never truncated:
// what was printed before stays counted.
func (l *instanceLog) outputs() ([2]*os.File, error) {
	var files [2]*os.File
	for stream, name := range outputFiles {
		file, err := os.OpenFile(filepath.Join(l.dir, name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			closeFiles(files)
			return files, fmt.Errorf("open output: %w", err)
		}
		files[stream] = file
	}
	return files, nil
}

func closeFiles(files [2]*os.File) {
	for _, file := range files {
		if file != nil {
			_ = file.Close()
		}
	}
}

// attach begins to copy; its outputs exist.
func (c *collector) attach(l *instanceLog) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.live = true
	if c.closed {
		return
	}
	for stream, name := range outputFiles {
		watch, err := unix.InotifyAddWatch(c.fd, filepath.Join(l.dir, name), unix.IN_MODIFY)
		if err != nil {
			c.complain("output cannot be watched, it is looked at every second instead", l, err)
			c.unwatched[l] = struct{}{}
			c.sweepLater()
			continue
		}
		l.watches[stream] = int32(watch)
		c.watched[int32(watch)] = output{l, stream}
	}
}

// detach ends the copying after everything was copied that is there.
func (c *collector) detach(l *instanceLog) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for stream, watch := range l.watches {
		if watch >= 0 {
			_, _ = unix.InotifyRmWatch(c.fd, uint32(watch))
			delete(c.watched, watch)
			l.watches[stream] = -1
		}
	}
	delete(c.unwatched, l)
	for stream := range outputFiles {
		c.copyAll(output{l, stream}, true)
	}
	l.live = false
	notify(l)
}

// catchUp copies what is there.
func (c *collector) catchUp(l *instanceLog) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !l.live {
		return
	}
	for stream := range outputFiles {
		c.copyAll(output{l, stream}, false)
	}
}

// follow returns a channel that gets a value when the log has grown or ended,
// and a function that ends that.
func (c *collector) follow(l *instanceLog) (<-chan struct{}, func()) {
	grown := make(chan struct{}, 1)
	c.mu.Lock()
	l.followers[grown] = struct{}{}
	c.mu.Unlock()
	return grown, func() {
		c.mu.Lock()
		delete(l.followers, grown)
		c.mu.Unlock()
	}
}

// ended says whether the log will not grow any more.
func (c *collector) ended(l *instanceLog) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !l.live
}

func notify(l *instanceLog) {
	for grown := range l.followers {
		select {
		case grown <- struct{}{}:
		default:
		}
	}
}

// run copies what grows, in the order in which the kernel tells, until close.
func (c *collector) run() {
	buffer := make([]byte, 64<<10)
	var queue []output
	for {
		n, err := c.read(buffer, len(queue) == 0)
		if err != nil {
			return
		}
		queue = c.append(queue, buffer[:n])
		todo := queue
		queue = nil
		for _, o := range todo {
			c.mu.Lock()
			if o.log.live && c.copySome(o, false) {
				queue = append(queue, o)
			}
			c.mu.Unlock()
		}
	}
}

// read waits for events, or takes only those that are there.
func (c *collector) read(buffer []byte, wait bool) (int, error) {
	if wait {
		return c.inotify.Read(buffer)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, os.ErrClosed
	}
	n, err := unix.Read(c.fd, buffer)
	if err != nil {
		return 0, nil // nothing there; a real failure is met when waiting
	}
	return n, nil
}

// append adds the outputs that events speak of to a queue.
func (c *collector) append(queue []output, events []byte) []output {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(events) >= unix.SizeofInotifyEvent {
		watch := int32(binary.NativeEndian.Uint32(events))
		mask := binary.NativeEndian.Uint32(events[4:])
		length := int(binary.NativeEndian.Uint32(events[12:]))
		events = events[min(unix.SizeofInotifyEvent+length, len(events)):]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			for _, o := range c.watched {
				queue = append(queue, o)
			}
			continue
		}
		o, ok := c.watched[watch]
		if ok && (len(queue) == 0 || queue[len(queue)-1] != o) {
			queue = append(queue, o)
		}
	}
	return queue
}

func (c *collector) sweepLater() {
	if c.sweeper == nil {
		c.sweeper = time.AfterFunc(sweepEvery, c.sweep)
	}
}

func (c *collector) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweeper = nil
	if c.closed || len(c.unwatched) == 0 {
		return
	}
	for l := range c.unwatched {
		for stream := range outputFiles {
			c.copyAll(output{l, stream}, false)
		}
	}
	c.sweepLater()
}

func (c *collector) copyAll(o output, final bool) {
	for c.copySome(o, final) {
	}
}

// copySome copies some of what is there and says whether there is more. With
// final, a last line without end is a line too.
func (c *collector) copySome(o output, final bool) (more bool) {
	file, err := os.Open(filepath.Join(o.log.dir, outputFiles[o.stream]))
	if err != nil {
		return false
	}
	defer file.Close()
	more, err = c.copyFrom(file, o, final)
	if err != nil {
		c.complain("output could not be copied, it is kept and tried again", o.log, err)
		more = false
	}
	if o.log.grown {
		o.log.grown = false
		notify(o.log)
	}
	c.punch(o)
	return more
}

func (c *collector) copyFrom(file *os.File, o output, final bool) (more bool, err error) {
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	size := info.Size()
	l, stream := o.log, o.stream
	if size < l.copied[stream] || !l.sameEnd(file, stream) {
		// Somebody truncated it.
		l.copied[stream], l.punched[stream], l.ends[stream] = 0, 0, nil
	}
	// What was printed while no keeper was there was printed at the time of the
	// last change at the latest.
	at := l.writer.Later(earlier(time.Now(), info.ModTime()))
	if ahead := size - l.copied[stream]; ahead > c.backlog {
		if err := c.skip(o, ahead-c.backlog, at); err != nil {
			return false, err
		}
	}
	for budget := turn; l.copied[stream] < size; {
		if budget <= 0 {
			return true, nil
		}
		n, err := file.ReadAt(c.in, l.copied[stream])
		if n == 0 {
			return false, ignoreEOF(err)
		}
		copied, err := c.copyLines(o, c.in[:n], at, final && l.copied[stream]+int64(n) >= size)
		if err != nil {
			return false, err
		}
		if copied == 0 {
			return false, nil
		}
		budget -= copied
	}
	return false, nil
}

// sameEnd says whether what was copied last is still where it was.
func (l *instanceLog) sameEnd(file *os.File, stream int) bool {
	var now [endSize]byte
	end := l.ends[stream]
	_, err := file.ReadAt(now[:len(end)], l.copied[stream]-int64(len(end)))
	return err != nil || bytes.Equal(now[:len(end)], end)
}

// copyLines appends the whole lines of data to the log and says how many bytes
// these were.
func (c *collector) copyLines(o output, data []byte, at time.Time, final bool) (int, error) {
	l, stream := o.log, o.stream
	record := logfile.Record{Stderr: stream == 1, Time: at}
	position := l.copied
	used := 0
	c.out = c.out[:0]
	add := func(line []byte, end int, partial bool) {
		used += end
		position[stream] += int64(end)
		record.Line, record.Partial = line, partial
		record.Out, record.Err = position[0], position[1]
		c.out = record.Append(c.out)
	}
	for rest := data; len(rest) > 0 && len(c.out) < turn; rest = data[used:] {
		if end := bytes.IndexByte(rest, '\n'); end >= 0 {
			add(rest[:end], end+1, false)
			continue
		}
		switch {
		case len(rest) == len(c.in):
			add(rest, len(rest), true)
		case final:
			add(rest, len(rest), false)
		}
		break
	}
	if used == 0 {
		return 0, nil
	}
	if err := l.writer.Append(c.out, record); err != nil {
		return 0, err
	}
	l.copied, l.grown = position, true
	l.ends[stream] = append(l.ends[stream][:0], data[max(0, used-endSize):used]...)
	return used, nil
}

// skip leaves out the oldest bytes of an output that grows faster than it can be
// copied, and says so in the log.
func (c *collector) skip(o output, count int64, at time.Time) error {
	l := o.log
	position := l.copied
	position[o.stream] += count
	record := logfile.Record{
		Line:   fmt.Appendf(nil, "[argosy: %d bytes were left out here, they came faster than they could be kept]", count),
		Stderr: o.stream == 1, Time: at, Out: position[0], Err: position[1],
	}
	if err := l.writer.Append(record.Append(c.out[:0]), record); err != nil {
		return err
	}
	l.copied, l.grown = position, true
	l.ends[o.stream] = nil
	return nil
}

// punch gives back the space of what was copied.
func (c *collector) punch(o output) {
	l, stream := o.log, o.stream
	copied := l.copied[stream]
	if copied-l.punched[stream] < punchStep {
		return
	}
	l.punched[stream] = copied
	// The end stays, to be compared.
	hole := (copied - endSize) / blockSize * blockSize
	file, err := os.OpenFile(filepath.Join(l.dir, outputFiles[stream]), os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer file.Close()
	err = unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, hole)
	if err == nil {
		return
	}
	// A file system without holes: what is printed between look and cut is lost.
	if info, statErr := file.Stat(); statErr == nil && info.Size() == copied {
		err = file.Truncate(0)
	}
	if err != nil {
		c.complain("space of copied output could not be given back", l, err)
	}
}

func (c *collector) complain(what string, l *instanceLog, err error) {
	if now := time.Now(); now.Sub(c.complained) > complainEvery {
		c.complained = now
		c.logger.Warn(what, "directory", l.dir, "error", err)
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
