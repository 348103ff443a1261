package fsm

import (
	"bytes"
	"fmt"
	"io"
	"slices"

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

// Own is an object of a rebased state that does not come from the old one.
type Own struct {
	// Kind and Key say which it is.
	Kind argosyv1.RowKind
	Key  string
	// Message is the object, without revisions.
	Message proto.Message
}

// Rebase returns the state as if one single entry had written all of it at a
// revision over what is present. What is its own takes the place of what the old
// one has of that name; the old one's settings of the cluster are left out in any
// case. It is for putting an old state in the place of a newer one: that is a
// change of every object, whatever it was before, and whoever has seen a later
// revision of one must see that it changed again.
//
// What is present lives on: it bears the revision that created it. What is not
// bears the one that created it in the old state, so that an agent that still
// has it knows it for the same and lets it run.
//
// Remembered answers are left out. They are of writes that this state may not
// have: a request that is repeated must not be answered with something that is
// not there.
func Rebase(v, present *View, revision uint64, own []Own) (*View, error) {
	b, err := newRebuild(revision)
	if err != nil {
		return nil, err
	}
	if err := b.rebase(v, present, own); err != nil {
		b.writer.abort()
		return nil, fmt.Errorf("rebase state of revision %d: %w", v.revision, err)
	}
	b.writer.commit()
	b.view.reader = b.store.read()
	b.view.totals.lastWorkload = revision
	return b.view, nil
}

func (b *rebuild) rebase(v, present *View, all []Own) error {
	own, err := b.own(all)
	if err != nil {
		return err
	}
	put := func(row *Row) error {
		if living, ok := present.Row(row.Kind, row.Key); ok {
			row.CreatedRevision = living.CreatedRevision
		}
		return b.add(row)
	}
	for old := range v.Rows() {
		// Rows come in order.
		for len(own) > 0 && bytes.Compare(own[0].id, old.id) < 0 {
			if err := put(own[0]); err != nil {
				return err
			}
			own = own[1:]
		}
		if old.Kind == argosyv1.RowKind_ROW_KIND_CLUSTER && old.Key == ClusterKey || len(own) > 0 && bytes.Equal(own[0].id, old.id) {
			continue
		}
		// Rows are never written to, so the two states may share what is large.
		row := newRow(nil, old.Kind, old.id, []byte(old.Group), nil, b.view.revision, b.view.index.groups)
		row.Value, row.CreatedRevision = old.Value, old.CreatedRevision
		if err := put(row); err != nil {
			return err
		}
	}
	for _, row := range own {
		if err := put(row); err != nil {
			return err
		}
	}
	return nil
}

// own returns rows of objects, in order.
func (b *rebuild) own(all []Own) ([]*Row, error) {
	rows := make([]*Row, 0, len(all))
	for _, own := range all {
		value, err := proto.MarshalOptions{Deterministic: true}.Marshal(own.Message)
		if err != nil {
			return nil, fmt.Errorf("encode %s %q: %w", own.Kind, own.Key, err)
		}
		id := appendID(nil, own.Kind, own.Key)
		rows = append(rows, newRow(nil, own.Kind, id, nil, value, b.view.revision, b.view.index.groups))
	}
	slices.SortFunc(rows, func(a, b *Row) int { return bytes.Compare(a.id, b.id) })
	return rows, nil
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
