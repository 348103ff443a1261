package argosyv1

import (
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Shallow returns a copy of a message without some of its fields. It shares with
// the original whatever they hold: both are for reading, but for the fields that
// the caller sets anew.
func Shallow[M proto.Message](m M, without ...protoreflect.Name) M {
	from := m.ProtoReflect()
	to := from.New()
	from.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if !slices.Contains(without, field.Name()) {
			to.Set(field, value)
		}
		return true
	})
	to.SetUnknown(from.GetUnknown())
	return to.Interface().(M)
}

// UserPart returns a workload without the fields that only the servers fill in:
// itself when it has none of them, otherwise a copy that shares everything else
// with it.
func (x *Workload) UserPart() *Workload {
	if x.GetCreatedRevision() == 0 && x.GetRevision() == 0 && x.GetRendered() == nil && !x.GetDisplacing() {
		return x
	}
	return Shallow(x, "created_revision", "revision", "rendered", "displacing")
}

// UserPart is that of a config, like that of a workload.
func (x *Config) UserPart() *Config {
	if x.GetCreatedRevision() == 0 && x.GetRevision() == 0 {
		return x
	}
	return Shallow(x, "created_revision", "revision")
}
