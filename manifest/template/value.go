package template

import (
	"maps"
	"slices"
)

// Value is what a name in a template stands for: a Text, a List or a Map, the
// three things that a configuration item can be. A nil Value counts as missing.
// Values are read only, and may be shared by any number of renderings.
type Value interface{ isValue() }

// Text is a text. It is true in a condition unless it is empty: "false" and "0"
// are true.
type Text string

// List holds values in their order.
type List []Value

// Map holds values by name. It is gone through in the order of its keys' bytes.
type Map map[string]Value

// Values that only a template itself makes, by literals, helpers and @names.
type (
	integer int64
	float   float64
	boolean bool
	null    struct{}
)

func (Text) isValue()    {}
func (List) isValue()    {}
func (Map) isValue()     {}
func (integer) isValue() {}
func (float) isValue()   {}
func (boolean) isValue() {}
func (null) isValue()    {}

// truthy tells what a value counts as in a condition.
func truthy(v Value) bool {
	switch v := v.(type) {
	case Text:
		return v != ""
	case List:
		return len(v) > 0
	case Map:
		return len(v) > 0
	case boolean:
		return bool(v)
	case integer:
		return v != 0
	case float:
		return v != 0
	}
	return false
}

// kind names what a value is, for messages.
func kind(v Value) string {
	switch v.(type) {
	case Text:
		return "a text"
	case List:
		return "a list"
	case Map:
		return "a map"
	case boolean:
		return "true or false"
	case integer, float:
		return "a number"
	}
	return "null"
}

// field returns what name stands for in a map, or the value at that position of
// a list; nil if there is none.
func field(v Value, name string) Value {
	switch v := v.(type) {
	case Map:
		return v[name]
	case List:
		if i, ok := index(name); ok && i < len(v) {
			return v[i]
		}
	}
	return nil
}

// index reads the position of a list from a path.
func index(name string) (int, bool) {
	if name == "" || len(name) > 9 {
		return 0, false
	}
	n := 0
	for _, c := range []byte(name) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

func sortedKeys(m Map) []string { return slices.Sorted(maps.Keys(m)) }
