package complete

import (
	"time"

	"github.com/argosy-cluster/argosy/manifest/tree"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Mirror is a view that follows a watch. Any number of observers may look at one.
type Mirror struct {
	view *View
	// lives counts the snapshots that the watch has begun with.
	lives      uint64
	inSnapshot bool
	// awaited is the highest revision of an object of which the message that
	// completes it has not come.
	awaited  uint64
	revision uint64
	time     time.Time
}

// NewMirror returns a mirror that has seen nothing.
func NewMirror() *Mirror { return &Mirror{view: New()} }

// Take takes in a message of a watch, and tells whether the mirror is whole after
// it: neither within a snapshot nor within what one write has changed.
func (m *Mirror) Take(message *argosyv1.WatchResponse) bool {
	if message.GetSnapshotBegin() {
		m.view, m.inSnapshot, m.awaited = New(), true, 0
		m.lives++
	}
	m.view.Take(message)
	if message.GetSnapshotEnd() {
		m.inSnapshot = false
	}
	for _, w := range message.GetWorkloads() {
		m.awaited = max(m.awaited, w.GetRevision())
	}
	for _, c := range message.GetConfigs() {
		m.awaited = max(m.awaited, c.GetRevision())
	}
	for _, a := range message.GetRegisteredAgents() {
		m.awaited = max(m.awaited, a.GetRevision())
	}
	m.revision = message.GetHeader().GetRevision()
	m.time = time.Unix(0, message.GetObservedUnixNanos())
	return !m.inSnapshot && m.revision >= m.awaited
}

// View returns what the mirror has.
func (m *Mirror) View() *View { return m.view }

// Tree returns the state.
func (m *Mirror) Tree() *tree.Node { return m.view.Tree() }

// Revision returns that up to which desired state was told.
func (m *Mirror) Revision() uint64 { return m.revision }
