package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/proto/ankaios"
)

// Texts of Ankaios, which workloads may look for.
const (
	textDenied       = "Access denied"
	textHelloMissing = "Initial Hello missing!"
	textUndecodable  = "Could not decode protobuf data"
)

// textUnsupported is the answer to a Hello of another version.
func textUnsupported(version string) string {
	return fmt.Sprintf("Unsupported protocol version '%s'. Currently supported '1'", short(version, 64))
}

// short cuts a text that comes from outside.
func short(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && text[limit]&0xc0 == 0x80 { // within a character
		limit--
	}
	return text[:limit] + "..."
}

// kind of a request.
type kind int

const (
	kindOnce kind = iota
	kindLogs
	kindEvents
	kindCancelLogs
	kindCancelEvents
	kindNone
)

func kindOf(r *ankaios.Request) kind {
	switch content := r.GetRequestContent().(type) {
	case *ankaios.Request_UpdateStateRequest:
		return kindOnce
	case *ankaios.Request_CompleteStateRequest:
		if content.CompleteStateRequest.GetSubscribeForEvents() {
			return kindEvents
		}
		return kindOnce
	case *ankaios.Request_LogsRequest:
		return kindLogs
	case *ankaios.Request_LogsCancelRequest:
		return kindCancelLogs
	case *ankaios.Request_EventsCancelRequest:
		return kindCancelEvents
	}
	return kindNone
}

// request is one that is under way.
type request struct {
	id     string
	kind   kind
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	answered bool
	settled  time.Time // when the second response of a subscription may follow the first
	over     bool      // no response may follow
	timer    *time.Timer
}

// end ends the request; tell is called unless it had ended before, and no other
// response follows what it sends.
func (r *request) end(cause error, tell func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	r.over = true
	r.timer.Stop()
	r.cancel(cause)
	tell()
}

// expire ends what took too long: of a subscription only the first response can.
func (r *request) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kind == kindOnce || !r.answered {
		r.cancel(ErrTimeout)
	}
}

// requests are those of one interface that are under way.
type requests struct {
	mu            sync.Mutex
	subscriptions []*request // oldest first
	lastUpdate    <-chan struct{}
	group         sync.WaitGroup
}

func (r *requests) add(s *request, limit int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.subscriptions {
		if other.id == s.id {
			return errPresent
		}
	}
	if len(r.subscriptions) >= limit {
		return fmt.Errorf("%w: %d; cancel one first", errBusy, limit)
	}
	r.subscriptions = append(r.subscriptions, s)
	return nil
}

// take removes the first subscription that is wanted, and returns it.
func (r *requests) take(want func(*request) bool) *request {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, s := range r.subscriptions {
		if want(s) {
			r.subscriptions = append(r.subscriptions[:at:at], r.subscriptions[at+1:]...)
			return s
		}
	}
	return nil
}

// afterUpdate returns a channel that is closed when the latest change of the state
// has ended, nil when there is none; and what to call when this request has ended.
func (r *requests) afterUpdate(isUpdate bool) (before <-chan struct{}, done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before = r.lastUpdate
	if !isUpdate {
		return before, func() {}
	}
	ended := make(chan struct{})
	r.lastUpdate = ended
	return before, func() { close(ended) }
}

// maxSubscriptionCost bounds what is kept for as long as a subscription runs; it is
// enough for the names of some 800 instances.
const maxSubscriptionCost = 128 << 10

// begin starts what a workload asks for. It waits while too much is under way.
func (i *Interface) begin(ctx context.Context, message *ankaios.Request, cost int) {
	id, kind := message.GetRequestId(), kindOf(message)
	switch {
	case kind == kindCancelLogs || kind == kindCancelEvents:
		i.cancelSubscription(id, kind)
		return
	case kind == kindNone:
		i.refuse(id, textDenied)
		return
	case i.queue.full():
		i.refuse(id, "refused: too many messages wait to be read")
		return
	}
	r := &request{id: id, kind: kind}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	weight, err := i.admit(ctx, r, cost)
	if err != nil {
		r.cancel(err)
		i.refuse(id, "refused: "+err.Error())
		return
	}
	before, done := i.requests.afterUpdate(message.GetUpdateStateRequest() != nil)
	i.requests.group.Go(func() {
		defer i.slots.Release(weight)
		defer done()
		i.finish(r, i.handle(r, message, before))
	})
}

// admit waits until there is room for the request, or refuses it. Its time begins.
func (i *Interface) admit(ctx context.Context, r *request, cost int) (weight int64, err error) {
	if r.kind == kindOnce {
		weight = min(max(int64(cost), i.weight/int64(i.cfg.MaxRequests)), i.weight)
		if i.slots.Acquire(ctx, weight) != nil {
			return 0, ErrEnded
		}
		r.timer = time.AfterFunc(i.cfg.RequestTimeout, r.expire)
		return weight, nil
	}
	if cost > maxSubscriptionCost {
		return 0, fmt.Errorf("subscription of %d bytes is larger than %d bytes; ask for less at once", cost, maxSubscriptionCost)
	}
	r.timer = time.AfterFunc(i.cfg.RequestTimeout, r.expire) // before others can end it
	if err := i.requests.add(r, i.cfg.MaxSubscriptions); err != nil {
		r.timer.Stop()
		return 0, err
	}
	return 0, nil
}

