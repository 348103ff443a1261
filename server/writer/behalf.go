package writer

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// onBehalf refuses what an agent asks for on behalf of an instance that is not to
// run on it, or that may write nothing. Whether the masks of its rules allow this
// very write is judged at the agent, which knows the request as the workload made
// it; that nobody but the agent asks is judged where the call comes in.
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
	case !mayWrite(w.GetControlInterfaceAccess()):
		return forbidden(instance, "none of its rules allows it to write (controlInterfaceAccess)")
	}
	return nil
}

// mayWrite tells whether any rule allows to write anything.
func mayWrite(access *argosyv1.ControlInterfaceAccess) bool {
	for _, rule := range access.GetAllowRules() {
		switch rule.GetState().GetOperation() {
		case argosyv1.AccessOperation_ACCESS_OPERATION_WRITE, argosyv1.AccessOperation_ACCESS_OPERATION_READ_WRITE:
			return true
		}
	}
	return false
}

func forbidden(instance *argosyv1.InstanceName, format string, args ...any) refuse {
	err := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN, "apply on behalf of workload %q: %s", instance.GetWorkload(), fmt.Sprintf(format, args...))
	err.Detail.Conditional = true
	return func() error { return err }
}
