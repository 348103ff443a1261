package mask

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/argosy-cluster/argosy/manifest/tree"
)

// Any is the segment that stands for any one name.
const Any = "*"

// Names at the top of the state and of fields that masks treat apart.
const (
	desiredState   = "desiredState"
	effectiveState = "effectiveState"
	workloadStates = "workloadStates"
	agents         = "agents"
	apiVersion     = "apiVersion"
	tags           = "tags"
	state          = "state"
	subState       = "subState"
)

// Limits of masks.
const (
	// MaxLength is the longest mask, in bytes.
	MaxLength = 4096
	// MaxSegments is the greatest number of segments of a mask: nothing is nested
	// more deeply in a tree that was read.
	MaxSegments = tree.MaxDepth
	// MaxMasks is the greatest number of masks in one request. One that applies a
	// manifest has a mask for each workload.
	MaxMasks = 16384
)

var (
	// ErrInvalid is returned (wrapped) for a text that is not a mask, or too many
	// of them.
	ErrInvalid = errors.New("invalid field mask")
	// ErrNoField is returned (wrapped) by Update for a mask whose field cannot be
	// there.
	ErrNoField = errors.New("no such field")
)

// Mask is a path; each segment is a name or Any. The empty mask is the whole
// state.
type Mask []string

// Parse reads a mask that has at least one segment. Errors wrap ErrInvalid.
func Parse(text string) (Mask, error) {
	if len(text) > MaxLength {
		return nil, fmt.Errorf("%w: '%s...' is %d bytes long, at most %d are allowed: select a field above it", ErrInvalid, shorten(text), len(text), MaxLength)
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("%w: '%s' is not UTF-8: write it with that encoding", ErrInvalid, shorten(text))
	}
	m := Mask(strings.Split(text, "."))
	if len(m) > MaxSegments {
		return nil, fmt.Errorf("%w: '%s' has %d segments, at most %d are allowed: select a field above it", ErrInvalid, shorten(text), len(m), MaxSegments)
	}
	for i, segment := range m {
		if segment == "" {
			return nil, fmt.Errorf("%w: segment %d of '%s' is empty: write names with one dot between them", ErrInvalid, i+1, shorten(text))
		}
		if segment != Any && strings.Contains(segment, Any) {
			return nil, fmt.Errorf("%w: segment %d of '%s' has '*' beside other characters: write '*' alone for any name", ErrInvalid, i+1, shorten(text))
		}
	}
	return m, nil
}

// String returns the mask as it is written.
func (m Mask) String() string { return strings.Join(m, ".") }

// Pair returns the mask that is shown together with this one: of the state of a
// workload's execution its sub-state, and the other way round.
func (m Mask) Pair() (Mask, bool) {
	if len(m) != 5 || (m[0] != workloadStates && m[0] != Any) {
		return nil, false
	}
	switch m[4] {
	case state:
		return Mask{workloadStates, m[1], m[2], m[3], subState}, true
	case subState:
		return Mask{workloadStates, m[1], m[2], m[3], state}, true
	default:
		return nil, false
	}
}

// shown returns the masks that are shown together with this one.
func (m Mask) shown() []Mask {
	var all []Mask
	if pair, ok := m.Pair(); ok {
		all = append(all, pair)
	}
	for _, root := range []string{desiredState, effectiveState} {
		if len(m) > 0 && (m[0] == root || m[0] == Any) {
			all = append(all, Mask{root, apiVersion})
		}
	}
	return all
}

// shorten keeps a wrong text from flooding an error message.
func shorten(s string) string {
	const longest = 80
	if len(s) > longest {
		s = s[:longest]
	}
	return strings.ToValidUTF8(s, "?")
}
