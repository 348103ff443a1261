package reconcile

import (
	"reflect"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const (
	never     = argosyv1.RestartPolicy_RESTART_POLICY_NEVER
	onFailure = argosyv1.RestartPolicy_RESTART_POLICY_ON_FAILURE
	always    = argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS
)

var (
	testNow = time.Unix(1_800_000_000, 0)
	later   = testNow.Add(time.Minute)
)

func testWorkload(config string, policy argosyv1.RestartPolicy) *argosyv1.Workload {
	return &argosyv1.Workload{Name: "web", Agent: "node1", Runtime: "pods", RuntimeConfig: config, RestartPolicy: policy, CreatedRevision: 7, Revision: 7}
}

func wanted(policy argosyv1.RestartPolicy) *desired { return desire(testWorkload("image: a", policy)) }

// at is an instance of the workload made from a configuration.
func at(config string, status runtime.Status, exitCode int32) observed {
	d := desire(testWorkload(config, never))
	return observed{place: d.place, instance: runtime.Instance{
		Name: d.instance, RuntimeID: "id", Status: status, ExitCode: exitCode, StartedAt: testNow.Add(-time.Hour),
	}}
}

func leaving(config string, change func(*retiree)) retiree {
	d := desire(testWorkload(config, never))
	r := retiree{place: d.place, instance: d.instance, workload: d.workload}
	if change != nil {
		change(&r)
	}
	return r
}

func TestPlan(t *testing.T) {
	own := wanted(never).place
	old := leaving("image: old", nil)
	ran := book{seen: true, here: true, ended: true, exited: true}
	failedRun := ran
	failedRun.exitCode = 3
	lost := book{seen: true, here: true, ended: true}
	usable := map[string]bool{"pods": true}

	tests := []struct {
		name string
		// alone: no leader has vouched yet.
		alone bool
		s     situation
		want  decision
	}{
		// What is wanted and not there.
		{"creates what was never made", false, situation{desired: wanted(never)},
			decision{verb: start, place: own}},
		{"does not create on memory alone", true, situation{desired: wanted(never)},
			decision{}},
		{"waits out the back-off of a failed creation", false, situation{desired: wanted(never), book: book{called: true, attempts: 2, notBefore: later}},
			decision{wake: later}},
		{"creates again after the back-off", false, situation{desired: wanted(never), book: book{called: true, attempts: 2, notBefore: testNow}},
			decision{verb: start, place: own}},
		{"takes no runtime for another", false, situation{desired: desire(&argosyv1.Workload{Name: "web", Runtime: "kube", RuntimeConfig: "x"})},
			decision{settled: true}},
		{"does not try what can never work", false, situation{desired: wanted(always), book: book{called: true, invalid: "bad"}},
			decision{settled: true}},
		{"concludes nothing from a runtime that does not answer", false, situation{desired: wanted(always), usable: map[string]bool{"pods": false}},
			decision{}},

		// What is wanted and there.
		{"leaves alone what runs", false, situation{desired: wanted(always), book: book{seen: true, here: true}, actual: []observed{at("image: a", runtime.StatusRunning, 0)}},
			decision{settled: true}},
		{"leaves alone what somebody stops", false, situation{desired: wanted(always), book: book{seen: true, here: true}, actual: []observed{at("image: a", runtime.StatusStopping, 0)}},
			decision{settled: true}},
		{"leaves alone what is paused", false, situation{desired: wanted(always), book: book{seen: true, here: true}, actual: []observed{at("image: a", runtime.StatusUnknown, 0)}},
			decision{settled: true}},
		{"starts what was left half made", false, situation{desired: wanted(never), actual: []observed{at("image: a", runtime.StatusStarting, 0)}},
			decision{verb: start, place: own}},
		{"does not start half made things on memory alone", true, situation{desired: wanted(never), actual: []observed{at("image: a", runtime.StatusStarting, 0)}},
			decision{}},
		{"is patient with what it has just started", false, situation{desired: wanted(never), book: book{called: true, calledAt: testNow}, actual: []observed{at("image: a", runtime.StatusStarting, 0)}},
			decision{wake: testNow.Add(30 * time.Second)}},
		{"starts again what never came to run", false, situation{desired: wanted(never), book: book{called: true, calledAt: testNow.Add(-time.Minute)}, actual: []observed{at("image: a", runtime.StatusStarting, 0)}},
			decision{verb: start, place: own}},

		// Restart policies.
		{"does not run a finished job again", false, situation{desired: wanted(never), book: ran, actual: []observed{at("image: a", runtime.StatusExited, 0)}},
			decision{settled: true}},
		{"does not run a failed job again", false, situation{desired: wanted(never), book: failedRun, actual: []observed{at("image: a", runtime.StatusExited, 3)}},
			decision{settled: true}},
		{"on failure leaves success alone", false, situation{desired: wanted(onFailure), book: ran, actual: []observed{at("image: a", runtime.StatusExited, 0)}},
			decision{settled: true}},
		{"on failure makes anew", false, situation{desired: wanted(onFailure), book: failedRun, actual: []observed{at("image: a", runtime.StatusExited, 3)}},
			decision{verb: start, place: own, settled: true}},
		{"always starts a success again as it is", false, situation{desired: wanted(always), book: ran, actual: []observed{at("image: a", runtime.StatusExited, 0)}},
			decision{verb: start, place: own, reuse: true, settled: true}},
		{"always makes a failure anew", false, situation{desired: wanted(always), book: failedRun, actual: []observed{at("image: a", runtime.StatusExited, 3)}},
			decision{verb: start, place: own, settled: true}},
		{"restarts without a leader too", true, situation{desired: wanted(always), book: failedRun, actual: []observed{at("image: a", runtime.StatusExited, 3)}},
			decision{verb: start, place: own}},
		{"waits out the back-off of a restart", false, situation{desired: wanted(always), book: func() book { b := ran; b.notBefore = later; return b }(), actual: []observed{at("image: a", runtime.StatusExited, 0)}},
			decision{wake: later, settled: true}},
		{"keeps trying a restart that failed", false, situation{desired: wanted(onFailure), book: func() book { b := failedRun; b.attempts = 1; return b }(), actual: []observed{at("image: a", runtime.StatusExited, 3)}},
			decision{verb: start, place: own, settled: true}},

		// What was lost.
		{"does not make a lost job again", false, situation{desired: wanted(never), book: lost},
			decision{settled: true}},
		{"makes a lost instance again on failure", false, situation{desired: wanted(onFailure), book: lost},
			decision{verb: start, place: own, settled: true}},
		{"makes a lost instance again always", false, situation{desired: wanted(always), book: lost},
			decision{verb: start, place: own, settled: true}},
		{"knows that what ended well before it vanished did not fail", false, situation{desired: wanted(onFailure), book: ran},
			decision{settled: true}},
		{"makes nothing again that it only remembers", true, situation{desired: wanted(always), book: book{seen: true}},
			decision{}},
		{"makes again what it remembers once a leader vouches", false, situation{desired: wanted(always), book: book{seen: true}},
			decision{verb: start, place: own, settled: true}},
		{"makes again without a leader what it has seen itself", true, situation{desired: wanted(always), book: lost},
			decision{verb: start, place: own}},

		// What is not wanted.
		{"removes what nobody asked for", false, situation{actual: []observed{at("image: x", runtime.StatusRunning, 0)}},
			decision{verb: remove, place: at("image: x", 0, 0).place, instance: at("image: x", 0, 0).instance.Name}},
		{"removes nothing on memory alone", true, situation{actual: []observed{at("image: x", runtime.StatusRunning, 0)}},
			decision{}},
		{"removes the old before it starts the new", false, situation{desired: wanted(never), retiring: []retiree{old}, actual: []observed{at("image: old", runtime.StatusRunning, 0)}},
			decision{verb: remove, place: old.place, instance: old.instance}},
		{"creates the new before it removes the old where it can", false, situation{ahead: true, desired: wanted(never), retiring: []retiree{old}, actual: []observed{at("image: old", runtime.StatusRunning, 0)}},
			decision{verb: create, place: own}},
		{"creates the new once", false, situation{ahead: true, desired: wanted(never), book: book{created: true}, retiring: []retiree{old}, actual: []observed{at("image: old", runtime.StatusRunning, 0)}},
			decision{verb: remove, place: old.place, instance: old.instance}},
		{"creates nothing once a removal has begun", false, situation{ahead: true, desired: wanted(never), retiring: []retiree{leaving("image: old", func(r *retiree) { r.begun = true })}, actual: []observed{at("image: old", runtime.StatusRunning, 0)}},
			decision{verb: remove, place: old.place, instance: old.instance}},
		{"creates nothing beside another of the same name", false, situation{ahead: true, desired: wanted(never), retiring: []retiree{leaving("image: a", nil)}, actual: []observed{at("image: a", runtime.StatusRunning, 0)}},
			decision{verb: remove, place: own, instance: wanted(never).instance}},
		{"creates nothing ahead of nothing", false, situation{ahead: true, desired: wanted(never)},
			decision{verb: start, place: own}},
		{"removes what it finds of another version before it starts", false, situation{desired: wanted(never), actual: []observed{at("image: x", runtime.StatusExited, 0)}},
			decision{verb: remove, place: at("image: x", 0, 0).place, instance: at("image: x", 0, 0).instance.Name}},
		{"starts the new once the old is gone", false, situation{desired: wanted(never), retiring: []retiree{old}},
			decision{verb: start, place: own, gone: []place{old.place}}},
		{"waits for the old at a runtime that does not answer", false, situation{desired: wanted(never), usable: map[string]bool{"pods": true, "other": false},
			retiring: []retiree{{place: place{"other", "k"}}}},
			decision{}},
		{"gives up the old at a runtime that it does not have any more", false, situation{desired: wanted(never), retiring: []retiree{{place: place{"kube", "k"}}}},
			decision{verb: start, place: own, gone: []place{{"kube", "k"}}}},
		{"removes what a start that was cut off may have left", false, situation{retiring: []retiree{leaving("image: old", func(r *retiree) { r.book.called = true })}},
			decision{verb: remove, place: old.place, instance: old.instance}},
		{"takes a removal that was cut off for done once nothing is there", false, situation{retiring: []retiree{leaving("image: old", func(r *retiree) { r.book.called, r.begun = true, true })}},
			decision{gone: []place{old.place}, settled: true}},
		{"removes what a creation that was cut off may have left", false, situation{retiring: []retiree{leaving("image: old", func(r *retiree) { r.book.created = true })}},
			decision{verb: remove, place: old.place, instance: old.instance}},
		{"waits out the back-off of a failed removal", false, situation{desired: wanted(never), retiring: []retiree{leaving("image: old", func(r *retiree) { r.begun, r.failures, r.notBefore = true, 1, later })},
			actual: []observed{at("image: old", runtime.StatusRunning, 0)}},
			decision{wake: later}},
		{"tries a failed removal again", false, situation{desired: wanted(never), retiring: []retiree{leaving("image: old", func(r *retiree) { r.begun, r.failures, r.notBefore = true, 1, testNow })},
			actual: []observed{at("image: old", runtime.StatusRunning, 0)}},
			decision{verb: remove, place: old.place, instance: old.instance}},
		{"removes what was deleted and made again alike", false, situation{desired: wanted(never), retiring: []retiree{leaving("image: a", nil)}, actual: []observed{at("image: a", runtime.StatusRunning, 0)}},
			decision{verb: remove, place: own, instance: wanted(never).instance}},
		{"is done when nothing is wanted and nothing there", false, situation{}, decision{settled: true}},
		{"is never done on memory alone", true, situation{}, decision{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := test.s
			s.now, s.patience = testNow, 30*time.Second
			if s.usable == nil {
				s.usable = usable
			}
			s.vouched = !test.alone
			if got := plan(s); !reflect.DeepEqual(got, test.want) {
				t.Errorf("plan:\n got %+v\nwant %+v", got, test.want)
			}
		})
	}
}
