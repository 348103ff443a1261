package fsm

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Row is one object of the state in the form in which it is replicated: its
// message stays encoded until somebody asks for it. Rows are immutable and
// shared.
type Row struct {
	// Kind says what Value is.
	Kind argosyv1.RowKind
	// Key is unique within the kind.
	Key string
	// Group is what the row is found by beside its key: the agent that a workload
	// is rendered to; may be empty.
	Group string
	// Value is the encoded message without its revisions. Read only.
	Value []byte
	// CreatedRevision is the revision of the entry that created the row.
	CreatedRevision uint64
	// Revision is the revision of the entry that last wrote it.
	Revision uint64

	digest digest
	// id is the row's key in the state, kind and key, and hash is the hash of it.
	id   []byte
	hash uint64
}

// Workload decodes a row of that kind, with its revisions filled in. The
// caller owns the result.
func (r *Row) Workload() (*argosyv1.Workload, error) {
	w := &argosyv1.Workload{}
	if err := r.decode(argosyv1.RowKind_ROW_KIND_WORKLOAD, w); err != nil {
		return nil, err
	}
	w.CreatedRevision, w.Revision = r.CreatedRevision, r.Revision
	return w, nil
}

// Agent decodes a row of that kind, with its revisions filled in. The caller
// owns the result.
func (r *Row) Agent() (*argosyv1.Agent, error) {
	a := &argosyv1.Agent{}
	if err := r.decode(argosyv1.RowKind_ROW_KIND_AGENT, a); err != nil {
		return nil, err
	}
	a.CreatedRevision, a.Revision = r.CreatedRevision, r.Revision
	return a, nil
}

// Config decodes a row of that kind, with its revisions filled in. The caller
// owns the result.
func (r *Row) Config() (*argosyv1.Config, error) {
	c := &argosyv1.Config{}
	if err := r.decode(argosyv1.RowKind_ROW_KIND_CONFIG, c); err != nil {
		return nil, err
	}
	c.CreatedRevision, c.Revision = r.CreatedRevision, r.Revision
	return c, nil
}

// ClusterSettings decodes the row of that kind, with its revisions filled in.
// The caller owns the result.
func (r *Row) ClusterSettings() (*argosyv1.ClusterSettings, error) {
	c := &argosyv1.ClusterSettings{}
	if err := r.decode(argosyv1.RowKind_ROW_KIND_CLUSTER, c); err != nil {
		return nil, err
	}
	c.CreatedRevision, c.Revision = r.CreatedRevision, r.Revision
	return c, nil
}

// RowSize is what a row counts in the size of the state.
func RowSize(key, group string, value int) int { return len(key) + len(group) + value }

func (r *Row) size() int { return RowSize(r.Key, r.Group, len(r.Value)) }

func (r *Row) decode(kind argosyv1.RowKind, into proto.Message) error {
	if r.Kind != kind {
		return fmt.Errorf("decode row %q: it is a %s, not a %s", r.Key, r.Kind, kind)
	}
	if err := proto.Unmarshal(r.Value, into); err != nil {
		return fmt.Errorf("decode %s %q of revision %d: %w", r.Kind, r.Key, r.Revision, err)
	}
	return nil
}

// ClusterKey is the key of the one row of the cluster's settings.
const ClusterKey = "cluster"

// kinds is the number of row kinds, the unspecified one included.
const kinds = int(argosyv1.RowKind_ROW_KIND_CONFIG) + 1

func knownKind(kind uint64) bool { return kind > 0 && kind < uint64(kinds) }

// appendID appends the key of a row in the state: its kind and its key.
func appendID[K string | []byte](b []byte, kind argosyv1.RowKind, key K) []byte {
	return append(append(b, byte(kind)), key...)
}

// newRow makes a row that is written by the entry of a revision. It copies what
// it keeps of key, group and value: they are slices of the log's buffer, which
// holds up to hundreds of requests, and one row that stays would keep all of
// it. (Raft would allow to keep it, since it never uses the buffer again.) A
// row that replaces another takes over its key and, where it is the same, its
// group.
func newRow(before *Row, kind argosyv1.RowKind, id, group, value []byte, revision uint64, groups *groupIndex) *Row {
	r := &Row{Kind: kind, CreatedRevision: revision, Revision: revision}
	if len(value) > 0 {
		r.Value = bytes.Clone(value)
	}
	if before != nil {
		r.CreatedRevision, r.id, r.Key = before.CreatedRevision, before.id, before.Key
		if before.Group == string(group) {
			r.Group = before.Group
			return r
		}
	} else {
		r.id = bytes.Clone(id)
		r.Key = string(id[1:])
	}
	r.Group = groups.name(kind, group)
	return r
}
