package fsm

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/hashicorp/go-memdb"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// This file is all that knows of go-memdb: what the machine needs of it is one
// writer at a time that commits as a whole, and readers of a fixed state that
// cost nothing to make.

const (
	tableRows     = "rows"
	tableOutcomes = "outcomes"
	indexID       = "id"
)

// store is the writable end.
type store struct{ db *memdb.MemDB }

func newStore() (*store, error) {
	tables := map[string]*memdb.TableSchema{}
	for name, indexer := range map[string]memdb.Indexer{tableRows: rowIndex{}, tableOutcomes: outcomesIndex{}} {
		tables[name] = &memdb.TableSchema{
			Name:    name,
			Indexes: map[string]*memdb.IndexSchema{indexID: {Name: indexID, Unique: true, Indexer: indexer}},
		}
	}
	db, err := memdb.NewMemDB(&memdb.DBSchema{Tables: tables})
	if err != nil {
		return nil, fmt.Errorf("make store: %w", err)
	}
	// A snapshot is writable like the original, but does not keep account of
	// every tree node it replaces in order to fire memdb's watches. Nothing
	// here uses those: waiters and the feed do it by revision.
	return &store{db: db.Snapshot()}, nil
}

// read fixes the state as it is now.
func (s *store) read() reader { return reader{txn: s.db.Txn(false)} }

// write begins a transaction; it ends with commit or abort.
func (s *store) write() writer { return writer{txn: s.db.Txn(true)} }

// writer changes the state. It does not read: memdb gives up the tree nodes
// that a transaction has already copied as soon as it is read from.
type writer struct{ txn *memdb.Txn }

func (w writer) commit() { w.txn.Commit() }
func (w writer) abort()  { w.txn.Abort() }

func (w writer) put(row *Row) error         { return w.txn.Insert(tableRows, row) }
func (w writer) delete(row *Row) error      { return w.txn.Delete(tableRows, row) }
func (w writer) remember(o *outcomes) error { return w.txn.Insert(tableOutcomes, o) }
func (w writer) forget(o *outcomes) error   { return w.txn.Delete(tableOutcomes, o) }

// reader reads one fixed state; any number of goroutines may.
type reader struct{ txn *memdb.Txn }

func (r reader) row(id []byte) *Row {
	// The lookups cannot fail: table and index exist, and rawKey takes bytes.
	found, _ := r.txn.First(tableRows, indexID, id)
	row, _ := found.(*Row)
	return row
}

// rows yields the rows of a kind in order of key.
func (r reader) rows(kind argosyv1.RowKind) iter.Seq[*Row] {
	return each[*Row](r.txn, tableRows, []byte{byte(kind)})
}

// all yields all rows in order of kind and key.
func (r reader) all() iter.Seq[*Row] { return each[*Row](r.txn, tableRows, nil) }

// outcomes yields the remembered outcomes in order of revision.
func (r reader) outcomes() iter.Seq[*outcomes] {
	return each[*outcomes](r.txn, tableOutcomes, nil)
}

func each[T any](txn *memdb.Txn, table string, prefix []byte) iter.Seq[T] {
	return func(yield func(T) bool) {
		found, err := txn.Get(table, indexID, prefix)
		if err != nil {
			return
		}
		for object := found.Next(); object != nil; object = found.Next() {
			if !yield(object.(T)) {
				return
			}
		}
	}
}

// rawKey makes an index be asked with its key as it is.
type rawKey struct{}

func (rawKey) FromArgs(args ...any) ([]byte, error) {
	if len(args) == 1 {
		if key, ok := args[0].([]byte); ok {
			return key, nil
		}
	}
	return nil, fmt.Errorf("look up: want one key, have %v", args)
}

type rowIndex struct{ rawKey }

func (rowIndex) FromObject(object any) (bool, []byte, error) {
	row, ok := object.(*Row)
	if !ok {
		return false, nil, fmt.Errorf("index row: it is a %T", object)
	}
	return true, row.id, nil
}

type outcomesIndex struct{ rawKey }

func (outcomesIndex) FromObject(object any) (bool, []byte, error) {
	o, ok := object.(*outcomes)
	if !ok {
		return false, nil, fmt.Errorf("index outcomes: they are a %T", object)
	}
	return true, binary.BigEndian.AppendUint64(nil, o.revision), nil
}
