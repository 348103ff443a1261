package control

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/proto/ankaios"
)

// split cuts data that comes in pieces of a size, as far as it can be followed.
func split(t *testing.T, data []byte, piece, limit int) (messages [][]byte, err error) {
	t.Helper()
	s := splitter{max: limit}
	for len(data) > 0 {
		n := min(piece, len(data))
		s.add(data[:n])
		data = data[n:]
		for {
			message, ok, err := s.next()
			if err != nil {
				return messages, err
			}
			if !ok {
				break
			}
			messages = append(messages, bytes.Clone(message))
		}
		s.rest()
		if !s.half() && cap(s.data) > keepBytes {
			t.Fatalf("keeps %d bytes at rest", cap(s.data))
		}
		if cap(s.data) > 4*(limit+piece+10) {
			t.Fatalf("takes %d bytes for messages of %d", cap(s.data), limit)
		}
	}
	return messages, nil
}

// FuzzFrames: whatever comes, however it is cut, the same messages come out, no
// memory is taken for what has not come, and what is decoded is the same when it is
// encoded and decoded again.
func FuzzFrames(f *testing.F) {
	hello, _ := encode(&ankaios.ToAnkaios{ToAnkaiosEnum: &ankaios.ToAnkaios_Hello{Hello: &ankaios.Hello{ProtocolVersion: "1.0.0"}}})
	request, _ := encode(&ankaios.ToAnkaios{ToAnkaiosEnum: &ankaios.ToAnkaios_Request{Request: &ankaios.Request{
		RequestId: "id", RequestContent: &ankaios.Request_UpdateStateRequest{UpdateStateRequest: &ankaios.UpdateStateRequest{
			NewState: &ankaios.CompleteState{DesiredState: &ankaios.State{Configs: &ankaios.ConfigMap{Configs: map[string]*ankaios.ConfigItem{
				"c": {ConfigItemEnum: &ankaios.ConfigItem_Array{Array: &ankaios.ConfigArray{Values: []*ankaios.ConfigItem{{}, {}}}}}}}}}}}}}})
	f.Add(hello, 1)
	f.Add(append(hello, request...), 3)
	f.Add(request[:len(request)/2], 7)
	f.Add(bytes.Repeat([]byte{0x80}, 19), 5)
	f.Add([]byte{0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}, 2)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		const limit = 1 << 10
		piece = 1 + max(piece, -piece, 0)%(4<<10)
		whole, wholeErr := split(t, data, len(data)+1, limit)
		pieces, piecesErr := split(t, data, piece, limit)
		if len(whole) != len(pieces) || (wholeErr == nil) != (piecesErr == nil) {
			t.Fatalf("%d messages, %v at once; %d, %v in pieces of %d", len(whole), wholeErr, len(pieces), piecesErr, piece)
		}
		findHello(data)
		for n, message := range whole {
			if !bytes.Equal(message, pieces[n]) {
				t.Fatalf("message %d is %x at once, %x in pieces", n, message, pieces[n])
			}
			decoded, _, err := decode(message, 100)
			if err != nil {
				requestID(message)
				continue
			}
			again, err := encode(decoded)
			if err != nil {
				t.Fatal(err)
			}
			s := splitter{max: len(again)}
			s.add(again)
			bare, ok, err := s.next()
			if !ok || err != nil {
				t.Fatalf("what was encoded is no frame: %v", err)
			}
			second := &ankaios.ToAnkaios{}
			if err := proto.Unmarshal(bare, second); err != nil || !proto.Equal(decoded, second) {
				t.Fatalf("%v became %v: %v", decoded, second, err)
			}
		}
	})
}
