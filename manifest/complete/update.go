package complete

import (
	"fmt"

	"github.com/argosy-cluster/argosy/manifest"
	"github.com/argosy-cluster/argosy/manifest/mask"
	"github.com/argosy-cluster/argosy/manifest/tree"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Update returns the write that takes what masks name from another state: objects
// to put, and those to delete, each with the revision that the view has of it, so
// that a write that lost a race is refused (CONFLICT) and can be judged again by
// what is there then. The view must have all that the masks name. It returns nil
// when nothing changes.
//
// Errors are those of mask.Update (mask.ErrNoField: "Could not find field F"), also
// for an agent that is given something and is not there, and manifest.ErrInvalid for
// what is no state: of another version, or with fields of another kind.
func (v *View) Update(state *tree.Node, masks *mask.Set) (*argosyv1.ApplyRequest, error) {
	if desired := state.Child(desiredState); desired.Len() > 0 {
		if err := checkVersion(desired); err != nil {
			return nil, err
		}
	}
	before := v.Tree()
	if err := checkAgents(before, state, masks); err != nil {
		return nil, err
	}
	after, err := mask.Update(before, state, masks)
	if err != nil {
		return nil, err
	}
	if err := checkVersion(after.Child(desiredState)); err != nil {
		return nil, err
	}
	u := &update{revisions: v.revisions, request: &argosyv1.ApplyRequest{}}
	u.compare(before, after, []string{desiredState, workloads}, u.workload)
	u.compare(before, after, []string{desiredState, configs}, u.config)
	u.compare(before, after, []string{agents}, u.agent)
	if u.failure != nil {
		return nil, u.failure
	}
	if len(u.request.GetExpected()) == 0 {
		return nil, nil
	}
	return u.request, nil
}

// checkVersion refuses what is not a desired state of this version.
func checkVersion(desired *tree.Node) error {
	if version := desired.Child(apiVersion).Text(); version != manifest.APIVersion {
		return fmt.Errorf("%w: Unsupported API version. Received '%s', expected '%s'", manifest.ErrInvalid, shorten(version), manifest.APIVersion)
	}
	return nil
}

// checkAgents refuses to give something to an agent that is not there: it would be
// lost without a word.
func checkAgents(before, state *tree.Node, masks *mask.Set) error {
	for _, m := range masks.Masks() {
		if len(m) > 1 && m[0] == agents && before.Get(agents, m[1]) == nil && state.Get(m...) != nil {
			return fmt.Errorf("%w: Could not find field %s: no agent '%s' is connected", mask.ErrNoField, m, shorten(m[1]))
		}
	}
	return nil
}

// update gathers a write.
type update struct {
	revisions map[object]uint64
	request   *argosyv1.ApplyRequest
	failure   error
}

// compare calls change for what differs in a map by name; after is nil for what is
// gone.
func (u *update) compare(before, after *tree.Node, path []string, change func(name string, after *tree.Node) error) {
	was, is := before.Get(path...), after.Get(path...)
	if is != nil && is.Kind() != tree.Map {
		u.fail(fmt.Errorf("%w: %s is %s, it must be a mapping", manifest.ErrInvalid, mask.Mask(path), is.Kind()))
		return
	}
	tree.Changed(was, is, func(name string, was, is *tree.Node) {
		if !tree.Equal(was, is) {
			u.fail(change(name, is))
		}
	})
}

func (u *update) fail(err error) {
	if u.failure == nil {
		u.failure = err
	}
}

// expect makes the write depend on an object being as the view has it.
func (u *update) expect(kind argosyv1.ObjectKind, name string) {
	u.request.Expected = append(u.request.Expected, &argosyv1.ExpectedRevision{Kind: kind, Name: name, Revision: u.revisions[object{kind, name}]})
}

func (u *update) workload(name string, after *tree.Node) error {
	u.expect(kindWorkload, name)
	if after == nil {
		u.request.DeleteWorkloads = append(u.request.DeleteWorkloads, name)
		return nil
	}
	w, err := workloadOf(name, after)
	if err != nil {
		return err
	}
	u.request.Workloads = append(u.request.Workloads, w)
	return nil
}

func (u *update) config(key string, after *tree.Node) error {
	u.expect(kindConfig, key)
	if after == nil {
		u.request.DeleteConfigs = append(u.request.DeleteConfigs, key)
		return nil
	}
	u.request.Configs = append(u.request.Configs, &argosyv1.Config{Key: key, Value: itemOf(after)})
	return nil
}

func (u *update) agent(name string, after *tree.Node) error {
	u.expect(kindAgent, name)
	given := &argosyv1.Tags{}
	if after.Child(tags) != nil {
		r := &reader{}
		if given.Tags = r.texts(after.Child(tags), tags); r.failure != nil {
			return fmt.Errorf("%w: agent '%s', field '%s': %s", manifest.ErrInvalid, shorten(name), r.failure.Field, r.failure.Reason)
		}
	}
	u.request.AgentTags = append(u.request.AgentTags, &argosyv1.AgentTags{Agent: name, Tags: given})
	return nil
}
