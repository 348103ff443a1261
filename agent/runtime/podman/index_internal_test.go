package podman

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// bench is an index, a watcher of it, and the steps of a test.
type bench struct {
	*testing.T
	index   *index
	watcher *watcher
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, index: newIndex(), watcher: newWatcher()}
	t.Cleanup(b.index.subscribe(b.watcher))
	return b
}

// step lets time go on, so that what follows is later than what was before.
func step() time.Time {
	time.Sleep(2 * lead) // of the bubble's clock
	return time.Now()
}

func named(workload string) *argosyv1.InstanceName {
	return &argosyv1.InstanceName{Workload: workload, Id: strings.Repeat("a", 64), Agent: "agent"}
}

func an(status runtime.Status, id string) runtime.Instance {
	return runtime.Instance{Name: named("w"), RuntimeID: id, Status: status}
}

func exited(id string, code int32) runtime.Instance {
	i := an(runtime.StatusExited, id)
	i.ExitCode = code
	return i
}

// mustBe checks what the watcher is told: the state of the instance, or that it
// is gone, or nothing.
func (b *bench) mustBe(want string) {
	b.Helper()
	_, keys := b.watcher.take()
	got := "nothing"
	if len(keys) > 0 {
		event, ok := b.index.state(keys[0])
		switch {
		case !ok:
			got = "unknown"
		case event.Gone:
			got = "gone"
		default:
			got = []string{"unknown", "starting", "running", "stopping", "exited"}[event.Instance.Status] + " " + event.Instance.RuntimeID
		}
	}
	if got != want {
		b.Errorf("told %s, want %s", got, want)
	}
}

