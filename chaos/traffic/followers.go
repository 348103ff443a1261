package traffic

import (
	"context"
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/traffic/probe"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// follower is a session that follows what probes print.
type follower struct {
	session
	streams int64
	all     bool
	// runs are those that go on, by instance.
	runs map[string]*history.LogRun
	// told are the workloads of which it was told anything.
	told map[string]bool
}

// followLife is for how many times its patience a follower follows at most.
const followLife = 3

// tailLines is with how many old lines it begins mostly.
const tailLines = 5

// followAlong follows one probe or two at a time, for a while each.
func (f *follower) followAlong(ctx context.Context, probes []string) {
	for ctx.Err() == nil {
		names := f.some(probes)
		f.follow(ctx, f.anyWay(), names[:min(len(names), 2)])
		if !f.pause(ctx, max(f.meanPause(), 10*failurePause)) {
			return
		}
	}
}

func (f *follower) follow(ctx context.Context, by way, names []string) {
	f.streams++
	f.runs, f.told = map[string]*history.LogRun{}, map[string]bool{}
	began := f.config.Clock()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(f.rand.Int64N(int64(followLife*f.config.Patience))))
	defer cancel()
	request := &argosyv1.LogsRequest{Names: names, Follow: true}
	if !f.oneIn(5) {
		request.HasTail, request.Tail = true, tailLines
	}
	f.all = !request.GetHasTail()
	err := by.client.Logs(ctx, request, func(batch *argosyv1.LogsResponse) error {
		for _, line := range batch.GetLines() {
			f.take(line)
		}
		return nil
	})
	for _, name := range names {
		// Who is told why has been told something.
		if f.told[name] || ctx.Err() == nil && err != nil {
			continue
		}
		now := f.config.Clock()
		f.config.Recorder.LogRun(history.LogRun{
			Follower: f.name, Stream: f.streams, All: f.all, Workload: name, Nothing: true, First: began, Last: now, Until: now, Dropped: ctx.Err() == nil,
		})
	}
	for key, run := range f.runs {
		switch {
		case ctx.Err() != nil:
			// It had seen enough.
		case err != nil:
			run.Why = err.Error()
		default:
			run.Dropped = true
		}
		f.finish(key)
	}
}

// take adds a line to the run that it continues, or begins another one.
func (f *follower) take(line *argosyv1.LogLine) {
	key := line.GetInstance().Key()
	f.told[line.GetInstance().GetWorkload()] = true
	if run := f.runs[key]; run != nil && line.GetEnd() {
		run.End, run.Why = true, string(line.GetLine())
		f.finish(key)
	}
	// What it has to say of a failure of its own has no number.
	if line.GetEnd() || line.GetStderr() {
		return
	}
	f.counts.lines.Add(1)
	printed, err := probe.ParseLine(line.GetLine())
	if err != nil {
		f.finish(key)
		f.begin(line, probe.Line{}).Foreign = fmt.Sprintf("%.100q", line.GetLine())
		f.finish(key)
		return
	}
	run := f.runs[key]
	if run == nil || run.PID != printed.PID || run.Value != printed.Value || run.To+1 != printed.Number {
		f.finish(key)
		run = f.begin(line, printed)
	}
	run.To, run.Last = printed.Number, f.config.Clock()
}

func (f *follower) begin(line *argosyv1.LogLine, printed probe.Line) *history.LogRun {
	now := f.config.Clock()
	run := &history.LogRun{
		Follower: f.name, Stream: f.streams, All: f.all,
		Workload: line.GetInstance().GetWorkload(), Instance: line.GetInstance().GetId(), Agent: line.GetInstance().GetAgent(),
		Value: printed.Value, PID: printed.PID, From: printed.Number, To: printed.Number, First: now, Last: now,
	}
	f.runs[line.GetInstance().Key()] = run
	return run
}

func (f *follower) finish(key string) {
	run := f.runs[key]
	if run == nil {
		return
	}
	delete(f.runs, key)
	run.Until = f.config.Clock()
	f.config.Recorder.LogRun(*run)
}
