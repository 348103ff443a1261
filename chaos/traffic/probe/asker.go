package probe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/agent/control/controltest"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/wait"
	"github.com/argosy-cluster/argosy/proto/ankaios"
)

const (
	// answerPatience is for how long an asker waits for an answer: longer than an agent
	// may take, and about as long as SDKs wait.
	answerPatience = 6 * time.Second
	// retryPause is the time between two tries to reach an agent that is not there.
	retryPause = 20 * time.Millisecond
	// askPause is the mean time between an answer and the next request.
	askPause = 80 * time.Millisecond
	// keptFor is how long a subscription is kept, or a log followed, on average.
	keptFor = 6 * time.Second
	// restPatience is for how long an asker that shall rest waits for its last answers
	// and events: longer than what would be found wrong.
	restPatience = 25 * time.Second
)

// folderOfContainers is where a container finds its pipes; processes are told by
// folderVariable.
const (
	folderOfContainers = "/run/ankaios/control_interface"
	folderVariable     = "ARGOSY_CONTROL_INTERFACE"
)

// calmFile tells askers to rest, restSuffix ends the name of the file by which each
// of them says that it does.
const (
	calmFile   = "calm"
	restSuffix = ".rests"
)

// Calm has all askers that write their messages into a directory ask for nothing any
// more.
func Calm(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, calmFile), nil, 0o644); err != nil {
		return fmt.Errorf("have askers rest: %w", err)
	}
	return nil
}

// Rests tells whether an asker does since Calm.
func Rests(dir, workload string) bool { return exists(filepath.Join(dir, workload+restSuffix)) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// asker is a client of the control interface as an SDK is: it says Hello, asks for
// one thing or some at once, and is told of events. It alone writes its object, each
// time another value. Everything is recorded.
type asker struct {
	config     Config
	folder     string
	client     *controltest.Client
	transcript *transcript
	rand       *rand.Rand
	// asked counts requests.
	asked int64
	// events is the subscription, log the log that is followed: its own.
	events, log ongoing

	// changed is signalled when something of the following has.
	changed chan struct{}
	mu      sync.Mutex
	// accepted: the last Hello was. lost: no agent was there since, or it has closed the
	// connection, which closed tells. ended: the pipe's end was noted.
	accepted, lost, closed, ended bool
	// pending are the requests without an answer, answers are the last ones to
	// requests that somebody still looks at.
	pending map[string]bool
	answers map[string]history.Message
}

// ongoing is what an asker is told of until it wants no more of it.
type ongoing struct {
	// begin and end are what is asked for.
	begin, end history.Action
	// id is that of the request, empty when nothing goes on; until is when it shall end.
	id    string
	until time.Time
}

func newAsker(config Config, instance string) (*asker, error) {
	t, err := newTranscript(config, instance)
	if err != nil {
		return nil, err
	}
	folder := os.Getenv(folderVariable)
	if folder == "" {
		folder = folderOfContainers
	}
	return &asker{
		events: ongoing{begin: history.Subscribe, end: history.Unsubscribe}, log: ongoing{begin: history.Follow, end: history.Unfollow},
		config: config, folder: folder, transcript: t, changed: make(chan struct{}, 1), pending: map[string]bool{}, answers: map[string]history.Message{},
		rand: rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(config.Clock()))),
	}, nil
}

// run asks until it shall rest, and listens until the context ends.
func (a *asker) run(ctx context.Context) {
	for a.client == nil {
		// An agent that is not there any more is waited for.
		if a.client, _ = controltest.Dial(a.folder); a.client == nil && wait.For(ctx, retryPause) != nil {
			return
		}
	}
	defer a.client.Close()
	var listening sync.WaitGroup
	defer listening.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	listening.Go(func() { a.listen(ctx) })
	a.greet(ctx)
	calm := filepath.Join(a.config.Messages, calmFile)
	for ctx.Err() == nil && !exists(calm) {
		a.goOn(ctx)
		a.keep(ctx, &a.events)
		if a.log.id != "" || a.rand.IntN(4) == 0 {
			a.keep(ctx, &a.log)
		}
		a.some(ctx)
		_ = wait.For(ctx, time.Duration(a.rand.Int64N(int64(2*askPause))))
	}
	a.lastWords(ctx)
	if ctx.Err() == nil {
		a.transcript.write(history.Message{What: history.MessageRest})
		// Whoever waits for it gives up some time.
		_ = os.WriteFile(filepath.Join(a.config.Messages, a.config.Workload+restSuffix), nil, 0o644)
	}
	<-ctx.Done()
}

