package check

import "slices"

// Kinds of faults, by what follows of them. They are those of package plan, which
// is not imported: a history must be judged as it was made, whatever kinds there
// are later.
var (
	// networkKinds touch no process and no disk.
	networkKinds = []string{
		"cut-leader", "halves", "bridge", "ring", "cut-in", "cut-out", "cut-pair", "isolate-all", "swizzle", "slow-network",
		"black-hole", "flap", "reset-connections", "narrow-network", "cut-agent", "transfer-leader",
	}
	// spoilingKinds damage what a server has on disk.
	spoilingKinds = []string{"flip-bits", "cut-file", "old-file", "wipe-server"}
	// workloadKinds end workloads.
	workloadKinds = []string{"kill-workload", "power-agent", "kill-for-memory"}
	// goneKinds end agents.
	goneKinds = []string{"kill-agent", "power-agent"}
	// fullKinds leave no room for what is written.
	fullKinds = []string{"fill-disk"}
	// slowKinds keep workloads from giving signs of life.
	slowKinds = []string{"pause-agent", "starve-server", "squeeze-memory"}
	// clientKinds may cut clients off from the servers.
	clientKinds = []string{"halves", "slow-network", "reset-connections", "bridge"}
)

func onlyNetwork(kind string) bool { return slices.Contains(networkKinds, kind) }
