package argosyv1

// FeatureLevel is the highest feature level that this code knows. A level
// stands for everything in the replicated log that a replica must know to go
// on; servers of two versions form one cluster, which uses no more than all of
// them know.
//
//	1: everything of the first release
//	2: beacons in the log (Mutation.beacon)
//	3: refusals among the remembered results (WriteResult.refusal)
//	4: configs (ROW_KIND_CONFIG), and workloads with dependencies, configs, files
//	   or a control interface
const FeatureLevel uint32 = 4

// Feature levels that things of the log need.
const (
	// FeatureBase is what every server knows.
	FeatureBase uint32 = 1
	// FeatureBeacons allows Mutation.beacon.
	FeatureBeacons uint32 = 2
	// FeatureRefusals allows WriteResult.refusal in an outcome.
	FeatureRefusals uint32 = 3
	// FeatureConfigs allows rows of configs, and workloads with dependencies,
	// configs, files or a control interface.
	FeatureConfigs uint32 = 4
)

// ActiveLevel returns the feature level that a cluster of these settings is at:
// nothing may be proposed that needs a higher one. Settings that do not exist
// yet, or are of before there were levels, mean the first.
func ActiveLevel(settings *ClusterSettings) uint32 {
	return max(settings.GetFeatureLevel(), FeatureBase)
}

// KnownLevel returns the feature level that somebody has announced; who says
// none is of before there were levels.
func KnownLevel(announced uint32) uint32 { return max(announced, FeatureBase) }

// NeedsLevel returns the feature level that a cluster must be at to do what the
// request asks for. A server that does not know a field would do without it, so
// nothing of a level is sent to anybody before all know it.
func (x *ApplyRequest) NeedsLevel() uint32 {
	if len(x.GetConfigs())+len(x.GetDeleteWorkloads())+len(x.GetDeleteConfigs())+len(x.GetAgentTags())+len(x.GetExpected()) > 0 ||
		x.GetDryRun() || x.GetOnBehalfOf() != nil {
		return FeatureConfigs
	}
	for _, w := range x.GetWorkloads() {
		if len(w.GetDependencies())+len(w.GetConfigs())+len(w.GetFiles()) > 0 || w.GetControlInterfaceAccess() != nil {
			return FeatureConfigs
		}
	}
	return FeatureBase
}

// NeedsLevel is that of a request to delete.
func (x *DeleteRequest) NeedsLevel() uint32 {
	if len(x.GetConfigs()) > 0 || x.GetDryRun() {
		return FeatureConfigs
	}
	return FeatureBase
}
