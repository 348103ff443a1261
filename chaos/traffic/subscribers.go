package traffic

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/manifest/complete"
	"github.com/argosy-cluster/argosy/manifest/mask"
	"github.com/argosy-cluster/argosy/manifest/tree"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// subscriber is a session that is told of what changes by events. It leaves it to
// the client library to go on when a server is lost.
type subscriber struct {
	session
	// seen is the revision up to which everything was told.
	seen   atomic.Uint64
	stream int64
}

// subscriptions are what is asked for in turn. One that has observed state in it
// starts again from a snapshot when its server is lost, the others do not.
var subscriptions = []struct {
	masks []mask.Mask
	// workloads is set where configs are not asked for.
	workloads bool
}{
	{masks: []mask.Mask{{"desiredState"}, {"workloadStates"}}},
	{masks: []mask.Mask{{"desiredState", "workloads", "*", "runtimeConfig"}}, workloads: true},
	{masks: []mask.Mask{{"desiredState"}}},
}

// subscriptionLasts is how many times longer than a client is patient a subscription
// lasts at most, and subscriptionSilent how many times longer one may be silent: the
// client library looks elsewhere long before.
const subscriptionLasts, subscriptionSilent = 8, 4

// subscribeAlong subscribes to the one and the other, for a while each.
func (s *subscriber) subscribeAlong(ctx context.Context) {
	for ctx.Err() == nil {
		s.subscribe(ctx, int(s.stream)%len(subscriptions))
		if !s.pause(ctx, failurePause) {
			return
		}
	}
}

func (s *subscriber) subscribe(ctx context.Context, which int) {
	s.stream++
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	life := time.AfterFunc(time.Duration(s.rand.Int64N(subscriptionLasts*int64(s.config.Patience))), cancel)
	defer life.Stop()
	silence := time.AfterFunc(subscriptionSilent*s.config.Patience, cancel)
	defer silence.Stop()
	masks := mask.NewSet(subscriptions[which].masks...)
	mirror, observer, told := complete.NewMirror(), complete.NewObserver(masks), uint64(0)
	// How it ended is of no interest: it is begun again.
	_ = s.own.client.Watch(ctx, complete.WatchRequest(masks), func(message *argosyv1.WatchResponse) error {
		silence.Reset(subscriptionSilent * s.config.Patience)
		if !mirror.Take(message) {
			return nil
		}
		if event := observer.Look(mirror); event != nil {
			s.take(event, which)
		}
		told = mirror.Revision()
		s.seen.Store(told)
		return nil
	})
	if told > 0 {
		s.config.Recorder.Event(history.Event{Subscriber: s.name, Stream: s.stream, Workloads: subscriptions[which].workloads, At: s.config.Clock(), Revision: told, Over: true})
	}
}

// take records an event.
func (s *subscriber) take(event *complete.Event, which int) {
	e := history.Event{
		Subscriber: s.name, Stream: s.stream, Workloads: subscriptions[which].workloads, N: event.Number, At: s.config.Clock(),
		Revision: event.Revision, Current: event.Current, Restarted: event.Restarted,
	}
	desired := event.State.Child("desiredState")
	paths := append(slices.Clone(event.Added), event.Updated...)
	if event.Current {
		paths = []string{"desiredState.workloads", "desiredState.configs"}
	}
	for _, path := range paths {
		// Of all that a workload has, its value is in one field.
		if names := append(strings.Split(path, "."), "", "", ""); names[3] == "" || names[3] == "runtimeConfig" {
			e.Put = append(e.Put, s.told(desired.Child(names[1]), names[2])...)
		}
	}
	e.Removed = event.Removed
	s.config.Recorder.Event(e)
}

// told are the objects of the load of which an event has the value: that of a name,
// or all.
func (t *Traffic) told(objects *tree.Node, only string) []history.Object {
	var all []history.Object
	for name, object := range objects.Children() {
		_, mine := t.mine[name]
		value := object.Text()
		if object.Kind() == tree.Map {
			value = history.Value(object.Child("runtimeConfig").Text())
		}
		if mine && (only == "" || name == only) {
			all = append(all, history.Object{Name: name, Value: value})
		}
	}
	return all
}
