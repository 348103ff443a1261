package argosyv1

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
)

// displacing is the field of that name of an encoded Workload. It stands at the
// end, so that it can be put there, looked for and taken away without decoding
// the rest: a new leader looks at all workloads before it does anything else.
var displacing = protowire.AppendVarint(protowire.AppendTag(nil, displacingField, protowire.VarintType), 1)

// displacingField is the number of Workload.displacing, the highest that a user or
// a leader sets.
const displacingField = 13

// MarkDisplacing returns a copy of an encoded Workload with displacing set.
func MarkDisplacing(workload []byte) []byte {
	return append(bytes.Clone(workload), displacing...)
}

// IsDisplacing tells whether MarkDisplacing made an encoded Workload. It errs,
// if at all, to yes.
func IsDisplacing(workload []byte) bool { return bytes.HasSuffix(workload, displacing) }

// SameButDisplacing tells whether an encoded Workload is another one, marked or
// not.
func SameButDisplacing(workload, unmarked []byte) bool {
	return bytes.Equal(workload, unmarked) ||
		IsDisplacing(workload) && bytes.Equal(workload[:len(workload)-len(displacing)], unmarked)
}
