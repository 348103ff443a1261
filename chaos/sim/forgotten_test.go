package sim

import "testing"

const (
	handover = `goroutine 226716 [chan receive (durable), synctest bubble 1]:
github.com/hashicorp/raft.(*Raft).leaderLoop.func2()
	github.com/hashicorp/raft@v1.7.3/raft.go:733 +0x90a
created by github.com/hashicorp/raft.(*Raft).leaderLoop in goroutine 223747
	github.com/hashicorp/raft@v1.7.3/raft.go:725 +0x8e5

goroutine 226717 [chan send (durable), synctest bubble 1]:
github.com/hashicorp/raft.(*Raft).leadershipTransfer(0x2e0f5f897608, {0x2e0f5f80b7d0, 0x24})
	github.com/hashicorp/raft@v1.7.3/raft.go:1002 +0x129
created by github.com/hashicorp/raft.(*Raft).leaderLoop in goroutine 223747
	github.com/hashicorp/raft@v1.7.3/raft.go:783 +0x2537`
	query = `goroutine 34476 [select (durable), 3 minutes, synctest bubble 1]:
github.com/hashicorp/raft.(*deferError).Error(...)
	github.com/hashicorp/raft@v1.7.3/future.go:113
github.com/argosy-cluster/argosy/server/consensus.(*Node).confirm.func1()
	github.com/argosy-cluster/argosy/server/consensus/readindex.go:215 +0x62
created by github.com/argosy-cluster/argosy/server/consensus.(*Node).confirm in goroutine 32764
	github.com/argosy-cluster/argosy/server/consensus/readindex.go:213 +0x125`
	proposal = `goroutine 38809 [select (durable), synctest bubble 1]:
github.com/hashicorp/raft.(*deferError).Error(...)
	github.com/hashicorp/raft@v1.7.3/future.go:113
github.com/argosy-cluster/argosy/server/consensus.(*Node).ProposeIn.func1()
	github.com/argosy-cluster/argosy/server/consensus/propose.go:77 +0xba
created by github.com/argosy-cluster/argosy/server/consensus.(*Node).ProposeIn in goroutine 38048
	github.com/argosy-cluster/argosy/server/consensus/propose.go:74 +0x385`
	ours = `goroutine 7 [select (durable), synctest bubble 1]:
github.com/argosy-cluster/argosy/server.(*Server).wait()
	github.com/argosy-cluster/argosy/server/server.go:1 +0x1
created by github.com/hashicorp/raft.(*Raft).leadershipTransfer( in goroutine 1
	github.com/argosy-cluster/argosy/server/server.go:2 +0x1`
	over = "deadlock: main bubble goroutine has exited but blocked goroutines remain"
)

func TestOnlyWhatTheLibraryForgetsIsForgiven(t *testing.T) {
	for name, tc := range map[string]struct {
		cause, stacks string
		want          bool
	}{
		"what the library forgets":      {over, handover + "\n\n" + query + "\n\n" + proposal, true},
		"something of ours beside it":   {over, handover + "\n\n" + ours, false},
		"something of ours":             {over, ours, false},
		"while the simulation goes on":  {"deadlock: all goroutines in bubble are blocked", handover, false},
		"a panic":                       {"index out of range", query, false},
		"nothing that could be read of": {over, "", false},
	} {
		if got := forgotten(tc.cause, tc.stacks); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
