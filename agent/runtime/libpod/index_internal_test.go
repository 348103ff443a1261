package libpod

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
	index   *Index
	watcher *watcher
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, index: NewIndex(First), watcher: newWatcher()}
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

func an(status runtime.Status, id string) Container {
	return Container{Instance: runtime.Instance{Name: named("w"), RuntimeID: id, Status: status}}
}

func exited(id string, code int32) Container {
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
		event, _, ok := b.index.state(keys[0])
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
			l := b.index.BeginList("")
			b.index.Merge(l, []Container{running})
			b.mustBe("running 1")
			step()
			b.index.Merge(b.index.BeginList(""), []Container{running})
			b.mustBe("nothing")
			step()
			b.index.Merge(b.index.BeginList(""), nil)
			b.mustBe("gone")
		},
		"an event of before a list changes nothing": func(b *bench) {
			before := step()
			step()
			b.index.Merge(b.index.BeginList(""), []Container{exited("1", 0)})
			b.mustBe("exited 1")
			b.index.apply(change{id: "1", status: runtime.StatusRunning, start: true}, before)
			b.mustBe("nothing")
		},
		"a list begun before an event does not undo it": func(b *bench) {
			b.index.Started(running, step())
			b.mustBe("running 1")
			l := b.index.BeginList("")
			b.index.apply(change{id: "1", status: runtime.StatusExited, exitCode: 3}, step())
			b.mustBe("exited 1")
			b.index.Merge(l, []Container{running})
			b.mustBe("nothing")
		},
		"a list begun just after an event does not undo it": func(b *bench) {
			b.index.Started(running, step())
			b.mustBe("running 1")
			b.index.apply(change{id: "1", status: runtime.StatusExited, exitCode: 3}, step())
			b.mustBe("exited 1")
			b.index.Merge(b.index.BeginList(""), []Container{running})
			b.mustBe("nothing")
		},
		"a list does not say of what has ended that it is being started": func(b *bench) {
			b.index.Merge(b.index.BeginList(""), []Container{starting})
			b.mustBe("starting 1")
			b.index.apply(change{id: "1", status: runtime.StatusExited, exitCode: 3}, step())
			b.mustBe("exited 1")
			step()
			b.index.Merge(b.index.BeginList(""), []Container{starting})
			b.mustBe("nothing")
			b.index.apply(change{id: "1", status: runtime.StatusRunning, start: true}, step())
			b.mustBe("running 1")
		},
		"an event of just before a list counts": func(b *bench) {
			ended := step()
			b.index.Merge(b.index.BeginList(""), []Container{running})
			b.mustBe("running 1")
			b.index.apply(change{id: "1", status: runtime.StatusExited, exitCode: 3}, ended)
			b.mustBe("exited 1")
		},
		"a list begun before a removal does not bring the container back": func(b *bench) {
			b.index.Started(running, step())
			b.mustBe("running 1")
			l := b.index.BeginList("")
			b.index.apply(change{id: "1", removal: true}, step())
			b.mustBe("gone")
			b.index.Merge(l, []Container{running})
			b.mustBe("nothing")
			time.Sleep(2 * remembered)
			b.index.Merge(b.index.BeginList(""), nil)
			b.mustBe("nothing")
			if len(b.index.byID) != 0 {
				b.Error("the removed container is kept for ever")
			}
		},
		"a list begun before a container was made does not lose it": func(b *bench) {
			l := b.index.BeginList("")
			step()
			b.index.Created(starting)
			b.index.Merge(l, nil)
			if found, _ := b.index.Find(named("w").Key()); len(found) != 1 {
				b.Errorf("found %v", found)
			}
		},
		"an end that is told before the answer to the start counts": func(b *bench) {
			b.index.Created(starting)
			asked := step()
			b.index.apply(change{id: "1", status: runtime.StatusExited, exitCode: 4}, step())
			if got := b.index.Started(running, asked); got.Status != runtime.StatusExited || got.ExitCode != 4 {
				b.Errorf("started returns %+v", got)
			}
			b.mustBe("exited 1")
		},
		"an end that is told after the answer to the start counts": func(b *bench) {
			b.index.Created(starting)
			asked := step()
			ended := step()
			step()
			b.index.Started(running, asked)
			b.mustBe("running 1")
			b.index.apply(change{id: "1", status: runtime.StatusExited, exitCode: 4}, ended)
			b.mustBe("exited 1")
		},
		"the end of the run before does not end a container started again": func(b *bench) {
			ended := step()
			b.index.Started(running, step())
			b.mustBe("running 1")
			b.index.apply(change{id: "1", status: runtime.StatusExited, exitCode: 4}, ended)
			b.mustBe("nothing")
		},
		"a container that is made anew is not gone": func(b *bench) {
			b.index.Merge(b.index.BeginList(""), []Container{exited("1", 4)})
			b.mustBe("exited 1")
			release := b.index.Hold(named("w").Key())
			b.index.Removed("1")
			b.mustBe("nothing")
			b.index.Created(an(runtime.StatusStarting, "2"))
			b.index.Started(an(runtime.StatusRunning, "2"), step())
			release()
			b.mustBe("running 2")
			b.index.apply(change{id: "1", removal: true}, step())
			b.mustBe("nothing")
		},
		"a removed container is gone once": func(b *bench) {
			b.index.Started(running, step())
			b.mustBe("running 1")
			b.index.Removed("1")
			b.mustBe("gone")
			b.index.apply(change{id: "1", removal: true}, step())
			b.mustBe("nothing")
		},
		"of several containers the running one speaks": func(b *bench) {
			b.index.Merge(b.index.BeginList(""), []Container{exited("0", 1), running, exited("2", 1)})
			b.mustBe("running 1")
			if all := b.index.All(); len(all) != 1 {
				b.Errorf("all are %v", all)
			}
		},
		"the list of one instance says nothing of others": func(b *bench) {
			b.index.Started(running, step())
			b.mustBe("running 1")
			step()
			l := b.index.BeginList("")
			l.key = named("other").Key()
			b.index.Merge(l, nil)
			b.mustBe("nothing")
		},
		"an event of an unknown container is not understood": func(b *bench) {
			unknown := change{id: "9", key: named("w").Key(), status: runtime.StatusRunning}
			if b.index.apply(unknown, step()) {
				b.Error("it was")
			}
			b.mustBe("nothing")
			release := b.index.Hold(named("w").Key())
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
			b.index.Started(running, step())
			b.mustBe("running 1")
			ended := step()
			step()
			b.index.Removed("1")
			b.mustBe("gone")
			step()
			b.index.Merge(b.index.BeginList(""), nil)
			b.index.apply(change{id: "1", status: runtime.StatusExited, exitCode: 1}, ended)
			b.mustBe("nothing")
			if all := b.index.All(); len(all) != 0 {
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
	x := NewIndex(First)
	complete := func() bool { _, ok := x.Find("w"); return ok }
	if complete() {
		t.Error("complete without a stream of events")
	}
	x.Merge(x.BeginList(""), nil)
	leave := x.join()
	if !complete() {
		t.Error("not complete after a list, with a stream of events")
	}
	early := x.BeginList("")
	x.Doubt()
	x.Merge(early, nil)
	if complete() {
		t.Error("complete by a list that was begun before the doubt")
	}
	x.Merge(x.BeginList(""), nil)
	if !complete() {
		t.Error("not complete after another list")
	}
	leave()
	defer x.join()()
	if complete() {
		t.Error("complete after the stream was away, without a list")
	}
}
