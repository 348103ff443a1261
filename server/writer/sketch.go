package writer

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Field numbers of model.proto.
const (
	fieldWorkloadAgent        = 2
	fieldWorkloadRuntime      = 3
	fieldWorkloadConfig       = 4
	fieldWorkloadDependencies = 7
	fieldWorkloadConfigs      = 8
	fieldWorkloadFiles        = 9
	fieldWorkloadAccess       = 10
	fieldWorkloadRendered     = 11

	fieldRenderedAgent  = 1
	fieldRenderedConfig = 2
	fieldRenderedFiles  = 3

	fieldAccessAllow = 1

	fieldMapKey   = 1
	fieldMapValue = 2
)

// sketch is what a write has to know of a workload that is stored, as it is
// rendered: what it runs, what it needs, what it uses. It is found in the encoded
// row, for to decode that costs a write more than everything else here.
type sketch struct {
	agent, runtime, config []byte
	// files are encoded.
	files [][]byte
	// connected tells whether it has a control interface.
	connected bool
	// needs are the names that it depends on, uses the keys of its configs.
	needs, uses []string
}

// sketchOf reads an encoded workload. Of one that cannot be read it has as much as
// can.
func sketchOf(value []byte) (s sketch) {
	var rendered []byte
	eachField(value, func(number protowire.Number, field []byte) {
		switch number {
		case fieldWorkloadAgent:
			s.agent = field
		case fieldWorkloadRuntime:
			s.runtime = field
		case fieldWorkloadConfig:
			s.config = field
		case fieldWorkloadDependencies:
			s.needs = append(s.needs, part(field, fieldMapKey))
		case fieldWorkloadConfigs:
			s.uses = append(s.uses, part(field, fieldMapValue))
		case fieldWorkloadFiles:
			s.files = append(s.files, field)
		case fieldWorkloadAccess:
			eachField(field, func(number protowire.Number, _ []byte) { s.connected = s.connected || number == fieldAccessAllow })
		case fieldWorkloadRendered:
			rendered = field
		}
	})
	if rendered != nil {
		s.render(rendered)
	}
	return s
}

// render puts what the workload is rendered to in place of what was written.
func (s *sketch) render(rendered []byte) {
	s.agent, s.config, s.files = nil, nil, nil
	eachField(rendered, func(number protowire.Number, field []byte) {
		switch number {
		case fieldRenderedAgent:
			s.agent = field
		case fieldRenderedConfig:
			s.config = field
		case fieldRenderedFiles:
			s.files = append(s.files, field)
		}
	})
}

// eachField calls f with the fields of an encoded message that are bytes.
func eachField(message []byte, f func(protowire.Number, []byte)) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		if kind == protowire.BytesType {
			field, n := protowire.ConsumeBytes(message)
			if n < 0 {
				return
			}
			// Never nil, also when it is empty.
			f(number, field[:len(field):len(field)])
			message = message[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
			return
		}
		message = message[n:]
	}
}

// part returns a text in an encoded message.
func part(message []byte, of protowire.Number) (text string) {
	eachField(message, func(number protowire.Number, field []byte) {
		if number == of {
			text = string(field)
		}
	})
	return text
}

func (s *sketch) instance() string { return argosyv1.InstanceID(string(s.config)) }

// sameConfig tells whether two have the same instance id.
func (s *sketch) sameConfig(other *sketch) bool {
	return bytes.Equal(bytes.TrimSpace(s.config), bytes.TrimSpace(other.config))
}

// effect tells what it does to what runs when a workload becomes another.
func (s *sketch) effect(after *sketch) argosyv1.Effect {
	switch {
	case len(s.agent)+len(after.agent) == 0:
		return argosyv1.Effect_EFFECT_NONE
	case len(s.agent) == 0:
		return argosyv1.Effect_EFFECT_START
	case len(after.agent) == 0:
		return argosyv1.Effect_EFFECT_STOP
	case bytes.Equal(s.agent, after.agent) && bytes.Equal(s.runtime, after.runtime) && s.sameConfig(after) &&
		s.connected == after.connected && slices.EqualFunc(s.files, after.files, bytes.Equal):
		return argosyv1.Effect_EFFECT_NONE
	}
	return argosyv1.Effect_EFFECT_RESTART
}
