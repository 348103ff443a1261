package fsm

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// restored is a state that was read from a snapshot, with the store it is in.
type restored struct {
	store *store
	view  *View
}

// readSnapshot builds a state from a snapshot, and returns it only when all of
// it is there and it has the hash that was promised.
func readSnapshot(from io.Reader) (*restored, error) {
	in := &recordReader{in: bufio.NewReaderSize(from, bufferSize)}
	header := &argosyv1.SnapshotHeader{}
	if err := in.message(header); err != nil {
		return nil, snapshotError("read header", err)
	}
	if header.GetFormat() != snapshotFormat {
		return nil, fmt.Errorf("snapshot has format %d, not %d: %w", header.GetFormat(), snapshotFormat, ErrUnknown)
	}
	if header.GetFeedFloor() != header.GetAppliedIndex() {
		return nil, fmt.Errorf("feed begins after %d in a state of revision %d, but format %d has none: %w",
			header.GetFeedFloor(), header.GetAppliedIndex(), snapshotFormat, ErrSnapshot)
	}
	b, err := newRebuild(header.GetAppliedIndex())
	if err != nil {
		return nil, err
	}
	b.view.totals.lastWorkload = header.GetLastWorkloadRevision()
	if header.LastWorkloadRevision == nil {
		// Written before this was kept. A revision that is too high only makes
		// somebody look again; one that is too low would let a change be missed.
		b.view.totals.lastWorkload = header.GetAppliedIndex()
	}
	if err := b.read(in); err != nil {
		b.writer.abort()
		return nil, err
	}
	if last := b.view.totals.lastWorkload; last < b.lastWorkload || last > b.view.revision {
		b.writer.abort()
		return nil, fmt.Errorf("workloads changed last at %d, but one is of %d, in a state of revision %d: %w",
			last, b.lastWorkload, b.view.revision, ErrSnapshot)
	}
	b.writer.commit()
	b.view.reader = b.store.read()
	if found := b.view.Hash(); !bytes.Equal(found[:], header.GetStateHash()) && !planted.On(planted.LostRow) {
		return nil, fmt.Errorf("state has hash %x, header says %x: %w", found, header.GetStateHash(), ErrSnapshot)
	}
	return &restored{store: b.store, view: b.view}, nil
}

// rebuild is a state that is being filled.
type rebuild struct {
	store  *store
	writer writer
	view   *View
	hasher hasher
	// what came last: rows and outcomes are in order, so that none is twice
	lastID       []byte
	lastOutcomes uint64
	// the newest workload
	lastWorkload uint64
}

func newRebuild(revision uint64) (*rebuild, error) {
	store, err := newStore()
	if err != nil {
		return nil, err
	}
	return &rebuild{
		store:  store,
		writer: store.write(),
		view:   &View{index: newIndexes(), revision: revision},
	}, nil
}

// read takes in all records up to the trailer, which must be the last.
func (b *rebuild) read(in *recordReader) error {
	for records := uint64(0); ; records++ {
		record := &argosyv1.SnapshotRecord{}
		if err := in.message(record); err != nil {
			return snapshotError(fmt.Sprintf("read record %d", records), err)
		}
		var err error
		switch kind := record.GetKind().(type) {
		case *argosyv1.SnapshotRecord_Row:
			if records == 0 && planted.On(planted.LostRow) {
				continue
			}
			err = b.row(kind.Row)
		case *argosyv1.SnapshotRecord_Outcomes:
			err = b.outcomes(kind.Outcomes)
		case *argosyv1.SnapshotRecord_Trailer:
			if promised := kind.Trailer.GetRecords(); promised != records {
				return fmt.Errorf("snapshot has %d records, trailer says %d: %w", records, promised, ErrSnapshot)
			}
			if _, err := in.in.ReadByte(); !errors.Is(err, io.EOF) {
				return fmt.Errorf("snapshot goes on after its trailer: %w", ErrSnapshot)
			}
			return nil
		default:
			err = fmt.Errorf("kind is %w", ErrUnknown)
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", records, err)
		}
	}
}

func (b *rebuild) row(record *argosyv1.SnapshotRow) error {
	put := record.GetPut()
	if !knownKind(uint64(put.GetKind())) {
		return fmt.Errorf("row kind %d is %w", put.GetKind(), ErrUnknown)
	}
	created, revision := record.GetCreatedRevision(), record.GetRevision()
	if created == 0 || created > revision || revision > b.view.revision {
		return fmt.Errorf("row %q created at %d and written at %d in a state of revision %d: %w",
			put.GetKey(), created, revision, b.view.revision, ErrSnapshot)
	}
	id := appendID(nil, put.GetKind(), put.GetKey())
	row := newRow(nil, put.GetKind(), id, []byte(put.GetGroup()), put.GetValue(), revision, b.view.index.groups)
	row.CreatedRevision = created
	return b.add(row)
}

// add takes in a row, which must come after those before it.
func (b *rebuild) add(row *Row) error {
	if bytes.Compare(row.id, b.lastID) <= 0 {
		return fmt.Errorf("row %q is out of order: %w", row.Key, ErrSnapshot)
	}
	b.lastID = row.id
	if countsAsChange(row.Kind) {
		b.lastWorkload = max(b.lastWorkload, row.Revision)
	}
	row.digest = b.hasher.row(row)
	b.view.totals.putRow(nil, row)
	b.view.index.groups.update([]Change{{After: row}}, row.Revision)
	return b.writer.put(row)
}

func (b *rebuild) outcomes(record *argosyv1.SnapshotOutcomes) error {
	revision := record.GetRevision()
	if revision <= b.lastOutcomes || revision > b.view.revision || len(record.GetOutcomes()) == 0 {
		return fmt.Errorf("%d outcomes of revision %d after those of %d in a state of revision %d: %w",
			len(record.GetOutcomes()), revision, b.lastOutcomes, b.view.revision, ErrSnapshot)
	}
	b.lastOutcomes = revision
	decoded := make([]outcome, len(record.GetOutcomes()))
	for i, o := range record.GetOutcomes() {
		decoded[i] = outcome{id: o.GetRequestId(), principal: []byte(o.GetPrincipal()), result: o.GetResult()}
	}
	remembered := newOutcomes(revision, record.GetProposedUnixNanos(), decoded)
	remembered.digest = b.hasher.outcomes(remembered)
	b.view.totals.remember(remembered)
	b.view.index.outcomes.update(remembered, nil)
	return b.writer.remember(remembered)
}

// snapshotError says that a record could not be read. A snapshot that just
// ends was cut off.
func snapshotError(doing string, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%s: %w: %w", doing, err, ErrSnapshot)
}
