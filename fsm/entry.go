package fsm

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// The decoder below reads argosyv1.Entry by hand, for two reasons. It accepts
// nothing that it does not know: the generated code keeps unknown fields aside,
// and a field that a newer leader wrote and this replica ignored is a
// divergence. And it allocates nothing, where the generated code takes six
// allocations and a copy of the value for each row, on every replica.
//
// What it accepts is a subset of what the generated code accepts, and it then
// reads the same (a fuzz test holds it to that).

// entry is a decoded log entry. Its slices are parts of the log's buffer.
type entry struct {
	mutations  []mutation
	outcomes   []outcome
	proposedAt int64
}

type mutation struct {
	op    protowire.Number // the field number in argosyv1.Mutation
	kind  argosyv1.RowKind
	key   []byte
	group []byte
	value []byte
	upTo  uint64
	// beacon is the revision that a beacon names; value is its hash then.
	beacon uint64
}

type outcome struct {
	id        []byte
	principal []byte
	result    []byte
}

// Field numbers of log.proto.
const (
	fieldEntryMutations = 1
	fieldEntryOutcomes  = 2
	fieldEntryProposed  = 3

	opPut            = 1
	opDelete         = 2
	opExpireOutcomes = 3
	opBeacon         = 4

	fieldRowKind  = 1
	fieldRowKey   = 2
	fieldRowGroup = 3
	fieldRowValue = 4

	fieldExpireUpTo = 1

	fieldBeaconRevision = 1
	fieldBeaconHash     = 2

	fieldOutcomeID        = 1
	fieldOutcomePrincipal = 2
	fieldOutcomeResult    = 3
)

// decode reads an entry, reusing the memory of the one before.
func (e *entry) decode(data []byte) error {
	e.mutations, e.outcomes, e.proposedAt = e.mutations[:0], e.outcomes[:0], 0
	return eachField(data, func(f field) error {
		switch f.number {
		case fieldEntryMutations:
			m, err := decodeMutation(f)
			if err != nil {
				return fmt.Errorf("mutation %d: %w", len(e.mutations), err)
			}
			e.mutations = append(e.mutations, m)
		case fieldEntryOutcomes:
			o, err := decodeOutcome(f)
			if err != nil {
				return fmt.Errorf("outcome %d: %w", len(e.outcomes), err)
			}
			e.outcomes = append(e.outcomes, o)
		case fieldEntryProposed:
			e.proposedAt = int64(f.varint)
			return f.want(protowire.VarintType)
		default:
			return f.unknown()
		}
		return nil
	})
}

// release drops the references into the log's buffer, which would otherwise
// live until the next entry comes.
func (e *entry) release() {
	clear(e.mutations)
	clear(e.outcomes)
	const keep = 1024
	if cap(e.mutations) > keep {
		e.mutations = nil
	}
	if cap(e.outcomes) > keep {
		e.outcomes = nil
	}
}

func decodeMutation(f field) (mutation, error) {
	var m mutation
	if err := f.want(protowire.BytesType); err != nil {
		return m, err
	}
	err := eachField(f.bytes, func(f field) error {
		if m.op != 0 {
			return fmt.Errorf("more than one kind of mutation in one: %w", ErrMalformed)
		}
		m.op = f.number
		if m.op < opPut || m.op > opBeacon {
			return fmt.Errorf("kind %d is %w", f.number, ErrUnknown)
		}
		if err := f.want(protowire.BytesType); err != nil {
			return err
		}
		switch m.op {
		case opPut:
			return m.decodePut(f.bytes)
		case opDelete:
			return m.decodeDelete(f.bytes)
		case opBeacon:
			return m.decodeBeacon(f.bytes)
		default:
			return m.decodeExpire(f.bytes)
		}
	})
	if err != nil {
		return m, err
	}
	if m.op == 0 {
		return m, fmt.Errorf("no kind set: %w", ErrUnknown)
	}
	return m, nil
}

func (m *mutation) decodePut(data []byte) error {
	err := eachField(data, func(f field) error {
		switch f.number {
		case fieldRowKind, fieldRowKey:
			return m.identity(f)
		case fieldRowGroup:
			m.group = f.bytes
			return f.wantText()
		case fieldRowValue:
			m.value = f.bytes
			return f.want(protowire.BytesType)
		default:
			return f.unknown()
		}
	})
	if err != nil {
		return fmt.Errorf("put: %w", err)
	}
	return m.checkKind()
}

