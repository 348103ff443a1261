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
	// workloadKinds may end or stop workloads.
	workloadKinds = []string{"kill-workload", "power-agent", "kill-podman", "kill-keeper"}
	// clientKinds may cut clients off from the servers.
	clientKinds = []string{"halves", "slow-network", "reset-connections"}
	// lonelyKinds leave agents without any server.
	lonelyKinds = []string{"kill-all", "power-all", "isolate-all", "cut-agent"}
)

func onlyNetwork(kind string) bool { return slices.Contains(networkKinds, kind) }
