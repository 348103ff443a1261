package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

const (
	magicPrefix = "argosy backup "
	magic       = magicPrefix + "1\n"

	frameHead = 8
	// frameSize is how large the frames are that are written, and maxFrame how
	// large they may be.
	frameSize = 256 << 10
	maxFrame  = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameWriter cuts what is written to it into frames.
type frameWriter struct {
	ctx    context.Context
	to     io.Writer
	sum    hash.Hash
	buffer []byte // head and data of the frame in the making
}

func newFrameWriter(ctx context.Context, to io.Writer) *frameWriter {
	return &frameWriter{ctx: ctx, to: to, sum: sha256.New(), buffer: make([]byte, frameHead, frameHead+frameSize)}
}

func (w *frameWriter) raw(p []byte) error {
	if err := w.ctx.Err(); err != nil {
		return context.Cause(w.ctx)
	}
	w.sum.Write(p)
	_, err := w.to.Write(p)
	return err
}

// Write adds to the frame, and sends it off when it is full.
func (w *frameWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), frameHead+frameSize-len(w.buffer))
		w.buffer = append(w.buffer, p[:n]...)
		p, written = p[n:], written+n
		if len(w.buffer) == frameHead+frameSize {
			if err := w.flush(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

// flush sends the frame off, if anything is in it.
func (w *frameWriter) flush() error {
	if len(w.buffer) == frameHead {
		return nil
	}
	return w.send()
}

func (w *frameWriter) send() error {
	binary.BigEndian.PutUint32(w.buffer, uint32(len(w.buffer)-frameHead))
	binary.BigEndian.PutUint32(w.buffer[4:], frameSum(w.buffer))
	err := w.raw(w.buffer)
	w.buffer = w.buffer[:frameHead]
	return err
}

// end writes the end of the file.
func (w *frameWriter) end() error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.send(); err != nil {
		return err
	}
	_, err := w.to.Write(w.sum.Sum(nil))
	return err
}

func frameSum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:4], castagnoli), castagnoli, frame[frameHead:])
}

// frameReader reads the data of frames.
type frameReader struct {
	from   *bufio.Reader
	sum    hash.Hash
	offset int64
	buffer []byte
	data   []byte // what is left of the current frame
	// err is why there is nothing more: io.EOF after the end of the file.
	err error
}

func newFrameReader(from io.Reader) *frameReader {
	return &frameReader{from: bufio.NewReaderSize(from, frameHead+frameSize), sum: sha256.New()}
}

// exactly reads so many bytes.
func (r *frameReader) exactly(p []byte) error {
	n, err := io.ReadFull(r.from, p)
	r.offset += int64(n)
	r.sum.Write(p[:n])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it ends after %d bytes: %w", r.offset, ErrCutShort)
	}
	return err
}

// begin reads what the file begins with.
func (r *frameReader) begin() error {
	var found [len(magic)]byte
	err := r.exactly(found[:])
	if err != nil && !errors.Is(err, ErrCutShort) {
		return err
	}
	if known := found[:min(r.offset, int64(len(magicPrefix)))]; !bytes.HasPrefix([]byte(magicPrefix), known) || r.offset == 0 {
		return ErrNotBackup
	}
	if err != nil {
		return err
	}
	if string(found[:]) != magic {
		return fmt.Errorf("its version is %q, not \"1\": %w", bytes.TrimSpace(found[len(magicPrefix):]), ErrNewer)
	}
	return nil
}

// frame reads the next frame; its data are valid until the one after it. There
// are none in the last.
func (r *frameReader) frame() ([]byte, error) {
	at := r.offset
	var head [frameHead]byte
	if err := r.exactly(head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxFrame {
		return nil, fmt.Errorf("at byte %d: %w", at, ErrDamaged)
	}
	r.buffer = append(r.buffer[:0], head[:]...)
	r.buffer = append(r.buffer, make([]byte, size)...)
	if err := r.exactly(r.buffer[frameHead:]); err != nil {
		return nil, err
	}
	if frameSum(r.buffer) != binary.BigEndian.Uint32(head[4:]) {
		return nil, fmt.Errorf("between bytes %d and %d: %w", at, r.offset, ErrDamaged)
	}
	return r.buffer[frameHead:], nil
}

// Read returns the data of the frames. io.EOF comes only when the end of the
// file was found whole.
func (r *frameReader) Read(p []byte) (int, error) {
	for len(r.data) == 0 && r.err == nil {
		r.data, r.err = r.frame()
		if r.err == nil && len(r.data) == 0 {
			r.err = r.finish()
		}
	}
	if r.err != nil {
		return 0, r.err
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

// finish checks what the file ends with, and returns io.EOF when it is right.
func (r *frameReader) finish() error {
	want := r.sum.Sum(nil)
	found := make([]byte, len(want))
	if err := r.exactly(found); err != nil {
		return err
	}
	if !bytes.Equal(found, want) {
		return fmt.Errorf("its hash is not that of its content: %w", ErrDamaged)
	}
	switch _, err := r.from.ReadByte(); {
	case err == nil:
		return fmt.Errorf("it goes on after its end at byte %d: %w", r.offset, ErrDamaged)
	case !errors.Is(err, io.EOF):
		return err
	}
	return io.EOF
}
