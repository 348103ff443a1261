package writer

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/manifest"
	"github.com/argosy-cluster/argosy/manifest/mask"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// onBehalf refuses what an agent asks for on behalf of an instance that is not to
// run on it, or that may write nothing of an object. Which parts of it may be
// written is judged at the agent, which knows the request as the workload made it:
// this is what is left when the agent cannot be trusted. That nobody but the agent
// asks is judged where the call comes in.
func (d *draft) onBehalf() refuse {
	instance := d.request.Apply.GetOnBehalfOf()
	if instance == nil {
		return nil
	}
	row := d.Row(kindWorkload, instance.GetWorkload())
	if !row.Exists {
		return forbidden(instance, "there is no such workload")
	}
	w := &argosyv1.Workload{}
	if err := proto.Unmarshal(row.Value, w); err != nil {
		return damaged("workload", instance.GetWorkload(), err)
	}
	asked := argosyv1.InstanceOf(w)
	switch {
	case asked.GetAgent() != instance.GetAgent() || asked.GetAgent() == "":
		return forbidden(instance, "it is to run on agent '%s', not on '%s'", asked.GetAgent(), instance.GetAgent())
	case asked.GetId() != instance.GetId():
		return forbidden(instance, "its instance is %s now, not %s", asked.GetId(), instance.GetId())
	}
	rules, err := manifest.AccessRules(w.GetControlInterfaceAccess())
	if err != nil {
		return damaged("rules of workload", instance.GetWorkload(), err)
	}
	for _, object := range touched(d.request.Apply) {
		if !rules.MayTouch(object) {
			return forbidden(instance, "none of its rules allows it to write anything of %s (controlInterfaceAccess)", object)
		}
	}
	return nil
}

// touched returns the masks of the objects that a request is about.
func touched(r *argosyv1.ApplyRequest) []mask.Mask {
	var all []mask.Mask
	for _, w := range r.GetWorkloads() {
		all = append(all, mask.Mask{"desiredState", "workloads", w.GetName()})
	}
	for _, name := range r.GetDeleteWorkloads() {
		all = append(all, mask.Mask{"desiredState", "workloads", name})
	}
	for _, c := range r.GetConfigs() {
		all = append(all, mask.Mask{"desiredState", "configs", c.GetKey()})
	}
	for _, key := range r.GetDeleteConfigs() {
		all = append(all, mask.Mask{"desiredState", "configs", key})
	}
	for _, t := range r.GetAgentTags() {
		all = append(all, mask.Mask{"agents", t.GetAgent(), "tags"})
	}
	return all
}

func forbidden(instance *argosyv1.InstanceName, format string, args ...any) refuse {
	err := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN, "apply on behalf of workload %q: %s", instance.GetWorkload(), fmt.Sprintf(format, args...))
	err.Detail.Conditional = true
	return func() error { return err }
}
