package fsm

import (
	"bytes"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// WriteTo writes the state in the form of a snapshot, the same bytes each time.
// It checks the state's hash on the way: a state that was damaged in memory is
// an error, when part of it is written already.
func (v *View) WriteTo(to io.Writer) (int64, error) {
	counted := &countingWriter{to: to}
	if err := v.writeTo(counted); err != nil {
		return counted.n, fmt.Errorf("write state of revision %d: %w", v.revision, err)
	}
	return counted.n, nil
}

// ReadView builds the state of a snapshot apart from any machine. It returns
// one only when all of it is there and has the hash that was promised. The
// snapshot must be all that there is to read.
func ReadView(from io.Reader) (*View, error) {
	restored, err := readSnapshot(from)
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	return restored.view, nil
}

// Rebase returns the state as if one single entry had written all of it at a
// revision over what is present, with these settings of the cluster (nil for
// none) in the place of its own. It is for putting an old state in the place of
// a newer one: that is a change of every object, whatever it was before, and
// whoever has seen a later revision of one must see that it changed again.
//
// What is present lives on: it bears the revision that created it. What is not
// bears the one that created it in the old state, so that an agent that still
// has it knows it for the same and lets it run.
//
// Remembered answers are left out. They are of writes that this state may not
// have: a request that is repeated must not be answered with something that is
// not there.
func Rebase(v, present *View, revision uint64, settings *argosyv1.ClusterSettings) (*View, error) {
	b, err := newRebuild(revision)
	if err != nil {
		return nil, err
	}
	if err := b.rebase(v, present, settings); err != nil {
		b.writer.abort()
		return nil, fmt.Errorf("rebase state of revision %d: %w", v.revision, err)
	}
	b.writer.commit()
	b.view.reader = b.store.read()
	b.view.totals.lastWorkload = revision
	return b.view, nil
}

func (b *rebuild) rebase(v, present *View, settings *argosyv1.ClusterSettings) error {
	own, err := b.settings(settings)
	if err != nil {
		return err
	}
	for old := range v.Rows() {
		if old.Kind == argosyv1.RowKind_ROW_KIND_CLUSTER && old.Key == ClusterKey {
			continue
		}
		if own != nil && bytes.Compare(own.id, old.id) < 0 {
			// Rows come in order, and these before those of kinds that follow theirs.
			if err := b.add(own); err != nil {
				return err
			}
			own = nil
		}
		// Rows are never written to, so the two states may share what is large.
		row := newRow(nil, old.Kind, old.id, []byte(old.Group), nil, b.view.revision, b.view.index.groups)
		row.Value, row.CreatedRevision = old.Value, old.CreatedRevision
		if living, ok := present.Row(old.Kind, old.Key); ok {
			row.CreatedRevision = living.CreatedRevision
		}
		if err := b.add(row); err != nil {
			return err
		}
	}
	if own == nil {
		return nil
	}
	return b.add(own)
}

// settings returns the row of the cluster's settings, nil for none.
func (b *rebuild) settings(settings *argosyv1.ClusterSettings) (*Row, error) {
	if settings == nil {
		return nil, nil
	}
	settings = proto.CloneOf(settings)
	settings.CreatedRevision, settings.Revision = 0, 0
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(settings)
	if err != nil {
		return nil, fmt.Errorf("encode settings: %w", err)
	}
	id := appendID(nil, argosyv1.RowKind_ROW_KIND_CLUSTER, ClusterKey)
	return newRow(nil, argosyv1.RowKind_ROW_KIND_CLUSTER, id, nil, value, b.view.revision, b.view.index.groups), nil
}

type countingWriter struct {
	to io.Writer
	n  int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.n += int64(n)
	return n, err
}
