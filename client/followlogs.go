package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// LogsLostError is returned by FollowLogs when it cannot tell whether lines were
// lost, because the runtime of an instance does not tell places in its logs.
type LogsLostError struct {
	// Workload is the one that cannot be gone on with.
	Workload string
	// Last is when its last line was printed by its agent's clock; zero when there
	// was none.
	Last time.Time
	// Err is why the reading ended.
	Err error
}

func (e *LogsLostError) Error() string {
	return fmt.Sprintf("follow logs of %s: %v; its runtime does not tell places in its log, so that nobody can go on without a gap or a line twice", e.Workload, e.Err)
}

func (e *LogsLostError) Unwrap() error { return e.Err }

// FollowLogs is Logs for who follows: when a server or an agent is lost it goes on
// by itself, at another server, after the last line that handle was given, with no
// gap and no line twice. It can do so where the runtime tells places (process);
// where not, it returns a LogsLostError. An agent that is not back within the
// client's timeout ends its instances with the reason, and so does one that has
// dropped the line after which it should go on.
func (c *Client) FollowLogs(ctx context.Context, req *argosyv1.LogsRequest, handle func(*argosyv1.LogsResponse) error) error {
	f := &logFollower{client: c, asked: req, handle: handle, instances: map[string]*followed{}, lost: c.now()}
	for round := 0; ; round++ {
		again, err := f.read(ctx)
		if !again {
			return err
		}
		if f.progress {
			round = 0
		}
		if !pause(ctx, round) {
			return context.Cause(ctx)
		}
	}
}

// logFollower is one following, over however many calls.
type logFollower struct {
	client    *Client
	asked     *argosyv1.LogsRequest
	handle    func(*argosyv1.LogsResponse) error
	instances map[string]*followed
	// resumes tells that there was a call before.
	resumes bool
	// began is when the present call did, lost when the last one ended that was
	// answered, by the client's clock.
	began, lost int64
	// progress tells that lines came in the present call.
	progress bool
	// failed is what handle returned.
	failed error
}

// followed is what was read of one instance.
type followed struct {
	name *argosyv1.InstanceName
	// last is the last line; placed tells that all lines had a place.
	last   *argosyv1.LogPlace
	placed bool
	ended  bool
	// lost is since when its agent has not been reached; 0 when it was.
	lost int64
}

// errAgain ends a call in order to ask again.
var errAgain = errors.New("an agent was lost")

// read reads what there is to read in one call, and says whether another one is
// needed.
func (f *logFollower) read(ctx context.Context) (again bool, err error) {
	f.began, f.progress = f.client.now(), false
	request := f.request()
	if len(request.GetNames()) == 0 && f.resumes {
		return false, nil
	}
	err = f.client.logs(ctx, request, func() { f.lost = f.client.now() }, f.take)
	resumed := f.resumes
	f.resumes = true
	switch {
	case f.failed != nil || ctx.Err() != nil || err == nil:
		return false, err
	case len(f.instances) == 0 && !resumed:
		return false, err
	case !errors.Is(err, errAgain) && !movesOn(err) && argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND:
		return false, err
	}
	if lost := f.unplaced(); lost != nil {
		return false, &LogsLostError{Workload: lost.name.GetWorkload(), Last: lost.printed(), Err: err}
	}
	// A new leader may need a moment to know of all.
	if f.client.now()-f.lost > int64(f.client.config.Timeout) {
		return false, err
	}
	return true, nil
}

// request asks for what has not been read yet.
func (f *logFollower) request() *argosyv1.LogsRequest {
	if !f.resumes {
		return f.asked
	}
	request := argosyv1.Shallow(f.asked)
	// Of what had printed nothing, everything is new.
	request.HasTail, request.Tail = false, 0
	request.Names, request.After = nil, nil
	open, known := map[string]bool{}, map[string]bool{}
	for _, one := range f.instances {
		name := one.name.GetWorkload()
		known[name], open[name] = true, open[name] || !one.ended
		if one.last != nil {
			request.After = append(request.After, one.last)
		}
	}
	for _, name := range f.asked.GetNames() {
		if open[name] || !known[name] {
			request.Names = append(request.Names, name)
		}
	}
	return request
}

// unplaced returns an instance that cannot be gone on with.
func (f *logFollower) unplaced() *followed {
	for _, one := range f.instances {
		if !one.ended && !one.placed {
			return one
		}
	}
	if f.asked.GetHasTail() && f.asked.GetTail() == 0 {
		// What was printed before and what was not cannot be told apart of those
		// that have shown nothing.
		for _, name := range f.asked.GetNames() {
			if !f.shown(name) {
				return &followed{name: &argosyv1.InstanceName{Workload: name}}
			}
		}
	}
	return nil
}

// shown tells whether of all instances of a workload a line was read.
func (f *logFollower) shown(workload string) bool {
	some := false
	for _, one := range f.instances {
		if one.name.GetWorkload() != workload {
			continue
		}
		if !one.ended && one.last == nil {
			return false
		}
		some = true
	}
	return some
}

func (one *followed) printed() time.Time {
	if nanos := one.last.GetUnixNanos(); nanos != 0 {
		return time.Unix(0, nanos)
	}
	return time.Time{}
}

// take hands on what is new.
func (f *logFollower) take(batch *argosyv1.LogsResponse) error {
	var lines []*argosyv1.LogLine
	again := false
	for _, line := range batch.GetLines() {
		one := f.instance(line.GetInstance())
		switch {
		case one.ended:
			continue
		case !line.GetEnd():
			f.progress = true
			one.placed = one.placed && line.GetPosition() != 0
			one.last = &argosyv1.LogPlace{Instance: one.name, Position: line.GetPosition(), UnixNanos: line.GetUnixNanos()}
		case line.GetInterrupted() && f.mayReturn(one):
			again = true
			continue
		default:
			one.ended = true
		}
		lines = append(lines, line)
	}
	if len(lines) > 0 {
		if f.failed = f.handle(&argosyv1.LogsResponse{Lines: lines}); f.failed != nil {
			return f.failed
		}
	}
	if again {
		return errAgain
	}
	return nil
}

func (f *logFollower) instance(name *argosyv1.InstanceName) *followed {
	one := f.instances[name.Key()]
	if one == nil {
		one = &followed{name: name, placed: true}
		f.instances[name.Key()] = one
	}
	return one
}

// answered is for how long an agent must have been read from to count as reached
// again.
const answered = 2 * time.Second

// mayReturn tells whether an instance whose agent was lost is asked for again.
func (f *logFollower) mayReturn(one *followed) bool {
	now := f.client.now()
	if one.lost == 0 || now-f.began > int64(answered) {
		one.lost = now
	}
	return f.unplaced() == nil && now-one.lost <= int64(f.client.config.Timeout)
}
