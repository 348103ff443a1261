package sessions

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of fields of Workload.
const (
	fieldDependencies  = 7
	fieldFiles         = 9
	fieldControlAccess = 10
)

// hasDependencies tells whether an encoded workload has dependencies.
func hasDependencies(value []byte) bool { return hasField(value, fieldDependencies) }

// needsAbilities tells whether an encoded workload needs an agent that can do more
// than those of the first release.
func needsAbilities(value []byte) bool {
	return hasField(value, fieldDependencies, fieldFiles, fieldControlAccess)
}

// hasField tells whether an encoded message has one of some fields, without
// decoding it: a new leader looks at every workload.
func hasField(value []byte, numbers ...protowire.Number) bool {
	for len(value) > 0 {
		number, kind, length := protowire.ConsumeTag(value)
		if length < 0 {
			return false
		}
		if slices.Contains(numbers, number) {
			return true
		}
		value = value[length:]
		if length = protowire.ConsumeFieldValue(number, kind, value); length < 0 {
			return false
		}
		value = value[length:]
	}
	return false
}
