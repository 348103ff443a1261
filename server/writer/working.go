package writer

import (
	"bytes"
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"google.golang.org/protobuf/proto"
)

// Working is the state as it will be once everything in flight is committed:
// the state machine's view with the rows of entries in flight laid over it. It
// belongs to the writer's goroutine.
type Working struct {
	view *fsm.View
	// rows are those that entries in flight write.
	rows map[rowKey]pendingRow
	// requests are those that entries in flight answer.
	requests map[[RequestIDLength]byte]*item
	current  *batch
	// expired is the revision up to which outcomes are forgotten, entries in
	// flight included.
	expired uint64
}

type rowKey struct {
	kind argosyv1.RowKind
	key  string
}

// pendingRow is a row as an entry in flight leaves it.
type pendingRow struct {
	by      *batch
	deleted bool
	value   []byte
}

// Row is a row of the working copy.
type Row struct {
	// Exists tells whether there is such a row.
	Exists bool
	// Value is the encoded message.
	Value []byte
	// revision is that of the row when it is committed.
	revision uint64
	// by is the entry in flight that wrote it; its revision is not known yet.
	by *batch
}

func newWorking(view *fsm.View) *Working {
	return &Working{
		view:     view,
		rows:     map[rowKey]pendingRow{},
		requests: map[[RequestIDLength]byte]*item{},
	}
}

// Row returns a row.
func (c *Working) Row(kind argosyv1.RowKind, key string) Row {
	if p, ok := c.rows[rowKey{kind, key}]; ok {
		return Row{Exists: !p.deleted, Value: p.value, by: p.by}
	}
	row, ok := c.view.Row(kind, key)
	if !ok {
		return Row{}
	}
	return Row{Exists: true, Value: row.Value, revision: row.Revision}
}

// Count returns how many rows of a kind there are, those in flight left out.
func (c *Working) Count(kind argosyv1.RowKind) int { return c.view.Count(kind) }

// PutMessage writes a row unless it is there already and the same. The message
// must not carry revisions.
func (c *Working) PutMessage(kind argosyv1.RowKind, key, group string, m proto.Message) error {
	record, value, err := encodePutMessage(kind, key, group, m, proto.Size(m))
	if err != nil {
		return fmt.Errorf("encode %s %q: %w", kind, key, err)
	}
	if row := c.Row(kind, key); row.Exists && bytes.Equal(row.Value, value) {
		return nil
	}
	c.put(kind, key, record, value)
	return nil
}

func (c *Working) put(kind argosyv1.RowKind, key string, record, value []byte) {
	c.current.append(record)
	c.lay(rowKey{kind, key}, pendingRow{by: c.current, value: value})
}

func (c *Working) delete(kind argosyv1.RowKind, key string) {
	c.current.append(encodeDelete(kind, key))
	c.lay(rowKey{kind, key}, pendingRow{by: c.current, deleted: true})
}

func (c *Working) lay(key rowKey, row pendingRow) {
	c.rows[key] = row
	c.current.keys = append(c.current.keys, key)
}

func (c *Working) begin(now time.Time, requests int) *batch {
	c.current = &batch{proposed: now, items: make([]*item, 0, requests)}
	return c.current
}

func (c *Working) seal(*batch) { c.current = nil }

// committed takes the rows of a batch out of the overlay: the view has them
// now. Rows that a later batch in flight wrote again stay.
func (c *Working) committed(b *batch, view *fsm.View) {
	c.view = view
	for _, key := range b.keys {
		if c.rows[key].by == b {
			delete(c.rows, key)
		}
	}
	for _, it := range b.items {
		if it.remembered {
			delete(c.requests, it.request.requestID)
		}
	}
}
