package planted

// Bug is the name of a bug.
type Bug string

// The bugs, by what they break.
const (
	// NoFlush writes the log without flushing it.
	NoFlush Bug = "no-flush"
	// EarlyAnswer answers a write when it is proposed, before a majority has it.
	EarlyAnswer Bug = "early-answer"
	// StaleRead answers linearizable reads before this replica has caught up.
	StaleRead Bug = "stale-read"
	// LeaseRead lets a leader answer reads without asking whether it still leads.
	LeaseRead Bug = "lease-read"
	// NoMemory carries a request out again that is repeated.
	NoMemory Bug = "no-memory"
	// LateCompare compares expected revisions with what is committed, not with
	// what is in flight.
	LateCompare Bug = "late-compare"
	// LostChange leaves out a change when a watch is resumed.
	LostChange Bug = "lost-change"
	// RepeatedChange shows a change again when a watch is resumed.
	RepeatedChange Bug = "repeated-change"
	// ForgottenVote lets a server vote twice in a term.
	ForgottenVote Bug = "forgotten-vote"
	// FlippedBit believes everything that is read from the disk.
	FlippedBit Bug = "flipped-bit"
	// LostRow leaves a row out when a snapshot is restored.
	LostRow Bug = "lost-row"
	// ShortSnapshot leaves a row out when a snapshot is written.
	ShortSnapshot Bug = "short-snapshot"
	// DeafLeader goes on with heartbeats while its disk does not answer.
	DeafLeader Bug = "deaf-leader"
	// LoneAccuser takes leadership when it alone does not hear the leader.
	LoneAccuser Bug = "lone-accuser"
	// SealedTwice stores the checksum of an entry in the entry that others are sent.
	SealedTwice Bug = "sealed-twice"
	// OlderSnapshot leaves out of a snapshot what the last entry has written, and
	// hashes what is left.
	OlderSnapshot Bug = "older-snapshot"
	// OwnAuthority answers linearizable reads when no leader can be asked.
	OwnAuthority Bug = "own-authority"
	// EarlyMove starts a workload on its new agent before the old one has removed
	// it.
	EarlyMove Bug = "early-move"
	// EmptyMemory has a new leader begin as if no agent had anything.
	EmptyMemory Bug = "empty-memory"
	// HastyHeir gives an agent that comes to a leader the workloads of those that
	// have not come yet.
	HastyHeir Bug = "hasty-heir"
	// EarlyStart starts the new version of a workload beside the old one.
	EarlyStart Bug = "early-start"
	// NewBroom restarts all workloads of an agent that finds a leader again.
	NewBroom Bug = "new-broom"
	// Abandon removes all workloads of an agent that loses its leader.
	Abandon Bug = "abandon"
	// Orphan leaves running what was unassigned while the agent was away.
	Orphan Bug = "orphan"
	// RepeatedLine reads a log from its beginning again when the keeper that writes
	// it is followed by another.
	RepeatedLine Bug = "repeated-line"
	// TakenForCurrent takes an agent that comes back for current.
	TakenForCurrent Bug = "taken-for-current"
	// LeftBehind leaves a goroutine behind with every read.
	LeftBehind Bug = "left-behind"
	// FalseAlarm logs as an error what is none.
	FalseAlarm Bug = "false-alarm"
	// EarlyBird starts a workload without waiting for what it depends on.
	EarlyBird Bug = "early-bird"
	// EarlyEnd stops a workload without waiting for those that depend on it.
	EarlyEnd Bug = "early-end"
	// OldConfigs renders the workloads that use a config with what it was before the
	// write.
	OldConfigs Bug = "old-configs"
	// LostEvent tells nothing of what changed before a subscription started again.
	LostEvent Bug = "lost-event"
	// HastyLevel has a leader use what a server that it does not hear may not know.
	HastyLevel Bug = "hasty-level"
	// LostSession forgets the sessions of workloads when their agent is started again.
	LostSession Bug = "lost-session"
	// RashAgent acknowledges what a workload changes before the servers have it.
	RashAgent Bug = "rash-agent"
	// OldOrders lets agents obey a leader that was replaced.
	OldOrders Bug = "old-orders"
)

// All returns all bugs.
func All() []Bug {
	return []Bug{
		NoFlush, EarlyAnswer, StaleRead, LeaseRead, NoMemory, LateCompare, LostChange, RepeatedChange, ForgottenVote, FlippedBit,
		LostRow, ShortSnapshot, SealedTwice, OlderSnapshot, OwnAuthority, DeafLeader, LoneAccuser, EarlyMove, EmptyMemory, HastyHeir, EarlyStart,
		NewBroom, Abandon, Orphan, TakenForCurrent, LeftBehind, FalseAlarm, EarlyBird, EarlyEnd, HastyLevel, OldOrders, RepeatedLine,
		OldConfigs, LostEvent, LostSession, RashAgent,
	}
}

// Variable is the name of the variable of the environment that names the bug to
// be had, in programs that have them.
const Variable = "ARGOSY_PLANTED"
