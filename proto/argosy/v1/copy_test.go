package argosyv1

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// fill sets every field of a message to something, whatever fields it has.
func fill(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		switch {
		case field.ContainingOneof() != nil && m.WhichOneof(field.ContainingOneof()) != nil:
		case field.IsMap():
			key := protoreflect.ValueOfString("key").MapKey()
			m.Mutable(field).Map().Set(key, filled(field.MapValue(), m.Mutable(field).Map().NewValue(), depth))
		case field.IsList():
			list := m.Mutable(field).List()
			list.Append(filled(field, list.NewElement(), depth))
		default:
			m.Set(field, filled(field, m.NewField(field), depth))
		}
	}
}

func filled(field protoreflect.FieldDescriptor, empty protoreflect.Value, depth int) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.MessageKind:
		if depth > 0 {
			fill(empty.Message(), depth-1)
		}
		return empty
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("text of " + string(field.Name()))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("bytes"))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(7)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(7)
	}
	return empty
}

// without clears fields of a message.
func without[M proto.Message](m M, names ...protoreflect.Name) M {
	m = proto.CloneOf(m)
	for _, name := range names {
		m.ProtoReflect().Clear(m.ProtoReflect().Descriptor().Fields().ByName(name))
	}
	return m
}

// A field that is added to the API is in every copy, without anybody thinking of
// it.
func TestCopiesHaveAllFields(t *testing.T) {
	w, c, a, d := &Workload{}, &Config{}, &ApplyRequest{}, &DeleteRequest{}
	for _, m := range []proto.Message{w, c, a, d} {
		fill(m.ProtoReflect(), 3)
	}
	effective := without(w, "configs", "rendered")
	effective.Agent, effective.RuntimeConfig, effective.Files = w.GetRendered().GetAgent(), w.GetRendered().GetRuntimeConfig(), w.GetRendered().GetFiles()
	for name, pair := range map[string][2]proto.Message{
		"workload":           {Shallow(w), w},
		"config":             {Shallow(c), c},
		"apply":              {Shallow(a), a},
		"delete":             {Shallow(d), d},
		"user's workload":    {w.UserPart(), without(w, "created_revision", "revision", "rendered", "displacing")},
		"user's config":      {c.UserPart(), without(c, "created_revision", "revision")},
		"effective workload": {w.Effective(), effective},
	} {
		if !proto.Equal(pair[0], pair[1]) {
			t.Errorf("%s:\n got %v\nwant %v", name, pair[0], pair[1])
		}
	}
	if w.UserPart() == w || w.GetRevision() == 0 {
		t.Error("the original was written to")
	}
	if plain := w.UserPart(); plain.UserPart() != plain {
		t.Error("what is a user's alone was copied")
	}
}

// Whoever adds a field decides which servers may be sent it.
func TestRequestsNeedTheLevelOfTheirFields(t *testing.T) {
	base := map[protoreflect.FullName][]protoreflect.Name{
		"argosy.v1.ApplyRequest":  {"request_id", "workloads", "expected_revision", "must_not_exist", "expected_state_revision", "repeat"},
		"argosy.v1.DeleteRequest": {"request_id", "names", "expected_revision", "ignore_missing", "expected_state_revision", "repeat"},
		"argosy.v1.Workload": {
			"name", "agent", "runtime", "runtime_config", "restart_policy", "tags",
			"rendered", "displacing", "created_revision", "revision", // are not the user's
		},
	}
	for _, of := range []proto.Message{&ApplyRequest{}, &DeleteRequest{}, &Workload{}} {
		fields := of.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			field := fields.Get(i)
			full := of.ProtoReflect().New()
			fill(full, 3)
			only := of.ProtoReflect().New()
			only.Set(field, full.Get(field))
			var have uint32
			switch m := only.Interface().(type) {
			case *ApplyRequest:
				if m.Workloads != nil {
					m.Workloads = []*Workload{{Name: "w"}}
				}
				have = m.NeedsLevel()
			case *DeleteRequest:
				have = m.NeedsLevel()
			case *Workload:
				have = (&ApplyRequest{Workloads: []*Workload{m}}).NeedsLevel()
			}
			want := FeatureConfigs
			if slices.Contains(base[of.ProtoReflect().Descriptor().FullName()], field.Name()) {
				want = FeatureBase
			}
			if have != want {
				t.Errorf("%s needs level %d, want %d", field.FullName(), have, want)
			}
		}
	}
}
