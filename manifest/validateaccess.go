package manifest

import (
	"fmt"

	"github.com/argosy-cluster/argosy/manifest/access"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func validateAccess(w *argosyv1.Workload) *FieldError {
	given := w.GetControlInterfaceAccess()
	if given == nil {
		return nil
	}
	_, err := compileAccess(given)
	return err
}

// AccessRules makes the rules of a workload ready to judge by. It fails with
// ErrInvalid.
func AccessRules(given *argosyv1.ControlInterfaceAccess) (*access.Rules, error) {
	rules, err := compileAccess(given)
	if err != nil {
		return nil, err
	}
	return rules, nil
}

func compileAccess(given *argosyv1.ControlInterfaceAccess) (*access.Rules, *FieldError) {
	const path = "controlInterfaceAccess"
	allow, err := accessList(given.GetAllowRules(), path+".allowRules")
	if err != nil {
		return nil, err
	}
	deny, err := accessList(given.GetDenyRules(), path+".denyRules")
	if err != nil {
		return nil, err
	}
	rules, problem := access.Compile(allow, deny)
	if problem != nil {
		return nil, wrongRules(given, path, problem)
	}
	return rules, nil
}

// accessList makes of the rules what is judged by.
func accessList(rules []*argosyv1.AccessRule, path string) (access.List, *FieldError) {
	var list access.List
	for i, rule := range rules {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch kind := rule.GetKind().(type) {
		case *argosyv1.AccessRule_State:
			operation, ok := accessOperations[kind.State.GetOperation()]
			if !ok {
				return list, wrong(at+".operation", "%d is not an operation: use %s", kind.State.GetOperation(), alternatives(operations))
			}
			if len(kind.State.GetFilterMasks()) == 0 {
				return list, wrong(at+".filterMasks", "Empty filter masks are not allowed in Control Interface access rules")
			}
			list.State = append(list.State, access.StateRule{Operation: operation, Masks: kind.State.GetFilterMasks()})
		case *argosyv1.AccessRule_Log:
			if len(kind.Log.GetWorkloadNames()) == 0 {
				return list, wrong(at+".workloadNames", "is empty: name workloads, or '*' for all")
			}
			list.Logs = append(list.Logs, access.LogRule{Workloads: kind.Log.GetWorkloadNames()})
		default:
			return list, wrong(at, "an access rule needs a type: %s or %s", ruleOfState, ruleOfLogs)
		}
	}
	return list, nil
}

var accessOperations = map[argosyv1.AccessOperation]access.Operation{
	argosyv1.AccessOperation_ACCESS_OPERATION_NOTHING:    access.Nothing,
	argosyv1.AccessOperation_ACCESS_OPERATION_READ:       access.Read,
	argosyv1.AccessOperation_ACCESS_OPERATION_WRITE:      access.Write,
	argosyv1.AccessOperation_ACCESS_OPERATION_READ_WRITE: access.ReadWrite,
}

// wrongRules says which entry of which rule is the cause of an error; where it
// is none alone, or there are too many to look at, the rules are.
func wrongRules(given *argosyv1.ControlInterfaceAccess, path string, cause error) *FieldError {
	looked := 0
	for _, list := range []struct {
		name  string
		rules []*argosyv1.AccessRule
	}{{"allowRules", given.GetAllowRules()}, {"denyRules", given.GetDenyRules()}} {
		for i, rule := range list.rules {
			at := fmt.Sprintf("%s.%s[%d]", path, list.name, i)
			looked += 1 + len(rule.GetState().GetFilterMasks()) + len(rule.GetLog().GetWorkloadNames())
			if looked > access.MaxRules+access.MaxEntries {
				return wrong(path, "%s", cause.Error())
			}
			for j, mask := range rule.GetState().GetFilterMasks() {
				if _, err := access.Compile(access.List{State: []access.StateRule{{Masks: []string{mask}}}}, access.List{}); err != nil {
					return wrong(fmt.Sprintf("%s.filterMasks[%d]", at, j), "%s", err.Error())
				}
			}
			for j, name := range rule.GetLog().GetWorkloadNames() {
				if _, err := access.Compile(access.List{Logs: []access.LogRule{{Workloads: []string{name}}}}, access.List{}); err != nil {
					return wrong(fmt.Sprintf("%s.workloadNames[%d]", at, j), "%s", err.Error())
				}
			}
		}
	}
	return wrong(path, "%s", cause.Error())
}
