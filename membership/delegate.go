package membership

import (
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/hashicorp/memberlist"
	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// delegate is what memberlist calls, with its locks held.
type delegate struct {
	directory *directory
	log       *slog.Logger
	// metadata is the encoded metadata of this node.
	metadata atomic.Pointer[[]byte]
}

var (
	_ memberlist.Delegate         = (*delegate)(nil)
	_ memberlist.EventDelegate    = (*delegate)(nil)
	_ memberlist.AliveDelegate    = (*delegate)(nil)
	_ memberlist.MergeDelegate    = (*delegate)(nil)
	_ memberlist.ConflictDelegate = (*delegate)(nil)
)

// NodeMeta implements memberlist.Delegate.
func (d *delegate) NodeMeta(int) []byte { return *d.metadata.Load() }

// NotifyMsg implements memberlist.Delegate. It gets what members send directly.
func (d *delegate) NotifyMsg(data []byte) {
	var message argosyv1.GossipMessage
	if err := proto.Unmarshal(data, &message); err != nil || message.Format != metadataFormat {
		d.log.Debug("unreadable gossip message dropped", "bytes", len(data), "format", message.Format, "err", err)
		return
	}
	switch content := message.Content.(type) {
	case *argosyv1.GossipMessage_Leader:
		word := content.Leader
		if word.ServerId == "" {
			return
		}
		if !d.directory.announced(message.ClusterId, word.Term, Member{ID: word.ServerId, APIAddress: word.ApiAddress, Incarnation: message.Incarnation}) {
			d.log.Debug("word of a leader of another cluster dropped",
				"cluster", message.ClusterId, "id", word.ServerId, "term", word.Term)
		}
	case *argosyv1.GossipMessage_Farewell:
		d.directory.farewell(content.Farewell.Node, content.Farewell.Generation)
	}
}

// GetBroadcasts implements memberlist.Delegate.
func (*delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (*delegate) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (*delegate) MergeRemoteState([]byte, bool) {}

// NotifyJoin implements memberlist.EventDelegate.
func (d *delegate) NotifyJoin(node *memberlist.Node) { d.directory.put(node, true) }

// NotifyUpdate implements memberlist.EventDelegate.
func (d *delegate) NotifyUpdate(node *memberlist.Node) { d.directory.put(node, false) }

// NotifyLeave implements memberlist.EventDelegate.
func (d *delegate) NotifyLeave(node *memberlist.Node) { d.directory.remove(node) }

// NotifyAlive implements memberlist.AliveDelegate: it is asked about every word
// of every node, whoever passed it on, and logs what was refused and why.
func (d *delegate) NotifyAlive(node *memberlist.Node) error {
	return d.directory.admit(node)
}

// NotifyMerge implements memberlist.MergeDelegate: it is asked when two nodes
// meet, so that a join of the wrong cluster fails as a whole and says why.
// Servers that a recovery left behind are refused one by one: an agent that
// still hears them is met all the same.
func (d *delegate) NotifyMerge(nodes []*memberlist.Node) error {
	var leftBehind error
	met := false
	for _, node := range nodes {
		// The dead are no reason: a machine may have been of another cluster once.
		if node.State != memberlist.StateAlive && node.State != memberlist.StateSuspect {
			continue
		}
		switch err := d.directory.admit(node); {
		case errors.Is(err, ErrAnotherIncarnation):
			leftBehind = err
		case err != nil:
			return err
		default:
			met = true
		}
	}
	if met {
		return nil
	}
	return leftBehind
}

// NotifyConflict implements memberlist.ConflictDelegate.
func (d *delegate) NotifyConflict(existing, other *memberlist.Node) {
	d.directory.conflict(existing, other)
}
