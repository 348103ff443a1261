package asks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/agent/control"
	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/manifest/access"
	"github.com/argosy-cluster/argosy/proto/ankaios"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// maxLogBatch is about how many bytes of lines one message has: that of the
// reference.
const maxLogBatch = 2_000_000

// logsPatience is how long those who follow logs are kept waiting for servers and
// for the agent of an instance.
const logsPatience = 30 * time.Second

// logsRetryPause is the time between two tries to read logs of instances that a
// leader has not heard of yet.
const logsRetryPause = 100 * time.Millisecond

// logs answers with what instances print, until they have ended or the workload
// does not want, or may not have, any more of it.
func (h *Handler) logs(ctx context.Context, instance *argosyv1.InstanceName, request *ankaios.LogsRequest, reply reply) error {
	may := func(rules *access.Rules) bool {
		return !slices.ContainsFunc(request.GetWorkloadNames(), func(n *ankaios.WorkloadInstanceName) bool { return !rules.MayReadLogs(n.GetWorkloadName()) })
	}
	if err := h.may(instance, may); err != nil {
		return err
	}
	call, err := logsCall(request)
	if err != nil {
		return err
	}
	accepted, err := h.accept(ctx, request.GetWorkloadNames())
	if err != nil {
		return err
	}
	l := &logReader{open: map[string]*ankaios.WorkloadInstanceName{}, reply: reply}
	for _, name := range accepted {
		l.open[keyOf(name)] = name
		if !slices.Contains(call.Names, name.GetWorkloadName()) {
			call.Names = append(call.Names, name.GetWorkloadName())
		}
	}
	err = reply(&ankaios.Response{ResponseContent: &ankaios.Response_LogsRequestAccepted{LogsRequestAccepted: &ankaios.LogsRequestAccepted{WorkloadNames: accepted}}})
	if err != nil || len(accepted) == 0 {
		return err
	}
	c, err := h.servers.take()
	if err != nil {
		return l.endAll(err)
	}
	defer h.servers.giveBack(c)
	read := c.Logs
	if call.GetFollow() {
		read = c.FollowLogs
	}
	began := time.Now()
	for {
		err = read(ctx, call, func(batch *argosyv1.LogsResponse) error {
			// The rules may have changed since it asked.
			if err := h.may(instance, may); err != nil {
				return err
			}
			return l.take(batch.GetLines())
		})
		// The instances are there. A new leader, or one that was cut off from their
		// agent, may not have heard of them yet.
		if l.heard || argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND || time.Since(began) > logsPatience {
			break
		}
		sleep(ctx, logsRetryPause)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, control.ErrDenied), l.failure != nil:
		return err
	}
	return l.endAll(err)
}

// logsCall is what the servers are asked for, without names.
func logsCall(request *ankaios.LogsRequest) (*argosyv1.LogsRequest, error) {
	call := &argosyv1.LogsRequest{Follow: request.GetFollow()}
	if request.Tail != nil && request.GetTail() >= 0 {
		call.Tail, call.HasTail = request.GetTail(), true
	}
	for _, moment := range []struct {
		field, text string
		to          *int64
	}{{"since", request.GetSince(), &call.SinceUnixNanos}, {"until", request.GetUntil(), &call.UntilUnixNanos}} {
		if moment.text == "" {
			continue
		}
		at, ok := parseMoment(moment.text, time.Now())
		if !ok {
			return nil, fmt.Errorf("%w: %s %.80q is not a time: write it as RFC 3339 has it, 2006-01-02T15:04:05Z, or say how long ago, 10m", ErrRequest, moment.field, moment.text)
		}
		*moment.to = at
	}
	return call, nil
}

// accept returns those of the instances that there are, each once.
func (h *Handler) accept(ctx context.Context, names []*ankaios.WorkloadInstanceName) (accepted []*ankaios.WorkloadInstanceName, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	request := &argosyv1.GetStateRequest{OmitConfigs: true, OmitAgents: true, OmitWorkloads: true}
	for _, name := range names {
		request.Names = append(request.Names, name.GetWorkloadName())
	}
	err = h.ask(ctx, func(ctx context.Context, c *client.Client) error {
		state, err := c.GetState(ctx, request)
		if err != nil {
			return failed(err)
		}
		known := make(map[string]bool)
		for _, s := range state.GetStates() {
			known[s.GetInstance().Key()] = true
		}
		for _, name := range names {
			if key := keyOf(name); known[key] {
				accepted, known[key] = append(accepted, name), false
			}
		}
		return nil
	})
	return accepted, err
}

func keyOf(name *ankaios.WorkloadInstanceName) string {
	return (&argosyv1.InstanceName{Workload: name.GetWorkloadName(), Id: name.GetId(), Agent: name.GetAgentName()}).Key()
}

// logReader passes lines on.
type logReader struct {
	// open are the instances that have not ended.
	open  map[string]*ankaios.WorkloadInstanceName
	reply reply
	// entries wait to be sent, of so many bytes.
	entries []*ankaios.LogEntry
	bytes   int
	// heard is set once something of the logs has come.
	heard bool
	// failure is set when the workload takes no more.
	failure error
}

// take passes on the lines of those instances that were asked for.
func (l *logReader) take(lines []*argosyv1.LogLine) error {
	l.heard = l.heard || len(lines) > 0
	for _, line := range lines {
		name, ok := l.open[line.GetInstance().Key()]
		if !ok {
			continue
		}
		text := strings.ToValidUTF8(string(line.GetLine()), "\uFFFD")
		if line.GetEnd() {
			if err := l.end(name, text); err != nil {
				return err
			}
			continue
		}
		if err := l.add(name, text); err != nil {
			return err
		}
	}
	return l.flush()
}

func (l *logReader) add(name *ankaios.WorkloadInstanceName, text string) error {
	if l.bytes > 0 && l.bytes+len(text) > maxLogBatch {
		if err := l.flush(); err != nil {
			return err
		}
	}
	l.entries = append(l.entries, &ankaios.LogEntry{WorkloadName: name, Message: text})
	l.bytes += len(text)
	return nil
}

func (l *logReader) flush() error {
	if len(l.entries) == 0 {
		return nil
	}
	entries := l.entries
	l.entries, l.bytes = nil, 0
	return l.send(&ankaios.Response{ResponseContent: &ankaios.Response_LogEntriesResponse{LogEntriesResponse: &ankaios.LogEntriesResponse{LogEntries: entries}}})
}

func (l *logReader) send(response *ankaios.Response) error {
	l.failure = l.reply(response)
	return l.failure
}

// end tells that nothing follows of an instance. A reason is told as a line: there
// is nothing else that it could be told by.
func (l *logReader) end(name *ankaios.WorkloadInstanceName, reason string) error {
	delete(l.open, keyOf(name))
	if reason != "" {
		if err := l.add(name, "The log ended: "+reason); err != nil {
			return err
		}
	}
	if err := l.flush(); err != nil {
		return err
	}
	return l.send(&ankaios.Response{ResponseContent: &ankaios.Response_LogsStopResponse{LogsStopResponse: &ankaios.LogsStopResponse{WorkloadName: name}}})
}

// endAll ends what is still open.
func (l *logReader) endAll(cause error) error {
	reason := ""
	if cause != nil {
		reason = client.Reason(cause)
	}
	for _, name := range l.open {
		if err := l.end(name, reason); err != nil {
			return err
		}
	}
	return nil
}
