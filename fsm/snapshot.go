package fsm

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// snapshotFormat is the version of the format that this code writes, and the
// only one that it reads.
const snapshotFormat = 1

// maxRecord bounds a message of a snapshot: an entry is at most some 20 MB, and
// a record is at most a part of one.
const maxRecord = 256 << 20

const bufferSize = 256 << 10

// snapshot is a state on its way out.
type snapshot struct {
	view    *View
	machine *Machine
}

// Persist writes the state. It checks the hash on the way: a state that was
// damaged in memory must not become the one that the log is thrown away for,
// so the machine fails then.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	err := s.view.writeTo(sink)
	if err == nil {
		err = sink.Close()
	} else {
		_ = sink.Cancel()
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("write snapshot of revision %d: %w", s.view.revision, err)
	if errors.Is(err, ErrDamaged) {
		return s.machine.fail(err)
	}
	return err
}

// Release gives nothing back: the state is memory that nobody else waits for.
func (s *snapshot) Release() {}

func (v *View) writeTo(to io.Writer) error {
	out := recordWriter{out: bufio.NewWriterSize(to, bufferSize)}
	promised, all := v.Hash(), v.Rows()
	if planted.On(planted.OlderSnapshot) {
		promised, all = v.older()
	}
	out.message(&argosyv1.SnapshotHeader{
		Format:       snapshotFormat,
		AppliedIndex: v.revision,
		StateHash:    promised[:],
		FeedFloor:    v.revision,

		LastWorkloadRevision: proto.Uint64(v.totals.lastWorkload),
	})
	var hasher hasher
	var sum digest
	rows, remembered := 0, 0
	put := &argosyv1.PutRow{}
	row := &argosyv1.SnapshotRow{Put: put}
	rowRecord := &argosyv1.SnapshotRecord{Kind: &argosyv1.SnapshotRecord_Row{Row: row}}
	for r := range all {
		put.Kind, put.Key, put.Group, put.Value = r.Kind, r.Key, r.Group, r.Value
		row.CreatedRevision, row.Revision = r.CreatedRevision, r.Revision
		if rows > 0 || !planted.On(planted.ShortSnapshot) {
			out.message(rowRecord)
		}
		sum.add(hasher.row(r))
		rows++
		if out.err != nil {
			return out.err
		}
	}
	for o := range v.reader.outcomes() {
		out.message(&argosyv1.SnapshotRecord{Kind: &argosyv1.SnapshotRecord_Outcomes{Outcomes: o.record()}})
		sum.add(hasher.outcomes(o))
		remembered += len(o.items)
		if out.err != nil {
			return out.err
		}
	}
	if found := stateHash(sum, v.revision, rows, remembered); found != promised {
		return fmt.Errorf("%w (%x, running %x)", ErrDamaged, found, promised)
	}
	out.message(&argosyv1.SnapshotRecord{Kind: &argosyv1.SnapshotRecord_Trailer{
		Trailer: &argosyv1.SnapshotTrailer{Records: out.messages - 1},
	}})
	return out.flush()
}

// older returns the rows but those that the last entry has written, and the hash
// of a state that has only these.
func (v *View) older() ([hashSize]byte, iter.Seq[*Row]) {
	last := func(r *Row) bool { return r.Revision == v.revision }
	var hasher hasher
	sum, rows := v.totals.sum, v.totals.rowCount()
	for r := range v.Rows() {
		if last(r) {
			sum.sub(hasher.row(r))
			rows--
		}
	}
	return stateHash(sum, v.revision, rows, v.totals.outcomes), func(yield func(*Row) bool) {
		for r := range v.Rows() {
			if !last(r) && !yield(r) {
				return
			}
		}
	}
}

// recordWriter writes messages, each after its length, until the first error.
type recordWriter struct {
	out      *bufio.Writer
	buffer   []byte
	messages uint64
	err      error
}

func (w *recordWriter) message(m proto.Message) {
	if w.err != nil {
		return
	}
	w.messages++
	w.buffer = protowire.AppendVarint(w.buffer[:0], uint64(proto.Size(m)))
	if w.buffer, w.err = (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend(w.buffer, m); w.err != nil {
		return
	}
	_, w.err = w.out.Write(w.buffer)
}

func (w *recordWriter) flush() error {
	if w.err != nil {
		return w.err
	}
	return w.out.Flush()
}

// recordReader reads messages, each after its length.
type recordReader struct {
	in     *bufio.Reader
	buffer bytes.Buffer
}

// message reads the next one. At the end of the input it returns io.EOF.
func (r *recordReader) message(into proto.Message) error {
	length, err := binary.ReadUvarint(r.in)
	if err != nil {
		return err
	}
	if length > maxRecord {
		return fmt.Errorf("record of %d bytes, more than %d", length, maxRecord)
	}
	// The buffer grows with what there is and not with what the length
	// claims.
	r.buffer.Reset()
	if _, err := io.CopyN(&r.buffer, r.in, int64(length)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	return proto.Unmarshal(r.buffer.Bytes(), into)
}
