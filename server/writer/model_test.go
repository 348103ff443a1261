package writer

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// model is a cluster's objects, judged as a whole each time.
type model struct {
	workloads map[string]*argosyv1.Workload
	configs   map[string]*argosyv1.Config
}

// after returns what an Apply makes of it, false when that must not be.
func (m model) after(a *argosyv1.ApplyRequest) (model, bool) {
	next := model{maps.Clone(m.workloads), maps.Clone(m.configs)}
	for _, c := range a.GetConfigs() {
		next.configs[c.GetKey()] = c
	}
	for _, key := range a.GetDeleteConfigs() {
		delete(next.configs, key)
	}
	for _, w := range a.GetWorkloads() {
		next.workloads[w.GetName()] = w
	}
	for _, name := range a.GetDeleteWorkloads() {
		delete(next.workloads, name)
	}
	for name, w := range next.workloads {
		w = proto.CloneOf(w)
		if w.Rendered = nil; len(w.GetConfigs()) > 0 {
			rendered, err := fillIn(w, func(key string) (*argosyv1.ConfigItem, bool) {
				c, ok := next.configs[key]
				return c.GetValue(), ok
			})
			if err != nil {
				return m, false
			}
			w.Rendered = rendered
		}
		next.workloads[name] = w
	}
	return next, !next.cyclic()
}

func (m model) cyclic() bool {
	const under, done = 1, 2
	state := map[string]int{}
	var visit func(string) bool
	visit = func(name string) bool {
		if state[name] != 0 {
			return state[name] == under
		}
		state[name] = under
		for need := range m.workloads[name].GetDependencies() {
			if visit(need) {
				return true
			}
		}
		state[name] = done
		return false
	}
	for name := range m.workloads {
		if visit(name) {
			return true
		}
	}
	return false
}

func (m model) check(h *harness) error {
	view := h.log.View()
	if n := view.Count(kindWorkload); n != len(m.workloads) {
		return fmt.Errorf("%d workloads, want %d", n, len(m.workloads))
	}
	if n := view.Count(kindConfig); n != len(m.configs) {
		return fmt.Errorf("%d configs, want %d", n, len(m.configs))
	}
	for name, want := range m.workloads {
		row, ok := view.Workload(name)
		if !ok {
			return fmt.Errorf("%s is not there", name)
		}
		have, err := row.Workload()
		if err != nil {
			return err
		}
		if have.CreatedRevision, have.Revision = 0, 0; !proto.Equal(have, want) || row.Group != want.RunsOn() {
			return fmt.Errorf("stored in group %s is\n%v\nwant\n%v", row.Group, have, want)
		}
	}
	return nil
}

var (
	modelNames = []string{"a", "b", "c", "d", "e"}
	modelKeys  = []string{"k0", "k1", "k2"}
)

func drawApply(t *rapid.T) *Request {
	r := apply()
	a := r.Apply
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(modelNames), 0, 3, rapid.ID).Draw(t, "workloads") {
		if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			a.DeleteWorkloads = append(a.DeleteWorkloads, name)
			continue
		}
		w := needing(name, rapid.SliceOfN(rapid.SampledFrom(modelNames), 0, 2).Draw(t, "needs")...)
		w.RuntimeConfig = rapid.SampledFrom([]string{"{x}", "{y}", "plain"}).Draw(t, "config")
		for _, alias := range []string{"x", "y"} {
			if rapid.Bool().Draw(t, "uses") {
				w.Configs = map[string]string{alias: rapid.SampledFrom(modelKeys).Draw(t, "key")}
			}
		}
		if len(w.GetConfigs()) > 0 && rapid.Bool().Draw(t, "moves") {
			w.Agent = "{x}"
		}
		a.Workloads = append(a.Workloads, w)
	}
	for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom(modelKeys), 0, 2, rapid.ID).Draw(t, "configs") {
		if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			a.DeleteConfigs = append(a.DeleteConfigs, key)
			continue
		}
		a.Configs = append(a.Configs, config(key, rapid.SampledFrom([]string{"a1", "a2", "broken"}).Draw(t, "value")))
	}
	if len(a.Workloads)+len(a.Configs)+len(a.DeleteWorkloads)+len(a.DeleteConfigs) == 0 {
		a.DeleteWorkloads = []string{"a"}
	}
	return r
}

// Whatever is asked for in whatever order, by however many leaders, comes out as if
// all of the state had been looked at each time.
func TestMixedRequestsAgreeWithALookAtEverything(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		log := newLedger(t, false)
		h := startFull(t, log, nil)
		defer func() { h.Drain(); <-h.Stopped() }()
		m := model{map[string]*argosyv1.Workload{}, map[string]*argosyv1.Config{}}
		for range rapid.IntRange(1, 25).Draw(rt, "requests") {
			r := drawApply(rt)
			next, allowed := m.after(r.Apply)
			rehearsal := &Request{Principal: "ann", Apply: proto.CloneOf(r.Apply)}
			rehearsal.Apply.DryRun = true
			said := <-h.send(rehearsal)
			o := <-h.send(r)
			if (o.Err == nil) != allowed {
				rt.Fatalf("%v on %v: %v", r.Apply, m, o.Err)
			}
			if fmt.Sprint(said.Err) != fmt.Sprint(o.Err) {
				rt.Fatalf("the rehearsal said %v, then it was %v", said.Err, o.Err)
			}
			if allowed {
				agree(rt, said.Result, o.Result)
				checkRendered(rt, m, next, r.Apply, o.Result)
				m = next
			}
			if err := m.check(h); err != nil {
				rt.Fatal(err)
			}
			if rapid.IntRange(0, 4).Draw(rt, "another leader") == 0 {
				h.Drain()
				<-h.Stopped()
				h = prepareHarness(t, log, nil)
				h.run(t)
			}
		}
	})
}

func agree(t *rapid.T, said, did *argosyv1.WriteResult) {
	for _, c := range slices.Concat(said.GetChanges(), said.GetRendered()) {
		c.ChangedFields = nil
	}
	if !proto.Equal(said, did) {
		t.Fatalf("the rehearsal said\n%v\nthen it was\n%v", said, did)
	}
}

// checkRendered wants exactly those that a config changed and that the request does
// not name.
func checkRendered(t *rapid.T, before, after model, a *argosyv1.ApplyRequest, did *argosyv1.WriteResult) {
	var want, have []string
	for name, w := range after.workloads {
		named := slices.ContainsFunc(a.GetWorkloads(), func(w *argosyv1.Workload) bool { return w.GetName() == name })
		if !named && !proto.Equal(w, before.workloads[name]) {
			want = append(want, name)
		}
	}
	for _, c := range did.GetRendered() {
		have = append(have, c.GetName())
	}
	if slices.Sort(want); !slices.Equal(have, want) {
		t.Fatalf("rendered anew were %v, want %v", have, want)
	}
}
