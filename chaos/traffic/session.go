package traffic

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// session is one client, as the history knows it: it makes one call after the
// other.
type session struct {
	*Traffic
	name string
	rand *rand.Rand
	// stop is closed when it shall end after the call that it is making.
	stop <-chan struct{}
	// own is its usual way to the cluster.
	own way
	// calls and values count.
	calls, values int64
}

// way leads to the cluster: to any server, or to that of a name alone.
type way struct {
	client *client.Client
	server string
}

// value makes a value that nobody else sets.
func (s *session) value() string {
	s.values++
	return fmt.Sprintf("%s-%d", s.name, s.values)
}

// oneIn is true once in so many times.
func (s *session) oneIn(n int) bool { return s.rand.IntN(n) == 0 }

// anyWay is mostly the session's own way, and one through a single server
// sometimes.
func (s *session) anyWay() way {
	if s.oneIn(15) {
		return s.someServer()
	}
	return s.own
}

func (s *session) someServer() way { return s.pinned[s.rand.IntN(len(s.pinned))] }

// ended tells whether the session shall end.
func (s *session) ended(ctx context.Context) bool {
	select {
	case <-s.stop:
		return true
	default:
		return ctx.Err() != nil
	}
}

// pause waits between two calls, for so long on average. It returns false when
// the session shall end.
func (s *session) pause(ctx context.Context, mean time.Duration) bool {
	if mean <= 0 {
		return !s.ended(ctx)
	}
	timer := time.NewTimer(time.Duration(s.rand.Int64N(int64(2 * mean))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return !s.ended(ctx)
	case <-s.stop:
	case <-ctx.Done():
	}
	return false
}

// failurePause is for how long a client waits after a call that failed, on
// average: one that is turned away at once must not keep the machine busy.
const failurePause = 10 * time.Millisecond

// rest is the pause after an operation.
func (s *session) rest(ctx context.Context, after *history.Operation) bool {
	mean := s.meanPause()
	if after != nil && after.Outcome != history.Done {
		mean = max(mean, failurePause)
	}
	return s.pause(ctx, mean)
}

func (s *session) meanPause() time.Duration {
	return time.Duration(s.config.Load.PauseUs) * time.Microsecond
}

// impatience is how many times sooner a client gives up that asks one server
// alone: while that is down, there is nothing to wait for.
const impatience = 10

// limited bounds a call: by the patience mostly; some clients are hasty, and of
// those some hang up instead of letting the time run out. Their writes are the
// ones of whose fate nobody tells.
func (s *session) limited(ctx context.Context, by way, mayHurry bool) (context.Context, context.CancelFunc) {
	patience := s.config.Patience
	if by.server != "" {
		patience /= impatience
	}
	if !mayHurry || !s.oneIn(50) {
		return context.WithTimeout(ctx, patience)
	}
	haste := patience / 100 * time.Duration(1+s.rand.IntN(50))
	if s.oneIn(2) {
		return context.WithTimeout(ctx, haste)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	timer := time.AfterFunc(haste, cancel)
	return ctx, func() { timer.Stop(); cancel() }
}

func (s *session) begin(op *history.Operation, w way) {
	s.calls++
	op.Client, op.N, op.Server = s.name, s.calls, w.server
	op.Call = s.config.Clock()
}

func (s *session) end(op *history.Operation, header *argosyv1.ResponseHeader, err error) {
	op.Return = s.config.Clock()
	op.Code = codeName(err)
	if err != nil {
		op.Error = err.Error()
	}
	op.AnsweredBy, op.Leader, op.Term = header.GetServerId(), header.GetLeaderId(), header.GetTerm()
	op.Revision, op.Incarnation = header.GetRevision(), header.GetIncarnation()
	op.StalenessMs = header.GetStalenessMs()
	s.count(op)
	s.config.Recorder.Operation(*op)
}

// write is a write as it is sent, once or again.
type write struct {
	apply  *argosyv1.ApplyRequest
	delete *argosyv1.DeleteRequest
}

// put makes an Apply that sets objects that nothing runs to new values.
func (s *session) put(names ...string) *write {
	request := &argosyv1.ApplyRequest{RequestId: client.NewRequestID()}
	for _, name := range names {
		request.Workloads = append(request.Workloads, &argosyv1.Workload{Name: name, Runtime: "process", RuntimeConfig: s.value()})
	}
	if s.oneIn(25) {
		request.Workloads[0].Tags = map[string]string{"padding": strings.Repeat("x", 1+s.rand.IntN(maxPadding))}
	}
	return &write{apply: request}
}

// maxPadding is how much larger some objects are, in bytes: what does not fit into
// one packet may be lost where smaller things pass.
const maxPadding = 4 << 10

// remove makes a Delete.
func (s *session) remove(names ...string) *write {
	return &write{delete: &argosyv1.DeleteRequest{RequestId: client.NewRequestID(), Names: names}}
}

// operation is what the history says was asked for.
func (w *write) operation() history.Operation {
	if d := w.delete; d != nil {
		return history.Operation{
			Action: history.Delete, Request: hex.EncodeToString(d.GetRequestId()), Objects: slices.Concat(d.GetNames(), d.GetConfigs()),
			Expected: d.GetExpectedRevision(), ExpectedState: d.GetExpectedStateRevision(), IgnoreMissing: d.GetIgnoreMissing(),
		}
	}
	a := w.apply
	op := history.Operation{
		Action: history.Apply, Request: hex.EncodeToString(a.GetRequestId()),
		Expected: a.GetExpectedRevision(), ExpectedState: a.GetExpectedStateRevision(), MustNotExist: a.GetMustNotExist(),
	}
	for _, workload := range a.GetWorkloads() {
		op.Objects = append(op.Objects, workload.GetName())
		op.Values = append(op.Values, history.Value(workload.GetRuntimeConfig()))
	}
	for _, config := range a.GetConfigs() {
		op.Objects = append(op.Objects, config.GetKey())
		op.Values = append(op.Values, config.GetValue().GetText())
	}
	return op
}

// expect makes the write one that expects every object to be of this revision; 0
// means that there must be none.
func (w *write) expect(revision uint64) *write {
	if w.delete != nil {
		w.delete.ExpectedRevision = revision
		return w
	}
	w.apply.ExpectedRevision, w.apply.MustNotExist = revision, revision == 0
	return w
}

// expectState makes it one that expects no change after a revision.
func (w *write) expectState(revision uint64) *write {
	if w.delete != nil {
		w.delete.ExpectedStateRevision = revision
		return w
	}
	w.apply.ExpectedStateRevision = revision
	return w
}

// change sends a write.
func (s *session) change(ctx context.Context, by way, w *write) *history.Operation {
	op := w.operation()
	call, cancel := s.limited(ctx, by, true)
	defer cancel()
	s.begin(&op, by)
	var response *argosyv1.WriteResponse
	var err error
	if w.delete != nil {
		response, err = by.client.Delete(call, w.delete)
	} else {
		response, err = by.client.Apply(call, w.apply)
	}
	op.Outcome = outcomeOfWrite(err)
	op.Replayed = response.GetReplayed()
	for _, change := range response.GetResult().GetChanges() {
		op.Changes = append(op.Changes, kindName(change.GetKind()))
	}
	for _, change := range response.GetResult().GetConfigs() {
		op.Changes = append(op.Changes, kindName(change.GetKind()))
	}
	s.end(&op, response.GetHeader(), err)
	return &op
}

// maxRepeats bounds how often a write of unknown fate is repeated.
const maxRepeats = 4

// settle sends a write, and when nobody tells what became of it, repeats it
// mostly, at another server often, until somebody does. Sometimes it repeats one
// that was done, which must be answered as before.
func (s *session) settle(ctx context.Context, w *write) *history.Operation {
	op := s.change(ctx, s.anyWay(), w)
	if op.Outcome == history.Done && s.oneIn(40) {
		again := s.change(ctx, s.someServer(), w)
		if again.Outcome == history.Done {
			return again
		}
		return op
	}
	for range maxRepeats {
		if op.Outcome != history.Unknown || s.oneIn(4) || !s.pause(ctx, failurePause) {
			return op
		}
		by := s.own
		if s.oneIn(2) {
			by = s.someServer()
		}
		op = s.change(ctx, by, w)
	}
	return op
}

// get reads one object. Half of the reads of workloads ask in a way that tells the
// revision also when the object is not there.
func (s *session) get(ctx context.Context, by way, name string, stale bool) *history.Operation {
	op := history.Operation{Action: history.Get, Objects: []string{name}, Stale: stale}
	call, cancel := s.limited(ctx, by, false)
	defer cancel()
	consistency := consistencyOf(stale)
	var header *argosyv1.ResponseHeader
	var err error
	alone := s.oneIn(2)
	s.begin(&op, by)
	if alone && !history.IsConfig(name) {
		var response *argosyv1.GetWorkloadResponse
		response, err = by.client.GetWorkload(call, &argosyv1.GetWorkloadRequest{Name: name, Consistency: consistency})
		header = response.GetHeader()
		if response.GetWorkload() != nil {
			op.Found = append(op.Found, objectOf(response.GetWorkload()))
		}
	} else {
		request := &argosyv1.GetStateRequest{Names: []string{name}, OmitStates: true, OmitAgents: true, OmitConfigs: true, Consistency: consistency}
		if history.IsConfig(name) {
			request.OmitConfigs, request.OmitWorkloads, request.ConfigKeys = false, true, request.Names
		}
		var response *argosyv1.GetStateResponse
		response, err = by.client.GetState(call, request)
		header = response.GetHeader()
		op.Found = s.found(response.GetWorkloads(), response.GetConfigs())
	}
	op.Outcome = outcomeOfRead(err)
	s.end(&op, header, err)
	return &op
}

// list reads all objects.
func (s *session) list(ctx context.Context, by way, stale bool) *history.Operation {
	op := history.Operation{Action: history.List, Stale: stale}
	call, cancel := s.limited(ctx, by, false)
	defer cancel()
	s.begin(&op, by)
	response, err := by.client.GetState(call, &argosyv1.GetStateRequest{OmitStates: true, OmitAgents: true, Consistency: consistencyOf(stale)})
	op.Outcome, op.Found = outcomeOfRead(err), s.found(response.GetWorkloads(), response.GetConfigs())
	s.end(&op, response.GetHeader(), err)
	return &op
}

// found are those objects that are of the load.
func (t *Traffic) found(workloads []*argosyv1.Workload, configs []*argosyv1.Config) []history.Object {
	var all []history.Object
	for _, workload := range workloads {
		if _, mine := t.mine[workload.GetName()]; mine {
			all = append(all, objectOf(workload))
		}
	}
	for _, config := range configs {
		if _, mine := t.mine[config.GetKey()]; mine {
			all = append(all, history.Object{
				Name: config.GetKey(), Value: config.GetValue().GetText(), Revision: config.GetRevision(), Created: config.GetCreatedRevision(),
			})
		}
	}
	return all
}

func consistencyOf(stale bool) argosyv1.Consistency {
	if stale {
		return argosyv1.Consistency_CONSISTENCY_STALE
	}
	return argosyv1.Consistency_CONSISTENCY_LINEARIZABLE
}