func TestIndex(t *testing.T) {
	running, starting := an(runtime.StatusRunning, "1"), an(runtime.StatusStarting, "1")
	for name, test := range map[string]func(b *bench){
		"a list is told once": func(b *bench) {
			l := b.index.beginList()
			b.index.merge(l, []runtime.Instance{running})
			b.mustBe("running 1")
			step()
			b.index.merge(b.index.beginList(), []runtime.Instance{running})
			b.mustBe("nothing")
			step()
			b.index.merge(b.index.beginList(), nil)
			b.mustBe("gone")
		},
		"an event of before a list changes nothing": func(b *bench) {
			before := step()
			step()
			b.index.merge(b.index.beginList(), []runtime.Instance{exited("1", 0)})
			b.mustBe("exited 1")
			b.index.apply(change{id: "1", status: runtime.StatusRunning, start: true}, before)
			b.mustBe("nothing")
		},
		"a list begun before an event does not undo it": func(b *bench) {
			b.index.started(running, step())
			b.mustBe("running 1")
			l := b.index.beginList()
			b.index.apply(change{id: "1", status: runtime.StatusExited, exitCode: 3}, step())
			b.mustBe("exited 1")
			b.index.merge(l, []runtime.Instance{running})
			b.mustBe("nothing")
		},
		"a list begun just after an event does not undo it": func(b *bench) {
			b.index.started(running, step())
			b.mustBe("running 1")
			b.index.apply(change{id: "1", status: runtime.StatusExited, exitCode: 3}, step())
			b.mustBe("exited 1")
			b.index.merge(b.index.beginList(), []runtime.Instance{running})
			b.mustBe("nothing")
		},
		"an event of just before a list counts": func(b *bench) {
			ended := step()
			b.index.merge(b.index.beginList(), []runtime.Instance{running})
			b.mustBe("running 1")
			b.index.apply(change{id: "1", status: runtime.StatusExited, exitCode: 3}, ended)
			b.mustBe("exited 1")
		},
		"a list begun before a removal does not bring the container back": func(b *bench) {
			b.index.started(running, step())
			b.mustBe("running 1")
			l := b.index.beginList()
			b.index.apply(change{id: "1", removal: true}, step())
			b.mustBe("gone")
			b.index.merge(l, []runtime.Instance{running})
			b.mustBe("nothing")
			time.Sleep(2 * remembered)
			b.index.merge(b.index.beginList(), nil)
			b.mustBe("nothing")
			if len(b.index.byID) != 0 {
				b.Error("the removed container is kept for ever")
			}
		},
		"a list begun before a container was made does not lose it": func(b *bench) {
			l := b.index.beginList()
			step()
			b.index.created(starting)
			b.index.merge(l, nil)
			if found, _ := b.index.find(named("w").Key()); len(found) != 1 {
				b.Errorf("found %v", found)
			}
		},
		"an end that is told before the answer to the start counts": func(b *bench) {
			b.index.created(starting)
			asked := step()
			b.index.apply(change{id: "1", status: runtime.StatusExited, exitCode: 4}, step())
			if got := b.index.started(running, asked); got.Status != runtime.StatusExited || got.ExitCode != 4 {
				b.Errorf("started returns %+v", got)
			}
			b.mustBe("exited 1")
		},
		"an end that is told after the answer to the start counts": func(b *bench) {
			b.index.created(starting)
			asked := step()
			ended := step()
			step()
			b.index.started(running, asked)
			b.mustBe("running 1")
			b.index.apply(change{id: "1", status: runtime.StatusExited, exitCode: 4}, ended)
			b.mustBe("exited 1")
		},
		"the end of the run before does not end a container started again": func(b *bench) {
			ended := step()
			b.index.started(running, step())
			b.mustBe("running 1")
			b.index.apply(change{id: "1", status: runtime.StatusExited, exitCode: 4}, ended)
			b.mustBe("nothing")
		},
		"a container that is made anew is not gone": func(b *bench) {
			b.index.merge(b.index.beginList(), []runtime.Instance{exited("1", 4)})
			b.mustBe("exited 1")
			release := b.index.hold(named("w").Key())
			b.index.removed("1")
			b.mustBe("nothing")
			b.index.created(an(runtime.StatusStarting, "2"))
			b.index.started(an(runtime.StatusRunning, "2"), step())
			release()
			b.mustBe("running 2")
			b.index.apply(change{id: "1", removal: true}, step())
			b.mustBe("nothing")
		},
		"a removed container is gone once": func(b *bench) {
			b.index.started(running, step())
			b.mustBe("running 1")
			b.index.removed("1")
			b.mustBe("gone")
			b.index.apply(change{id: "1", removal: true}, step())
			b.mustBe("nothing")
		},
		"of several containers the running one speaks": func(b *bench) {
			b.index.merge(b.index.beginList(), []runtime.Instance{exited("0", 1), running, exited("2", 1)})
			b.mustBe("running 1")
			if all := b.index.all(); len(all) != 1 {
				b.Errorf("all are %v", all)
			}
		},
		"the list of one instance says nothing of others": func(b *bench) {
			b.index.started(running, step())
			b.mustBe("running 1")
			step()
			l := b.index.beginList()
			l.key = named("other").Key()
			b.index.merge(l, nil)
			b.mustBe("nothing")
		},
		"an event of an unknown container is not understood": func(b *bench) {
			unknown := change{id: "9", container: named("w").Key(), status: runtime.StatusRunning}
			if b.index.apply(unknown, step()) {
				b.Error("it was")
			}
			b.mustBe("nothing")
			release := b.index.hold(named("w").Key())
			if !b.index.apply(unknown, step()) {
				b.Error("while it is being made it need not be")
			}
			release()
			unknown.removal = true
			if !b.index.apply(unknown, step()) {
				b.Error("its removal need not be")
			}
		},
		"a late end does not bring a removed container back": func(b *bench) {
			b.index.started(running, step())
			b.mustBe("running 1")
			ended := step()
			step()
			b.index.removed("1")
			b.mustBe("gone")
			step()
			b.index.merge(b.index.beginList(), nil)
			b.index.apply(change{id: "1", status: runtime.StatusExited, exitCode: 1}, ended)
			b.mustBe("nothing")
			if all := b.index.all(); len(all) != 0 {
				b.Errorf("all are %+v", all)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(newBench(t)) })
		})
	}
}

func TestIndexIsCompleteOnlyWhileFollowedAndAfterAList(t *testing.T) {
	x := newIndex()
	complete := func() bool { _, ok := x.find("w"); return ok }
	if complete() {
		t.Error("complete without a stream of events")
	}
	x.merge(x.beginList(), nil)
	leave := x.join()
	if !complete() {
		t.Error("not complete after a list, with a stream of events")
	}
	early := x.beginList()
	x.doubt()
	x.merge(early, nil)
	if complete() {
		t.Error("complete by a list that was begun before the doubt")
	}
	x.merge(x.beginList(), nil)
	if !complete() {
		t.Error("not complete after another list")
	}
	leave()
	defer x.join()()
	if complete() {
		t.Error("complete after the stream was away, without a list")
	}
}