func (i *Interface) handle(r *request, message *ankaios.Request, before <-chan struct{}) error {
	if before != nil {
		select {
		case <-before:
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
	}
	return i.cfg.Handler.Handle(r.ctx, i.instance, message, func(response *ankaios.Response) error { return i.reply(r, response) })
}

// finish sends what is missing after Handle has returned.
func (i *Interface) finish(r *request, err error) {
	i.requests.take(func(s *request) bool { return s == r })
	r.end(ErrOver, func() {
		if err == nil && !r.answered {
			err = errors.New("request was not answered")
		}
		if err == nil || errors.Is(context.Cause(r.ctx), ErrEnded) {
			return
		}
		i.answerError(r.id, i.textOf(r, err))
	})
}

func (i *Interface) textOf(r *request, err error) string {
	cause := context.Cause(r.ctx)
	switch {
	case errors.Is(err, ErrDenied):
		return textDenied
	case errors.Is(cause, ErrTimeout) && (errors.Is(err, ErrTimeout) || errors.Is(err, context.Canceled)):
		return fmt.Sprintf("%v: %v have passed; its outcome is not known", ErrTimeout, i.cfg.RequestTimeout)
	}
	return short(err.Error(), 4096)
}

// reply sends a response; it waits while the queue is full.
func (i *Interface) reply(r *request, response *ankaios.Response) error {
	response.RequestId = r.id
	data, err := encode(&ankaios.FromAnkaios{FromAnkaiosEnum: &ankaios.FromAnkaios_Response{Response: response}})
	if err != nil {
		return fmt.Errorf("encode response: %w", err)
	}
	if len(data) > i.cfg.MaxQueueBytes {
		return fmt.Errorf("%w: %d bytes are more than %d; ask for less", ErrTooLarge, len(data), i.cfg.MaxQueueBytes)
	}
	if err := r.settle(); err != nil {
		return err
	}
	for {
		room, err := i.tryReply(r, data)
		if room == nil {
			return err
		}
		i.in.wake() // it has to notice that the queue is full
		select {
		case <-room:
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
	}
}

// settle waits until the workload has had the time to take note of the first
// response of a subscription.
func (r *request) settle() error {
	r.mu.Lock()
	rest := time.Until(r.settled)
	r.mu.Unlock()
	if r.kind == kindOnce || rest <= 0 {
		return nil
	}
	if !pause(r.ctx, rest) {
		return context.Cause(r.ctx)
	}
	return nil
}

// tryReply queues a response, or returns what to wait for.
func (i *Interface) tryReply(r *request, data []byte) (<-chan struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := context.Cause(r.ctx); err != nil {
		return nil, err
	}
	if r.over {
		return nil, ErrOver
	}
	message := outgoing{data: data}
	if r.kind != kindOnce {
		message.of = r
	}
	room, ok := i.queue.push(message, false)
	if !ok {
		return room, nil
	}
	if !r.answered {
		r.answered, r.settled = true, time.Now().Add(i.cfg.SubscriptionPause)
	}
	i.in.wake()
	return nil, nil
}

// cancelSubscription ends a subscription, if there is such a one, and says so: a
// workload may cancel what has ended by itself.
func (i *Interface) cancelSubscription(id string, kind kind) {
	of, response := kindLogs, &ankaios.Response{RequestId: id}
	if kind == kindCancelEvents {
		of = kindEvents
		response.ResponseContent = &ankaios.Response_EventsCancelAccepted{EventsCancelAccepted: &ankaios.EventsCancelAccepted{}}
	} else {
		response.ResponseContent = &ankaios.Response_LogsCancelAccepted{LogsCancelAccepted: &ankaios.LogsCancelAccepted{}}
	}
	if s := i.requests.take(func(s *request) bool { return s.id == id && s.kind == of }); s != nil {
		s.end(ErrCancelled, func() {})
	}
	i.answer(response)
}

// cancelSubscriptions ends all of them without a word.
func (i *Interface) cancelSubscriptions(cause error) {
	for {
		s := i.requests.take(func(*request) bool { return true })
		if s == nil {
			return
		}
		s.end(cause, func() {})
	}
}

// refuse answers what is not done.
func (i *Interface) refuse(id, reason string) {
	i.penalty += penaltyEach
	i.answerError(id, reason)
}

func (i *Interface) answerError(id, reason string) {
	// What is not UTF-8 could not be sent, and the request would stay without an
	// answer.
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	i.answer(&ankaios.Response{RequestId: id, ResponseContent: &ankaios.Response_Error{Error: &ankaios.Error{Message: reason}}})
}

func (i *Interface) answer(response *ankaios.Response) {
	i.tell(&ankaios.FromAnkaios{FromAnkaiosEnum: &ankaios.FromAnkaios_Response{Response: response}})
}

// tell sends a short message, also when the queue is full; when the spare room is
// full too it is dropped.
func (i *Interface) tell(message *ankaios.FromAnkaios) {
	data, err := encode(message)
	if err != nil {
		i.complain("message to a workload could not be encoded", "error", err)
		return
	}
	if _, ok := i.queue.push(outgoing{data: data}, true); !ok {
		i.complain("workload does not read; an answer was dropped")
	}
	i.in.wake()
}

// encode writes a message as it is on the pipe, after its length.
func encode(message proto.Message) ([]byte, error) {
	size := proto.Size(message)
	data := protowire.AppendVarint(make([]byte, 0, size+protowire.SizeVarint(uint64(size))), uint64(size))
	return proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(data, message)
}