func (m *mutation) decodeDelete(data []byte) error {
	err := eachField(data, func(f field) error {
		switch f.number {
		case fieldRowKind, fieldRowKey:
			return m.identity(f)
		default:
			return f.unknown()
		}
	})
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	return m.checkKind()
}

func (m *mutation) decodeExpire(data []byte) error {
	err := eachField(data, func(f field) error {
		if f.number != fieldExpireUpTo {
			return f.unknown()
		}
		m.upTo = f.varint
		return f.want(protowire.VarintType)
	})
	if err != nil {
		return fmt.Errorf("expire outcomes: %w", err)
	}
	return nil
}

func (m *mutation) decodeBeacon(data []byte) error {
	err := eachField(data, func(f field) error {
		switch f.number {
		case fieldBeaconRevision:
			m.beacon = f.varint
			return f.want(protowire.VarintType)
		case fieldBeaconHash:
			m.value = f.bytes
			return f.want(protowire.BytesType)
		default:
			return f.unknown()
		}
	})
	if err == nil && len(m.value) != hashSize {
		err = fmt.Errorf("hash of %d bytes: %w", len(m.value), ErrMalformed)
	}
	if err != nil {
		return fmt.Errorf("beacon: %w", err)
	}
	return nil
}

// identity reads the kind or the key of a row.
func (m *mutation) identity(f field) error {
	if f.number == fieldRowKey {
		m.key = f.bytes
		return f.wantText()
	}
	if err := f.want(protowire.VarintType); err != nil {
		return err
	}
	if !knownKind(f.varint) {
		return fmt.Errorf("row kind %d is %w", f.varint, ErrUnknown)
	}
	m.kind = argosyv1.RowKind(f.varint)
	return nil
}

func (m *mutation) checkKind() error {
	if m.kind == argosyv1.RowKind_ROW_KIND_UNSPECIFIED {
		return fmt.Errorf("row without a kind: %w", ErrMalformed)
	}
	return nil
}

func decodeOutcome(f field) (outcome, error) {
	var o outcome
	if err := f.want(protowire.BytesType); err != nil {
		return o, err
	}
	err := eachField(f.bytes, func(f field) error {
		switch f.number {
		case fieldOutcomeID:
			o.id = f.bytes
			return f.want(protowire.BytesType)
		case fieldOutcomePrincipal:
			o.principal = f.bytes
			return f.wantText()
		case fieldOutcomeResult:
			o.result = f.bytes
			return f.want(protowire.BytesType)
		default:
			return f.unknown()
		}
	})
	return o, err
}

// field is one field of an encoded message.
type field struct {
	number protowire.Number
	wire   protowire.Type
	varint uint64
	bytes  []byte
}

func (f field) want(wire protowire.Type) error {
	if f.wire != wire {
		return fmt.Errorf("field %d has wire type %d, not %d: %w", f.number, f.wire, wire, ErrMalformed)
	}
	return nil
}

func (f field) wantText() error {
	if !utf8.Valid(f.bytes) {
		return fmt.Errorf("field %d is not UTF-8: %w", f.number, ErrMalformed)
	}
	return f.want(protowire.BytesType)
}

func (f field) unknown() error { return fmt.Errorf("field %d is %w", f.number, ErrUnknown) }

// eachField calls a function for each field of an encoded message.
func eachField(data []byte, yield func(field) error) error {
	for len(data) > 0 {
		var f field
		var n int
		f.number, f.wire, n = protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("%w: %w", protowire.ParseError(n), ErrMalformed)
		}
		data = data[n:]
		switch f.wire {
		case protowire.VarintType:
			f.varint, n = protowire.ConsumeVarint(data)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(data)
		default:
			// No message of the log has such a field, so the length does not
			// matter: whoever looks at it refuses it.
			n = protowire.ConsumeFieldValue(f.number, f.wire, data)
		}
		if n < 0 {
			return fmt.Errorf("field %d: %w: %w", f.number, protowire.ParseError(n), ErrMalformed)
		}
		data = data[n:]
		if err := yield(f); err != nil {
			return err
		}
	}
	return nil
}
