package writer

import (
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Entries are put together from encoded fields by hand: a workload is encoded
// once, by the goroutine that submits it, straight into the place that it has
// in the entry. TestEncoding holds this against the generated code.

// Field numbers of log.proto.
const (
	fieldEntryMutations = 1
	fieldEntryOutcomes  = 2
	fieldEntryProposed  = 3

	fieldMutationPut    = 1
	fieldMutationDelete = 2
	fieldMutationExpire = 3
	fieldMutationBeacon = 4

	fieldPutKind  = 1
	fieldPutKey   = 2
	fieldPutGroup = 3
	fieldPutValue = 4

	fieldDeleteKind = 1
	fieldDeleteKey  = 2

	fieldExpireUpTo = 1

	fieldBeaconRevision = 1
	fieldBeaconHash     = 2

	fieldOutcomeRequestID = 1
	fieldOutcomePrincipal = 2
	fieldOutcomeResult    = 3
)

// recordOverhead is about what a mutation costs beside key, group and value.
const recordOverhead = 16

// rowValue encodes in one way only, so that equal rows have equal bytes.
var rowValue = proto.MarshalOptions{Deterministic: true, UseCachedSize: true}

// encodePut returns the field of Entry that writes a workload, and the part of
// it that is the workload. size is proto.Size of it.
func encodePut(w *argosyv1.Workload, size int) (record, value []byte, err error) {
	return encodePutMessage(argosyv1.RowKind_ROW_KIND_WORKLOAD, w.GetName(), w.RunsOn(), w, size)
}

func encodePutMessage(kind argosyv1.RowKind, key, group string, m proto.Message, size int) (record, value []byte, err error) {
	b, err := rowValue.MarshalAppend(encodePutHead(kind, key, group, size), m)
	if err != nil {
		return nil, nil, err
	}
	return b, b[len(b)-size:], nil
}

// encodePutValue is encodePutMessage for a message that is encoded already.
func encodePutValue(kind argosyv1.RowKind, key, group string, encoded []byte) (record, value []byte) {
	b := append(encodePutHead(kind, key, group, len(encoded)), encoded...)
	return b, b[len(b)-len(encoded):]
}

// encodePutHead returns the field up to the value, which has a size, with room
// for it.
func encodePutHead(kind argosyv1.RowKind, key, group string, size int) []byte {
	row := sizeVarintField(fieldPutKind, uint64(kind)) + sizeBytesField(fieldPutKey, len(key)) + sizeBytesField(fieldPutValue, size)
	if group != "" {
		row += sizeBytesField(fieldPutGroup, len(group))
	}
	mutation := sizeBytesField(fieldMutationPut, row)
	b := make([]byte, 0, sizeBytesField(fieldEntryMutations, mutation))
	b = protowire.AppendTag(b, fieldEntryMutations, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(mutation))
	b = protowire.AppendTag(b, fieldMutationPut, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(row))
	b = protowire.AppendTag(b, fieldPutKind, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(kind))
	b = protowire.AppendTag(b, fieldPutKey, protowire.BytesType)
	b = protowire.AppendString(b, key)
	if group != "" {
		b = protowire.AppendTag(b, fieldPutGroup, protowire.BytesType)
		b = protowire.AppendString(b, group)
	}
	b = protowire.AppendTag(b, fieldPutValue, protowire.BytesType)
	return protowire.AppendVarint(b, uint64(size))
}

func encodeDelete(kind argosyv1.RowKind, key string) []byte {
	row := sizeVarintField(fieldDeleteKind, uint64(kind)) + sizeBytesField(fieldDeleteKey, len(key))
	mutation := sizeBytesField(fieldMutationDelete, row)
	b := make([]byte, 0, sizeBytesField(fieldEntryMutations, mutation))
	b = protowire.AppendTag(b, fieldEntryMutations, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(mutation))
	b = protowire.AppendTag(b, fieldMutationDelete, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(row))
	b = protowire.AppendTag(b, fieldDeleteKind, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(kind))
	b = protowire.AppendTag(b, fieldDeleteKey, protowire.BytesType)
	return protowire.AppendString(b, key)
}

func encodeExpire(upTo uint64) []byte {
	expire := sizeVarintField(fieldExpireUpTo, upTo)
	mutation := sizeBytesField(fieldMutationExpire, expire)
	b := make([]byte, 0, sizeBytesField(fieldEntryMutations, mutation))
	b = protowire.AppendTag(b, fieldEntryMutations, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(mutation))
	b = protowire.AppendTag(b, fieldMutationExpire, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(expire))
	b = protowire.AppendTag(b, fieldExpireUpTo, protowire.VarintType)
	return protowire.AppendVarint(b, upTo)
}

// sizeOutcome is the size of an encoded outcome whose result has the given size.
func sizeOutcome(principal string, result int) int {
	outcome := sizeBytesField(fieldOutcomeRequestID, RequestIDLength) + sizeBytesField(fieldOutcomeResult, result)
	if principal != "" {
		outcome += sizeBytesField(fieldOutcomePrincipal, len(principal))
	}
	return outcome
}

// appendOutcome appends the field of Entry that remembers a request. size is
// proto.Size of the result.
func appendOutcome(b []byte, id []byte, principal string, result *argosyv1.WriteResult, size int) ([]byte, error) {
	b = protowire.AppendTag(b, fieldEntryOutcomes, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(sizeOutcome(principal, size)))
	b = protowire.AppendTag(b, fieldOutcomeRequestID, protowire.BytesType)
	b = protowire.AppendBytes(b, id)
	if principal != "" {
		b = protowire.AppendTag(b, fieldOutcomePrincipal, protowire.BytesType)
		b = protowire.AppendString(b, principal)
	}
	b = protowire.AppendTag(b, fieldOutcomeResult, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	return rowValue.MarshalAppend(b, result)
}

func appendProposed(b []byte, unixNanos int64) []byte {
	b = protowire.AppendTag(b, fieldEntryProposed, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(unixNanos))
}

func sizeVarintField(number protowire.Number, v uint64) int {
	return protowire.SizeTag(number) + protowire.SizeVarint(v)
}

func sizeBytesField(number protowire.Number, n int) int {
	return protowire.SizeTag(number) + protowire.SizeBytes(n)
}
