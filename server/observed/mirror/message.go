package mirror

import (
	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

// maxMessage is the size in bytes at which a message is cut; far below the
// 4 MiB that gRPC takes by default.
const maxMessage = 1 << 20

// manyStates is the number of changes in one go above which only the last
// change of each instance is sent. Below it every transition is passed on, so
// that a watch on a follower shows what a watch on the leader shows.
const manyStates = 512

// fullCopy cuts a snapshot into messages.
func fullCopy(snapshot *observed.Snapshot) []*argosyv1.MirrorResponse {
	messages := cut(snapshot.States, snapshot.Agents)
	for at, m := range messages {
		m.Term, m.Sequence = snapshot.Position.Term, snapshot.Position.Sequence
		m.Full, m.Partial = true, at < len(messages)-1
	}
	return messages
}

// changes turns batches into messages that lead from the sequence before them
// to that of the last batch.
func changes(before uint64, batches []observed.Batch) []*argosyv1.MirrorResponse {
	var messages []*argosyv1.MirrorResponse
	for len(batches) > 0 {
		group := batches[:groupLength(batches)]
		batches = batches[len(group):]
		last := group[len(group)-1]
		states, agents := join(group)
		parts := cut(states, agents)
		parts[0].RemovedAgents = last.RemovedAgents
		for at, m := range parts {
			// Only the last part completes the changes up to its number.
			m.Term, m.Sequence = last.Position.Term, before
			if at == len(parts)-1 {
				m.Sequence = last.Position.Sequence
			}
		}
		before = last.Position.Sequence
		messages = append(messages, parts...)
	}
	return messages
}

// groupLength returns how many batches may be sent as one. A batch that removes
// agents stands alone, since removals are applied before all else in a message.
func groupLength(batches []observed.Batch) int {
	for at, b := range batches {
		if len(b.RemovedAgents) > 0 {
			return max(at, 1)
		}
	}
	return len(batches)
}

// join makes one list of states and one of agents out of several batches.
func join(batches []observed.Batch) ([]*argosyv1.WorkloadState, []*argosyv1.AgentStatus) {
	if len(batches) == 1 {
		return batches[0].States, batches[0].Agents
	}
	var states []*argosyv1.WorkloadState
	var agents []*argosyv1.AgentStatus
	for _, b := range batches {
		states = append(states, b.States...)
		agents = append(agents, b.Agents...)
	}
	if len(states) > manyStates {
		states = newest(states, func(s *argosyv1.WorkloadState) string { return s.GetInstance().Key() })
	}
	return states, newest(agents, (*argosyv1.AgentStatus).GetName)
}

// newest keeps the last of all elements with the same key, in order of first
// appearance.
func newest[T any](all []T, key func(T) string) []T {
	at := make(map[string]int, len(all))
	var kept []T
	for _, element := range all {
		k := key(element)
		if i, ok := at[k]; ok {
			kept[i] = element
			continue
		}
		at[k] = len(kept)
		kept = append(kept, element)
	}
	return kept
}

// cut spreads states and agents over messages of a bounded size, at least one.
func cut(states []*argosyv1.WorkloadState, agents []*argosyv1.AgentStatus) []*argosyv1.MirrorResponse {
	current := &argosyv1.MirrorResponse{}
	messages := []*argosyv1.MirrorResponse{current}
	size := 0
	room := func(m proto.Message) {
		need := proto.Size(m) + 8 // tag and length
		if size > 0 && size+need > maxMessage {
			current, size = &argosyv1.MirrorResponse{}, 0
			messages = append(messages, current)
		}
		size += need
	}
	put := func(connected bool) {
		for _, a := range agents {
			if a.GetConnected() == connected {
				room(a)
				current.Agents = append(current.Agents, a)
			}
		}
	}
	// Whoever takes an agent for lost, and may lead before the next message, must
	// know what it may have.
	put(true)
	for _, s := range states {
		room(s)
		current.States = append(current.States, s)
	}
	put(false)
	return messages
}
