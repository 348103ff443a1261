package writer

import (
	"fmt"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// deleteConfigs drafts that configs are deleted. Whether somebody uses them is
// found out with the workloads.
func (d *draft) deleteConfigs() refuse {
	_, keys := d.request.deletes()
	for _, key := range keys {
		if d.items == nil {
			d.items = make(map[string]*argosyv1.ConfigItem, len(keys))
		}
		d.items[key] = nil
		before, did := d.remove(kindConfig, key)
		if why := d.mayDelete(rowKey{kindConfig, key}, before); why != nil {
			return why
		}
		if before.Exists {
			d.removed = append(d.removed, key)
		}
		d.result.Configs = append(d.result.Configs, &argosyv1.ConfigChange{Key: key, Kind: did})
	}
	return nil
}

func (d *draft) deleteWorkloads() refuse {
	names, _ := d.request.deletes()
	for _, name := range names {
		before, did := d.remove(kindWorkload, name)
		if why := d.mayDelete(rowKey{kindWorkload, name}, before); why != nil {
			return why
		}
		change := &argosyv1.WorkloadChange{Name: name, Kind: did}
		if before.Exists {
			was := sketchOf(before.Value)
			change.Agent, change.InstanceId = string(was.agent), was.instance()
			change.Effect = was.effect(&sketch{})
		}
		d.result.Changes = append(d.result.Changes, change)
	}
	return nil
}

// mayDelete judges one object of a Delete; an Apply has its conditions elsewhere.
func (d *draft) mayDelete(key rowKey, before Row) refuse {
	r := d.request.Delete
	switch {
	case r == nil:
	case !before.Exists && !r.GetIgnoreMissing():
		return func() error {
			kind := map[argosyv1.RowKind]string{kindWorkload: "workload", kindConfig: "config"}[key.kind]
			return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "delete %s: there is no such %s", objectName(key), kind)
		}
	case before.Exists && r.GetExpectedRevision() != 0 && !before.is(r.GetExpectedRevision()):
		return conflict("delete", key, before, fmt.Sprintf("expected revision %d", r.GetExpectedRevision()))
	}
	return nil
}
