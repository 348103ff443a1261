package mask

import (
	"errors"
	"fmt"

	"github.com/argosy-cluster/argosy/manifest/tree"
)

// Update returns the current state with what the masks name taken from another
// one: a field that the other has is set, one that it does not have is removed. No
// masks (the empty mask) replace the desired state as a whole, and the tags of the
// agents that both have. "*" in a mask is just a name. Masks for workloadStates and
// effectiveState are passed by.
//
// It fails with ErrNoField, and the text that users know, when a field would have
// to be removed from, or set in, something that is not there or not a map; then
// nothing is changed. Whether the result is a valid state is not judged.
func Update(current, other *tree.Node, masks *Set) (*tree.Node, error) {
	result := current
	for _, m := range masks.masks {
		var err error
		if result, err = updateOne(result, other, m); err != nil {
			return nil, err
		}
	}
	return result, nil
}

func updateOne(current, other *tree.Node, m Mask) (*tree.Node, error) {
	switch {
	case len(m) == 0:
		return replaceAll(current, other)
	case m[0] == workloadStates || m[0] == effectiveState:
		return current, nil
	case m[0] == agents:
		return updateAgents(current, other, m)
	case m[0] == desiredState:
		return put(current, other.Get(m...), m)
	default:
		// The state has no such field: it can only be removed.
		return put(current, nil, m)
	}
}

func replaceAll(current, other *tree.Node) (*tree.Node, error) {
	result, err := put(current, other.Get(desiredState), Mask{desiredState})
	if err != nil {
		return nil, err
	}
	return updateAgents(result, other, Mask{agents})
}

// updateAgents changes tags of agents that are there.
func updateAgents(current, other *tree.Node, m Mask) (*tree.Node, error) {
	switch {
	case len(m) == 1:
		for name := range other.Get(agents).Children() {
			var err error
			if current, err = updateAgents(current, other, Mask{agents, name}); err != nil {
				return nil, err
			}
		}
		return current, nil
	case current.Get(agents, m[1]) == nil:
		if len(m) == 2 || other.Get(m...) != nil {
			return current, nil
		}
		return put(current, nil, m)
	case len(m) == 2:
		if other.Get(agents, m[1]) == nil {
			return current, nil
		}
		m = Mask{agents, m[1], tags}
	}
	if m[2] != tags {
		return current, nil
	}
	return put(current, other.Get(m...), m)
}

// put sets a field, or removes it when the value is nil.
func put(current, value *tree.Node, m Mask) (*tree.Node, error) {
	var result *tree.Node
	var err error
	if value == nil {
		result, err = current.Delete(m...)
	} else {
		result, err = current.Set(value, m...)
	}
	if errors.Is(err, tree.ErrNoField) {
		return nil, &noField{mask: m.String(), cause: err}
	}
	return result, err
}

// noField has the text that users of the reference know.
type noField struct {
	mask  string
	cause error
}

func (e *noField) Error() string { return fmt.Sprintf("Could not find field %s", e.mask) }

func (e *noField) Unwrap() []error { return []error{ErrNoField, e.cause} }
