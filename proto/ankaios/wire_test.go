package ankaios

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// The wire is an interop fact: workloads in the field have it built in.
func TestTheWireStaysAsItIs(t *testing.T) {
	want, err := os.ReadFile("testdata/wire.txt")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, file := range []protoreflect.FileDescriptor{File_ankaios_ank_base_proto, File_ankaios_control_api_proto} {
		for i := range file.Messages().Len() {
			got = append(got, describeMessage(file.Messages().Get(i)))
		}
		for i := range file.Enums().Len() {
			got = append(got, describeEnum(file.Enums().Get(i)))
		}
	}
	slices.Sort(got)
	if text := strings.Join(got, "\n") + "\n"; text != string(want) {
		t.Errorf("testdata/wire.txt says otherwise; the wire is:\n%s", text)
	}
}

func describeMessage(m protoreflect.MessageDescriptor) string {
	text := string(m.FullName())
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		text += fmt.Sprintf(" %s:%d:%s", field.Name(), field.Number(), describeType(field))
		if oneof := field.ContainingOneof(); oneof != nil {
			text += ":" + strings.TrimPrefix(string(oneof.Name()), "_"+string(field.Name()))
		}
	}
	return text
}

func describeType(field protoreflect.FieldDescriptor) string {
	if field.IsMap() {
		return "map<" + describeType(field.MapKey()) + "," + describeType(field.MapValue()) + ">"
	}
	text := field.Kind().String()
	if field.Message() != nil {
		text = string(field.Message().FullName())
	} else if field.Enum() != nil {
		text = string(field.Enum().FullName())
	}
	switch {
	case field.IsList():
		text += "[]"
	case field.HasOptionalKeyword():
		text += "?"
	}
	return text
}

func describeEnum(e protoreflect.EnumDescriptor) string {
	text := string(e.FullName())
	for i := range e.Values().Len() {
		text += fmt.Sprintf(" %s=%d", e.Values().Get(i).Name(), e.Values().Get(i).Number())
	}
	return text
}
