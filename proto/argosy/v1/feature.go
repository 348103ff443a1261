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
