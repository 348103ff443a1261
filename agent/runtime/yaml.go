package runtime

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml"
)

// TellYAML turns what the YAML library says of a runtime configuration into one line
// for who wrote it: where it is wrong, and in words of YAML, where the library has
// those of Go, which kind of value is wanted.
func TellYAML(err error) error {
	detailed, ok := errors.AsType[yaml.Error](err)
	if !ok || detailed.GetToken() == nil {
		return err
	}
	text := detailed.GetMessage()
	if wrong, ok := errors.AsType[*yaml.TypeError](err); ok {
		text = fmt.Sprintf("found %s, want %s", kindOf(wrong.SrcType), kindOf(wrong.DstType))
	}
	position := detailed.GetToken().Position
	return fmt.Errorf("line %d, column %d: %s", position.Line, position.Column, text)
}

// kindOf names a kind of YAML value by the type of Go that it is read into.
func kindOf(t reflect.Type) string {
	if t == nil {
		return "nothing"
	}
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "a mapping"
	case reflect.Bool:
		return "true or false"
	default:
		return "a number"
	}
}
