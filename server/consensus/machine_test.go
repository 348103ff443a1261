package consensus

import "github.com/argosy-cluster/argosy/fsm"

// The machine that the servers run.
var _ Machine = (*fsm.Machine)(nil)
