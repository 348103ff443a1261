package evidence

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/chaos/history"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
)

// entries reads from the log what concerns writes of the load.
func (d *directory) entries(ctx context.Context) error {
	if d.replica.First == 0 {
		return nil
	}
	for index := d.replica.First; index <= d.replica.Last; index++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var stored raft.Log
		if err := d.store.GetLog(index, &stored); err != nil {
			return err
		}
		if stored.Type != raft.LogCommand || consensus.Overtaken(&stored) {
			continue
		}
		entry, err := decode(&stored)
		if err != nil {
			d.damaged("log entry %d: %v", index, err)
			continue
		}
		if len(entry.Requests)+len(entry.Refused)+len(entry.Put)+len(entry.Deleted) > 0 {
			d.replica.Entries = append(d.replica.Entries, entry)
		}
	}
	return nil
}

// decode reads an entry with the code that its messages generate, which is not
// what the state machine reads it with.
func decode(stored *raft.Log) (history.Entry, error) {
	e := history.Entry{Index: stored.Index, Term: stored.Term, Sum: sum(stored)}
	message := &argosyv1.Entry{}
	if err := proto.Unmarshal(stored.Data, message); err != nil {
		return e, err
	}
	for _, outcome := range message.GetOutcomes() {
		result := &argosyv1.WriteResult{}
		if err := proto.Unmarshal(outcome.GetResult(), result); err != nil {
			return e, fmt.Errorf("result of request %x: %w", outcome.GetRequestId(), err)
		}
		id := hex.EncodeToString(outcome.GetRequestId())
		if result.GetRefusal() != nil {
			e.Refused = append(e.Refused, id)
		} else {
			e.Requests = append(e.Requests, id)
		}
	}
	put := map[string]int{}
	for _, mutation := range message.GetMutations() {
		switch kind := mutation.GetKind().(type) {
		case *argosyv1.Mutation_Put:
			o, known, err := written(kind.Put)
			if err != nil {
				return e, err
			}
			if !known {
				continue
			}
			o.Revision = stored.Index
			if at := slices.Index(e.Deleted, o.Name); at >= 0 {
				// What was there is gone, this is another one of the name.
				e.Deleted, o.Created = slices.Delete(e.Deleted, at, at+1), stored.Index
			}
			if at, again := put[o.Name]; again {
				e.Put[at] = o
				continue
			}
			put[o.Name] = len(e.Put)
			e.Put = append(e.Put, o)
		case *argosyv1.Mutation_Delete:
			name := kind.Delete.GetKey()
			if kind.Delete.GetKind() != argosyv1.RowKind_ROW_KIND_WORKLOAD && kind.Delete.GetKind() != argosyv1.RowKind_ROW_KIND_CONFIG {
				continue
			}
			if _, again := put[name]; again {
				e.Put = slices.DeleteFunc(e.Put, func(o history.Object) bool { return o.Name == name })
				clear(put)
				for at, o := range e.Put {
					put[o.Name] = at
				}
			}
			e.Deleted = append(e.Deleted, name)
		}
	}
	return e, nil
}

// written is the object that a row is; false for one that is none of the load.
func written(row *argosyv1.PutRow) (o history.Object, known bool, err error) {
	switch row.GetKind() {
	case argosyv1.RowKind_ROW_KIND_WORKLOAD:
		w := &argosyv1.Workload{}
		err = proto.Unmarshal(row.GetValue(), w)
		o = workloadObject(w)
	case argosyv1.RowKind_ROW_KIND_CONFIG:
		c := &argosyv1.Config{}
		err = proto.Unmarshal(row.GetValue(), c)
		o = configObject(c)
	default:
		return o, false, nil
	}
	if err != nil {
		return o, false, fmt.Errorf("row %q: %w", row.GetKey(), err)
	}
	o.Name = row.GetKey()
	return o, true, nil
}

// sum is a hash of all that Raft depends on in an entry.
func sum(stored *raft.Log) string {
	head := binary.BigEndian.AppendUint64(nil, stored.Index)
	head = binary.BigEndian.AppendUint64(head, stored.Term)
	head = append(head, byte(stored.Type))
	head = binary.BigEndian.AppendUint64(head, uint64(len(stored.Data)))
	hash := sha256.New()
	// A hash takes everything.
	_, _ = hash.Write(head)
	_, _ = hash.Write(stored.Data)
	_, _ = hash.Write(stored.Extensions)
	return hex.EncodeToString(hash.Sum(nil)[:8])
}
