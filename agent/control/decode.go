package control

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/argosy-cluster/argosy/proto/ankaios"
)

// maxDepth of messages in messages, as Ankaios has it.
const maxDepth = 100

// maxIDBytes of a request's id, which is part of every answer. SDKs use UUIDs.
const maxIDBytes = 1024

// elementBytes is what an element costs at least: some memory, however short it is.
const elementBytes = 16

// decode reads a message of at most so many elements. It returns what it costs.
func decode(data []byte, elements int) (message *ankaios.ToAnkaios, cost int, err error) {
	message = &ankaios.ToAnkaios{}
	left := elements
	if err := count(message.ProtoReflect().Descriptor(), data, &left, maxDepth); err != nil {
		return nil, 0, err
	}
	if err := (proto.UnmarshalOptions{RecursionLimit: maxDepth}).Unmarshal(data, message); err != nil {
		return nil, 0, err
	}
	if message.ToAnkaiosEnum == nil {
		return nil, 0, errors.New("neither hello nor request")
	}
	if n := len(message.GetRequest().GetRequestId()); n > maxIDBytes {
		return nil, 0, fmt.Errorf("request id of %d bytes is longer than %d bytes", n, maxIDBytes)
	}
	return message, max(len(data), (elements-left)*elementBytes), nil
}

// count takes the elements of an encoded message from those that are left, before
// memory is taken for any of them.
func count(desc protoreflect.MessageDescriptor, data []byte, left *int, depth int) error {
	if depth == 0 {
		return fmt.Errorf("messages are nested deeper than %d", maxDepth)
	}
	for len(data) > 0 {
		if *left--; *left < 0 {
			return fmt.Errorf("message has too many elements")
		}
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		size := protowire.ConsumeFieldValue(number, kind, data)
		if size < 0 {
			return protowire.ParseError(size)
		}
		field := desc.Fields().ByNumber(number)
		if field != nil && field.Message() != nil && kind == protowire.BytesType {
			inner, _ := protowire.ConsumeBytes(data)
			if err := count(field.Message(), inner, left, depth-1); err != nil {
				return err
			}
		}
		data = data[size:]
	}
	return nil
}

// requestID returns the id of a request that cannot be decoded, or "".
func requestID(data []byte) string {
	id := bytesField(bytesField(data, 3), 1) // ToAnkaios.request, Request.requestId
	if len(id) > maxIDBytes || !utf8.Valid(id) {
		return ""
	}
	return string(id)
}

// bytesField returns the first field of the number, as far as the message can be
// read; nil when it has none.
func bytesField(data []byte, want protowire.Number) []byte {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return nil
		}
		data = data[n:]
		if number == want && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(data)
			return value
		}
		if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
			return nil
		}
		data = data[n:]
	}
	return nil
}

// isHello tells whether a message is a Hello without decoding it.
func isHello(data []byte) bool {
	number, kind, n := protowire.ConsumeTag(data)
	return n > 0 && number == 1 && kind == protowire.BytesType // ToAnkaios.hello
}

// maxHelloBytes of a Hello that is looked for, with its length.
const maxHelloBytes = 64

// findHello returns what begins with a Hello: all of the data, or its end when that
// is one. SDKs write a Hello by itself, perhaps after what somebody else has left.
func findHello(data []byte) (from []byte, ok bool) {
	if beginsWithHello(data) {
		return data, true
	}
	for at := max(0, len(data)-maxHelloBytes); at < len(data); at++ {
		if int(data[at]) == len(data)-at-1 && beginsWithHello(data[at:]) {
			return data[at:], true
		}
	}
	return nil, false
}

// beginsWithHello tells whether data begins with a Hello and nothing but that:
// it is how a stream that was lost is found again.
func beginsWithHello(data []byte) bool {
	s := splitter{max: maxHelloBytes, data: data}
	frame, ok, err := s.next()
	if err != nil || !ok || !isHello(frame) {
		return false
	}
	message, _, err := decode(frame, 16)
	return err == nil && len(message.ProtoReflect().GetUnknown()) == 0 &&
		message.GetHello().GetProtocolVersion() != "" && len(message.GetHello().ProtoReflect().GetUnknown()) == 0
}