// await waits until something is so, and tells whether it is; the asker is locked while
// that is looked at.
func (a *asker) await(ctx context.Context, patience time.Duration, is func() bool) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		a.mu.Lock()
		now := is()
		a.mu.Unlock()
		if now {
			return true
		}
		select {
		case <-a.changed:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// note changes what is known.
func (a *asker) note(change func()) {
	a.mu.Lock()
	change()
	a.mu.Unlock()
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// greet begins a session, however long that takes.
func (a *asker) greet(ctx context.Context) {
	for ctx.Err() == nil {
		a.forget()
		a.note(func() { a.accepted, a.lost, a.closed = false, false, false })
		said := a.transcript.say(history.Message{What: history.MessageHello}, func() error {
			return a.client.SendHello(ctx, controltest.Version)
		})
		a.note(func() { a.ended = a.ended && !said })
		if said && a.await(ctx, answerPatience, func() bool { return a.accepted || a.lost }) && a.is(&a.accepted) {
			return
		}
		_ = wait.For(ctx, retryPause)
	}
}

func (a *asker) is(what *bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return *what
}

// goOn goes on after the agent was gone: with a Hello, or as if nothing had been.
func (a *asker) goOn(ctx context.Context) {
	if !a.is(&a.lost) {
		return
	}
	if a.is(&a.closed) || a.rand.IntN(2) == 0 {
		a.greet(ctx)
		return
	}
	a.forget()
	a.note(func() { a.lost = false })
}

// forget takes notice that what went on has ended, with the agent or the session.
func (a *asker) forget() { a.events.id, a.log.id = "", "" }

// some asks for one thing, or for some at once, and waits for the answers.
func (a *asker) some(ctx context.Context) {
	count := 1
	if a.rand.IntN(4) == 0 {
		count += 1 + a.rand.IntN(3)
	}
	var ids []string
	for range count {
		if a.rand.IntN(3) == 0 {
			ids = append(ids, a.get(ctx))
		} else {
			ids = append(ids, a.set(ctx))
		}
	}
	a.answered(ctx, ids...)
	a.note(func() {
		maps.DeleteFunc(a.answers, func(id string, _ history.Message) bool { return id != a.events.id && id != a.log.id })
	})
}

// value returns what the last answer to a request tells of the object, false when there
// is none, or one that tells of an error or an end.
func (a *asker) value(id string) (value string, ok bool) {
	m, answered := a.answers[id]
	if len(m.Found) > 0 {
		value = m.Found[0].Value
	}
	return value, answered && m.Outcome == history.Done && !m.Ends
}

// answered waits for the answers to requests, while they can come.
func (a *asker) answered(ctx context.Context, ids ...string) bool {
	return a.await(ctx, answerPatience, func() bool {
		if a.lost {
			return true
		}
		for _, id := range ids {
			if a.pending[id] {
				return false
			}
		}
		return true
	})
}

func (a *asker) get(ctx context.Context) (id string) {
	id = a.next()
	a.ask(ctx, history.Message{Request: id, Action: history.Get}, controltest.Get(id, pathOf(a.config.Object)))
	return id
}

func (a *asker) set(ctx context.Context) (id string) {
	id = a.next()
	value := a.config.Value + "-" + id
	a.ask(ctx, history.Message{Request: id, Action: history.Apply, Sets: value},
		controltest.Update(id, stateWith(a.config.Object, value), pathOf(a.config.Object)))
	return id
}

// next makes the id of a request.
func (a *asker) next() string {
	a.asked++
	return fmt.Sprintf("%d-%d", os.Getpid(), a.asked)
}

// ask sends a request. It is in the record before anybody can know of it.
func (a *asker) ask(ctx context.Context, m history.Message, request *ankaios.Request) {
	m.What, m.Object = history.MessageAsked, a.config.Object
	a.note(func() { a.pending[m.Request] = true })
	a.transcript.write(m)
	if err := a.client.SendRequest(ctx, request); err != nil && ctx.Err() == nil {
		a.transcript.write(history.Message{What: history.MessageUnsent, Request: m.Request, Error: err.Error()})
		a.note(func() { a.lost = true; delete(a.pending, m.Request) })
		_ = wait.For(ctx, retryPause)
	}
}

// keep begins what does not go on, and ends what is old.
func (a *asker) keep(ctx context.Context, o *ongoing) {
	a.mu.Lock()
	_, goesOn := a.value(o.id)
	a.mu.Unlock()
	switch {
	case !goesOn:
		o.id, o.until = a.next(), time.Now().Add(time.Duration(a.rand.Int64N(int64(2*keptFor))))
		a.ask(ctx, history.Message{Request: o.id, Action: o.begin}, a.request(o.begin, o.id))
		a.answered(ctx, o.id)
	case time.Now().After(o.until):
		a.end(ctx, o)
	}
}

// end ends what goes on.
func (a *asker) end(ctx context.Context, o *ongoing) {
	if o.id == "" {
		return
	}
	a.ask(ctx, history.Message{Request: o.id, Action: o.end}, a.request(o.end, o.id))
	a.answered(ctx, o.id)
	o.id = ""
}

// request is what begins or ends what goes on.
func (a *asker) request(action history.Action, id string) *ankaios.Request {
	switch action {
	case history.Subscribe:
		return controltest.Events(id, pathOf(a.config.Object))
	case history.Unsubscribe:
		return controltest.CancelEvents(id)
	case history.Follow:
		r := controltest.Logs(id, &ankaios.WorkloadInstanceName{WorkloadName: a.config.Workload, AgentName: a.config.Agent, Id: a.transcript.of.Instance})
		r.GetLogsRequest().Follow = proto.Bool(true)
		return r
	default:
		return controltest.CancelLogs(id)
	}
}

// lastWords reads once more, and waits until the subscription has told what was read.
func (a *asker) lastWords(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, restPatience)
	defer cancel()
	var read string
	for ok := false; !ok && ctx.Err() == nil; {
		a.goOn(ctx)
		id := a.get(ctx)
		a.answered(ctx, id)
		a.mu.Lock()
		read, ok = a.value(id)
		a.mu.Unlock()
		if !ok {
			_ = wait.For(ctx, retryPause)
		}
	}
	a.await(ctx, restPatience, func() bool {
		told, goesOn := a.value(a.events.id)
		return !goesOn || told == read || a.lost
	})
	a.end(ctx, &a.events)
	a.end(ctx, &a.log)
}

// listen takes what the agent says until the context ends.
func (a *asker) listen(ctx context.Context) {
	for {
		message, err := a.client.Receive(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			a.take(message)
		default:
			if !a.is(&a.ended) {
				a.transcript.write(history.Message{What: history.MessageEnd, Error: err.Error()})
			}
			a.note(func() { a.ended, a.lost = true, true })
			_ = wait.For(ctx, retryPause)
		}
	}
}

// take takes one message.
func (a *asker) take(message *ankaios.FromAnkaios) {
	switch {
	case message.GetControlInterfaceAccepted() != nil:
		a.transcript.write(history.Message{What: history.MessageAccepted})
		a.note(func() { a.accepted, a.ended = true, false })
	case message.GetConnectionClosed() != nil:
		a.transcript.write(history.Message{What: history.MessageClosed, Error: message.GetConnectionClosed().GetReason()})
		a.note(func() { a.lost, a.closed, a.ended = true, true, false })
	default:
		m := answer(message.GetResponse(), a.config.Object)
		a.transcript.write(m)
		a.note(func() { a.learn(m) })
	}
}

// learn notes what an answer tells. The asker is locked.
func (a *asker) learn(m history.Message) {
	delete(a.pending, m.Request)
	a.answers[m.Request], a.ended = m, false
}
