package traffic

import (
	"context"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/traffic/probe"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// follower is a session that follows what probes print.
type follower struct {
	session
	streams int64
	// runs are those that go on, by instance.
	runs map[string]*history.LogRun
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
	f.runs = map[string]*history.LogRun{}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(f.rand.Int64N(int64(followLife*f.config.Patience))))
	defer cancel()
	request := &argosyv1.LogsRequest{Names: names, Follow: true}
	if !f.oneIn(5) {
		request.HasTail, request.Tail = true, tailLines
	}
	err := by.client.Logs(ctx, request, func(batch *argosyv1.LogsResponse) error {
		for _, line := range batch.GetLines() {
			f.take(line)
		}
		return nil
	})
	why := ""
	if err != nil && ctx.Err() == nil {
		why = err.Error()
	}
	for key := range f.runs {
		f.finish(key, false, why)
	}
}

// take adds a line to the run that it continues, or begins another one.
func (f *follower) take(line *argosyv1.LogLine) {
	key := line.GetInstance().Key()
	if line.GetEnd() {
		f.finish(key, true, string(line.GetLine()))
		return
	}
	f.counts.lines.Add(1)
	now := f.config.Clock()
	printed, err := probe.ParseLine(line.GetLine())
	if err != nil {
		// What no probe prints is a run of its own, without a number.
		f.finish(key, false, "")
		f.begin(line, probe.Line{}, now)
		f.finish(key, false, err.Error())
		return
	}
	run := f.runs[key]
	if run == nil || run.PID != printed.PID || run.Value != printed.Value || run.To+1 != printed.Number {
		f.finish(key, false, "")
		run = f.begin(line, printed, now)
	}
	run.To, run.Last = printed.Number, now
}

func (f *follower) begin(line *argosyv1.LogLine, printed probe.Line, now history.Micros) *history.LogRun {
	run := &history.LogRun{
		Follower: f.name, Stream: f.streams,
		Workload: line.GetInstance().GetWorkload(), Instance: line.GetInstance().GetId(), Agent: line.GetInstance().GetAgent(),
		Value: printed.Value, PID: printed.PID, From: printed.Number, To: printed.Number, First: now, Last: now,
	}
	f.runs[line.GetInstance().Key()] = run
	return run
}

func (f *follower) finish(key string, end bool, why string) {
	run := f.runs[key]
	if run == nil {
		return
	}
	delete(f.runs, key)
	run.End, run.Why = end, why
	f.config.Recorder.LogRun(*run)
}
