package writer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func validateConfig(key string, value *argosyv1.ConfigItem) error {
	if key == "" || value == nil {
		return errors.New("Unsupported config item key ''.")
	}
	return nil
}

// fillIn is a Renderer that puts texts in place of {alias}.
func fillIn(w *argosyv1.Workload, lookup func(string) (*argosyv1.ConfigItem, bool)) (*argosyv1.Rendered, error) {
	var pairs []string
	for _, alias := range slices.Sorted(maps.Keys(w.GetConfigs())) {
		item, ok := lookup(w.GetConfigs()[alias])
		if !ok {
			return nil, fmt.Errorf("Workload references config key '%s' that does not exist", w.GetConfigs()[alias])
		}
		if item.GetText() == "broken" {
			return nil, errors.New("Failed to render field 'runtimeConfig': 'it is broken'")
		}
		pairs = append(pairs, "{"+alias+"}", item.GetText())
	}
	replace := strings.NewReplacer(pairs...).Replace
	rendered := &argosyv1.Rendered{Agent: replace(w.GetAgent()), RuntimeConfig: replace(w.GetRuntimeConfig())}
	for _, f := range w.GetFiles() {
		rendered.Files = append(rendered.Files, &argosyv1.File{MountPoint: f.GetMountPoint(), Content: &argosyv1.File_Data{Data: replace(f.GetData())}})
	}
	return rendered, nil
}

// startFull starts a writer of a cluster in which everything may be asked for.
func startFull(t testing.TB, log *ledger, change func(*Config, *Deps)) *harness {
	t.Helper()
	h := prepareHarness(t, log, change)
	h.run(t)
	h.setLevel(t, argosyv1.FeatureLevel)
	return h
}

func (h *harness) setLevel(t testing.TB, level uint32) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		done <- h.Mutate(t.Context(), func(c *Working) error {
			return c.PutMessage(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey, "", &argosyv1.ClusterSettings{ClusterId: "c", FeatureLevel: level})
		})
	}()
	if h.log.manual {
		<-h.log.arrived
		h.log.commit(nil)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func needing(name string, needs ...string) *argosyv1.Workload {
	w := workload(name, "of "+name)
	w.Dependencies = map[string]argosyv1.DependencyCondition{}
	for _, need := range needs {
		w.Dependencies[need] = argosyv1.DependencyCondition_DEPENDENCY_CONDITION_RUNNING
	}
	return w
}

// using makes a workload with one config, that its runtime configuration shows.
func using(name, key string) *argosyv1.Workload {
	w := workload(name, "value {x}")
	w.Configs = map[string]string{"x": key}
	return w
}

func config(key, text string) *argosyv1.Config {
	return &argosyv1.Config{Key: key, Value: &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Text{Text: text}}}
}

// all is an Apply of several kinds of objects.
func all(objects ...any) *Request {
	r := apply()
	for _, o := range objects {
		switch o := o.(type) {
		case *argosyv1.Workload:
			r.Apply.Workloads = append(r.Apply.Workloads, o)
		case *argosyv1.Config:
			r.Apply.Configs = append(r.Apply.Configs, o)
		case *argosyv1.AgentTags:
			r.Apply.AgentTags = append(r.Apply.AgentTags, o)
		case *argosyv1.ExpectedRevision:
			r.Apply.Expected = append(r.Apply.Expected, o)
		case func(*argosyv1.ApplyRequest):
			o(r.Apply)
		}
	}
	return r
}

func without(names ...string) func(*argosyv1.ApplyRequest) {
	return func(a *argosyv1.ApplyRequest) { a.DeleteWorkloads = append(a.DeleteWorkloads, names...) }
}

func withoutConfigs(keys ...string) func(*argosyv1.ApplyRequest) {
	return func(a *argosyv1.ApplyRequest) { a.DeleteConfigs = append(a.DeleteConfigs, keys...) }
}

func dry(a *argosyv1.ApplyRequest) { a.DryRun = true }

func removeConfigs(keys ...string) *Request {
	r := remove()
	r.Delete.Configs = keys
	return r
}

// wantRefused wants a refusal with a text in it, and nothing changed.
func (h *harness) wantRefused(t *testing.T, r *Request, code argosyv1.ErrorCode, text string) {
	t.Helper()
	before := h.log.View().Revision()
	if e := wantCode(t, <-h.send(r), code); !strings.Contains(e.Error(), text) {
		t.Errorf("refusal is %q, want %q in it", e, text)
	}
	if after := h.log.View().Revision(); after != before {
		t.Errorf("a refused write changed something")
	}
}

func (h *harness) stored(t *testing.T, name string) *argosyv1.Workload {
	t.Helper()
	row, ok := h.log.View().Workload(name)
	if !ok {
		t.Fatalf("there is no workload %s", name)
	}
	w, err := row.Workload()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

const (
	invalidCode  = argosyv1.ErrorCode_ERROR_CODE_INVALID
	conflictCode = argosyv1.ErrorCode_ERROR_CODE_CONFLICT
	notFoundCode = argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND
)

func TestWhatOldServersDoNotKnowWaitsForTheFeatureLevel(t *testing.T) {
	h := start(t, newLedger(t, false), nil)
	h.setLevel(t, argosyv1.FeatureConfigs-1)
	connected := workload("w", "one")
	connected.ControlInterfaceAccess = &argosyv1.ControlInterfaceAccess{}
	files := workload("w", "one")
	files.Files = []*argosyv1.File{{MountPoint: "/f"}}
	for name, r := range map[string]*Request{
		"dependencies":   all(needing("w", "v")),
		"configs":        all(using("w", "k")),
		"access":         all(connected),
		"files":          all(files),
		"a config":       all(config("k", "v")),
		"deletes":        all(without("w")),
		"config deletes": all(withoutConfigs("w")),
		"tags":           all(&argosyv1.AgentTags{Agent: "a"}),
		"conditions":     all(workload("w", "one"), &argosyv1.ExpectedRevision{Kind: argosyv1.ObjectKind_OBJECT_KIND_WORKLOAD, Name: "v"}),
		"a dry run":      all(workload("w", "one"), dry),
		"delete configs": removeConfigs("k"),
	} {
		t.Run(name, func(t *testing.T) {
			h.wantRefused(t, r, argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE, "needs feature level 4, and the cluster is at level 3")
		})
	}
	h.must(t, apply(workload("w", "one")))
	h.setLevel(t, argosyv1.FeatureConfigs)
	h.must(t, all(needing("w", "v")))
}

func TestDependenciesThatGoInACircleAreRefused(t *testing.T) {
	h := startFull(t, newLedger(t, false), nil)
	h.must(t, all(needing("a", "b"), needing("b", "c", "nobody"), workload("d", "one")))
	for name, c := range map[string]struct {
		request *Request
		want    string
	}{
		"of three":        {all(needing("c", "a")), "workload dependency 'a' is part of a cycle. The cycle is a -> b -> c -> a;"},
		"of itself":       {all(needing("d", "d")), "'d' is part of a cycle. The cycle is d -> d;"},
		"by a missing":    {all(needing("nobody", "a")), "The cycle is a -> b -> nobody -> a;"},
		"within one":      {all(needing("x", "y"), needing("y", "x")), "The cycle is x -> y -> x;"},
		"though others":   {all(needing("c", "a"), without("d")), "The cycle is a -> b -> c -> a;"},
		"in a rehearsal":  {all(needing("c", "a"), dry), "The cycle is a -> b -> c -> a;"},
		"with a new name": {all(needing("e", "a"), needing("c", "e")), "The cycle is a -> b -> c -> e -> a;"},
	} {
		t.Run(name, func(t *testing.T) { h.wantRefused(t, c.request, invalidCode, c.want) })
	}
	h.must(t, all(needing("c", "a"), without("b"))) // opened in the same request
	h.wantRefused(t, all(needing("b", "c")), invalidCode, "a -> b -> c -> a")
	h.must(t, apply(workload("a", "free")))
	h.must(t, all(needing("b", "c")))
	h.must(t, remove("c"))
	h.must(t, all(needing("a", "b")))
	h.wantRefused(t, all(needing("c", "a")), invalidCode, "a -> b -> c -> a")
}

// A dependency that is in flight is as good as one that is committed, and one that
// was not committed is none.
func TestDependenciesInFlightCount(t *testing.T) {
	log := newLedger(t, true)
	h := startFull(t, log, nil)
	first := h.send(all(needing("a", "b")))
	<-log.arrived
	second := h.send(all(needing("b", "a")))
	<-log.arrived
	log.commit(nil)
	wantKinds(t, <-first, created)
	log.commit(nil)
	wantCode(t, <-second, invalidCode)

	lost := h.send(all(needing("b", "c")))
	<-log.arrived
	log.commit(ErrNotDone)
	if o := <-lost; !errors.Is(o.Err, ErrNotDone) {
		t.Fatal(o.Err)
	}
	<-h.Stopped()

	log.manual = false
	next := prepareHarness(t, log, nil)
	next.run(t)
	next.must(t, all(needing("c", "b")))
	next.wantRefused(t, all(needing("b", "a")), invalidCode, "a -> b -> a")
}

func TestAWorkloadIsKeptAsWrittenAndAsRendered(t *testing.T) {
	h := startFull(t, newLedger(t, false), nil)
	w := using("w", "k")
	w.Agent = "{x}"
	w.Files = []*argosyv1.File{{MountPoint: "/f", Content: &argosyv1.File_Data{Data: "file of {x}"}}}
	sent := proto.CloneOf(w)
	sent.Rendered = &argosyv1.Rendered{Agent: "elsewhere"} // not for a client to say
	o := h.must(t, all(sent, config("k", "one")))
	wantKinds(t, o, created)
	if c := o.Result.GetChanges()[0]; c.GetAgent() != "one" || c.GetInstanceId() != argosyv1.InstanceID("value one") || c.GetEffect() != argosyv1.Effect_EFFECT_START {
		t.Errorf("change is %v", c)
	}
	if k := o.Result.GetConfigs(); len(k) != 1 || k[0].GetKey() != "k" || k[0].GetKind() != created {
		t.Errorf("configs are %v", k)
	}
	want := proto.CloneOf(w)
	want.CreatedRevision, want.Revision = o.Revision, o.Revision
	want.Rendered = &argosyv1.Rendered{
		Agent: "one", RuntimeConfig: "value one",
		Files: []*argosyv1.File{{MountPoint: "/f", Content: &argosyv1.File_Data{Data: "file of one"}}},
	}
	if have := h.stored(t, "w"); !proto.Equal(have, want) {
		t.Errorf("stored is\n%v\nwant\n%v", have, want)
	}
	if rows := slices.Collect(h.log.View().WorkloadsOf("one")); len(rows) != 1 {
		t.Errorf("%d workloads are found by the agent that it is rendered to", len(rows))
	}
	if sent.GetRendered().GetAgent() != "elsewhere" {
		t.Error("the request was written to")
	}
	again := h.must(t, all(w, config("k", "one")))
	wantKinds(t, again, unchanged)
	if h.stored(t, "w").GetRevision() != o.Revision || again.Result.GetConfigs()[0].GetKind() != unchanged {
		t.Error("what is the same was written anew")
	}
}

func TestAChangeOfAConfigRendersThoseThatUseIt(t *testing.T) {
	h := startFull(t, newLedger(t, false), nil)
	other := using("other", "k2")
	blind := using("blind", "k") // uses it, and shows nothing of it
	blind.RuntimeConfig = "constant"
	first := h.must(t, all(config("k", "one"), config("k2", "one"), using("b", "k"), using("a", "k"), other, blind, using("mine", "k")))

	second := h.must(t, all(config("k", "two"), workload("mine", "own now"), config("unused", "x")))
	var rendered []string
	for _, c := range second.Result.GetRendered() {
		rendered = append(rendered, fmt.Sprint(c.GetName(), " ", c.GetKind(), " ", c.GetEffect()))
		if c.GetInstanceId() != argosyv1.InstanceID("value two") || c.GetPreviousInstanceId() != argosyv1.InstanceID("value one") || c.GetAgent() != "a1" || c.GetPreviousAgent() != "" {
			t.Errorf("change is %v", c)
		}
	}
	if want := "[a CHANGE_KIND_UPDATED EFFECT_RESTART b CHANGE_KIND_UPDATED EFFECT_RESTART]"; fmt.Sprint(rendered) != want {
		t.Errorf("rendered anew are %v, want %v", rendered, want)
	}
	wantKinds(t, second, updated)
	for name, revision := range map[string]uint64{
		"a": second.Revision, "b": second.Revision, "mine": second.Revision, "other": first.Revision, "blind": first.Revision,
	} {
		if have := h.stored(t, name).GetRevision(); have != revision {
			t.Errorf("%s is at revision %d, want %d", name, have, revision)
		}
	}
	if w := h.stored(t, "a"); w.GetRuntimeConfig() != "value {x}" || w.GetRendered().GetRuntimeConfig() != "value two" || w.GetCreatedRevision() != first.Revision {
		t.Errorf("stored is %v", w)
	}
	h.wantRefused(t, all(config("k", "broken")), invalidCode, `apply workload "a": Failed to render field`)
	h.wantRefused(t, all(using("c", "none")), invalidCode, `apply workload "c": Workload references config key 'none' that does not exist`)
}

func TestAConfigIsDeletedWhenNothingUsesIt(t *testing.T) {
	h := startFull(t, newLedger(t, false), nil)
	h.must(t, all(config("k", "one"), config("free", "one"), using("a", "k"), using("b", "k"), using("c", "k"), using("d", "k"), using("e", "k")))
	for name, r := range map[string]*Request{
		"delete":          removeConfigs("k"),
		"delete of some":  func() *Request { r := removeConfigs("k"); r.Delete.Names = []string{"b"}; return r }(),
		"apply":           all(withoutConfigs("k")),
		"and one applies": all(withoutConfigs("k"), without("a", "b", "c", "d"), using("e", "k")),
		"a new one":       all(withoutConfigs("k"), without("a", "b", "c", "d", "e"), using("f", "k")),
		"rehearsed":       all(withoutConfigs("k"), dry),
	} {
		t.Run(name, func(t *testing.T) { h.wantRefused(t, r, invalidCode, "references config key 'k'") })
	}
	h.wantRefused(t, removeConfigs("k"), invalidCode, "workload 'a' references config key 'k', and so do 'b', 'c' and 2 more;")
	h.wantRefused(t, removeConfigs("free", "nothing"), notFoundCode, `delete config "nothing": there is no such config`)

	r := removeConfigs("free", "nothing")
	r.Delete.IgnoreMissing = true
	if c := h.must(t, r).Result.GetConfigs(); c[0].GetKind() != deleted || c[1].GetKind() != missing {
		t.Errorf("configs are %v", c)
	}
	last := removeConfigs("k")
	last.Delete.Names = []string{"a", "b", "c", "d", "e"}
	wantKinds(t, h.must(t, last), deleted, deleted, deleted, deleted, deleted)
	if _, ok := h.log.View().Config("k"); ok {
		t.Error("the config is still there")
	}
	h.must(t, all(config("k", "one"), using("a", "k")))
	o := h.must(t, all(withoutConfigs("k"), workload("a", "free")))
	wantKinds(t, o, updated)
}

func TestConfigsInFlightCount(t *testing.T) {
	log := newLedger(t, true)
	h := startFull(t, log, nil)
	first := h.send(all(config("k", "one")))
	<-log.arrived
	second := h.send(all(using("w", "k")))
	<-log.arrived
	log.commit(nil)
	wantKinds(t, <-first)
	third := h.send(removeConfigs("k"))
	<-log.arrived
	log.commit(nil)
	wantKinds(t, <-second, created)
	fourth := h.send(all(config("k", "two")))
	<-log.arrived
	log.commit(nil)
	wantCode(t, <-third, invalidCode)
	log.commit(nil)
	if o := <-fourth; len(o.Result.GetRendered()) != 1 {
		t.Errorf("the result is %v, %v", o.Result, o.Err)
	}
	lost := h.send(all(workload("w", "plain")))
	<-log.arrived
	log.commit(ErrNotDone)
	<-lost
	<-h.Stopped()

	log.manual = false
	next := prepareHarness(t, log, nil)
	next.run(t)
	next.wantRefused(t, removeConfigs("k"), invalidCode, "workload 'w' references config key 'k'")
}

func TestOneRequestDoesAllOfManyThingsOrNothing(t *testing.T) {
	h := startFull(t, newLedger(t, false), nil)
	if err := h.RegisterAgent(t.Context(), &argosyv1.Agent{Name: "a1", Tags: map[string]string{"zone": "a"}}); err != nil {
		t.Fatal(err)
	}
	tags := func(agent, zone string) *argosyv1.AgentTags {
		return &argosyv1.AgentTags{Agent: agent, Tags: &argosyv1.Tags{Tags: map[string]string{"zone": zone}}}
	}
	owing := &argosyv1.Owing{Workloads: []string{"w"}}
	if err := h.NoteOwing(t.Context(), map[string]*argosyv1.Owing{"a1": owing, "nobody": owing}); err != nil {
		t.Fatal(err)
	}
	first := h.must(t, all(workload("old", "one"), workload("keep", "one"), config("gone", "x")))
	h.wantRefused(t, all(workload("new", "one"), config("k", "v"), without("old"), withoutConfigs("gone"), tags("nobody", "b")), notFoundCode, `agent "nobody"`)

	o := h.must(t, all(workload("keep", "one"), using("new", "k"), config("k", "v"), without("old", "never"), withoutConfigs("gone", "never"), tags("a1", "b")))
	wantKinds(t, o, unchanged, created, deleted, missing)
	var configs []argosyv1.ChangeKind
	for _, c := range o.Result.GetConfigs() {
		configs = append(configs, c.GetKind())
	}
	if fmt.Sprint(configs) != fmt.Sprint([]argosyv1.ChangeKind{created, deleted, missing}) {
		t.Errorf("configs are %v", o.Result.GetConfigs())
	}
	if h.stored(t, "keep").GetRevision() != first.Revision {
		t.Error("what is the same was written anew")
	}
	// What a user has said of an agent outlives that it registers, and what it owes.
	if err := h.RegisterAgent(t.Context(), &argosyv1.Agent{Name: "a1", Tags: map[string]string{"zone": "c"}, Returns: 1}); err != nil {
		t.Fatal(err)
	}
	row, _ := h.log.View().Agent("a1")
	a, err := row.Agent()
	if err != nil || a.GetTags()["zone"] != "c" || a.GetUserTags().GetTags()["zone"] != "b" || a.GetReturns() != 1 || !proto.Equal(a.GetOwing(), owing) {
		t.Errorf("agent is %v, %v", a, err)
	}
	if _, made := h.log.View().Agent("nobody"); made {
		t.Error("a record was made of an agent that is not registered")
	}
	entries := h.log.View().Revision()
	if again := h.must(t, all(tags("a1", "b"))); again.Revision != entries+1 {
		t.Errorf("revision is %d", again.Revision)
	}
	if row, _ := h.log.View().Agent("a1"); row.Revision > entries {
		t.Error("tags that are the same were written anew")
	}
}

func TestRequestsThatContradictThemselvesAreRefused(t *testing.T) {
	h := startFull(t, newLedger(t, false), func(c *Config, _ *Deps) { c.MaxWorkloads = 5 })
	for name, c := range map[string]struct {
		request *Request
		want    string
	}{
		"applied and deleted":        {all(workload("w", "x"), without("w")), `workload "w": the request asks to apply it and to delete it`},
		"config applied and deleted": {all(config("k", "x"), withoutConfigs("k")), `config "k": the request asks to apply it and to delete it`},
		"config twice":               {all(config("k", "x"), config("k", "y")), `apply config "k": named twice`},
		"deleted twice":              {all(without("w", "w")), `delete workload "w": named twice`},
		"tagged twice":               {all(&argosyv1.AgentTags{Agent: "a"}, &argosyv1.AgentTags{Agent: "a"}), `agent "a": named twice`},
		"nothing but conditions":     {all(&argosyv1.ExpectedRevision{Kind: argosyv1.ObjectKind_OBJECT_KIND_CONFIG, Name: "k"}), "names none"},
		"a condition on who knows":   {all(without("w"), &argosyv1.ExpectedRevision{Name: "k"}), "kind of object"},
		"a config without a value":   {all(&argosyv1.Config{Key: "k"}), "apply configs"},
		"an empty config":            {all((*argosyv1.Config)(nil)), "position 0"},
		"too many in all":            {all(workload("w", "x"), config("k", "x"), without("a", "b"), withoutConfigs("c"), &argosyv1.AgentTags{Agent: "a"}), "6 objects in one request, at most 5"},
		"a tag without a key":        {all(&argosyv1.AgentTags{Agent: "a", Tags: &argosyv1.Tags{Tags: map[string]string{"": "x"}}}), "key is empty"},
		"rule from tomorrow": {all(func(a *argosyv1.ApplyRequest) {
			rule := &argosyv1.AccessRule{}
			rule.ProtoReflect().SetUnknown([]byte{0xa0, 0x06, 0x01})
			w := workload("w", "x")
			w.ControlInterfaceAccess = &argosyv1.ControlInterfaceAccess{DenyRules: []*argosyv1.AccessRule{rule}}
			a.Workloads = []*argosyv1.Workload{w}
		}), "fields that this server does not know"},
	} {
		t.Run(name, func(t *testing.T) { h.wantRefused(t, c.request, invalidCode, c.want) })
	}
}

func TestConditionsOnSingleObjects(t *testing.T) {
	h := startFull(t, newLedger(t, false), nil)
	if err := h.RegisterAgent(t.Context(), &argosyv1.Agent{Name: "a1"}); err != nil {
		t.Fatal(err)
	}
	agentAt := h.log.View().Revision()
	one := h.must(t, apply(workload("w", "one"))).Revision
	two := h.must(t, all(config("k", "one"))).Revision
	expect := func(kind argosyv1.ObjectKind, name string, revision uint64) *argosyv1.ExpectedRevision {
		return &argosyv1.ExpectedRevision{Kind: kind, Name: name, Revision: revision}
	}
	const w, k, a = argosyv1.ObjectKind_OBJECT_KIND_WORKLOAD, argosyv1.ObjectKind_OBJECT_KIND_CONFIG, argosyv1.ObjectKind_OBJECT_KIND_AGENT
	mustNotExist := func(a *argosyv1.ApplyRequest) { a.MustNotExist = true }
	expected := func(revision uint64) func(*argosyv1.ApplyRequest) {
		return func(a *argosyv1.ApplyRequest) { a.ExpectedRevision = revision }
	}
	for name, c := range map[string]struct {
		request *Request
		want    string
	}{
		"a workload that has changed": {all(workload("v", "x"), expect(w, "w", two)), `apply workload "w": expected revision`},
		"one that is not there":       {all(workload("v", "x"), expect(w, "none", one)), "it does not exist"},
		"one that is":                 {all(workload("v", "x"), expect(w, "w", 0)), `apply workload "w": must not exist`},
		"a config":                    {all(workload("v", "x"), expect(w, "w", one), expect(k, "k", one)), `apply config "k": expected revision`},
		"an agent":                    {all(workload("v", "x"), expect(a, "a1", one)), `apply agent "a1": expected revision`},
		"configs must not exist":      {all(config("k", "two"), mustNotExist), `apply config "k": must not exist`},
		"configs of a revision":       {all(config("k", "two"), expected(one)), `apply config "k": expected revision`},
	} {
		t.Run(name, func(t *testing.T) { h.wantRefused(t, c.request, conflictCode, c.want) })
	}
	drop := removeConfigs("k")
	drop.Delete.ExpectedRevision = one
	h.wantRefused(t, drop, conflictCode, `delete config "k": expected revision`)
	h.must(t, all(workload("v", "x"), expect(w, "w", one), expect(k, "k", two), expect(a, "a1", agentAt), expect(w, "v", 0)))
	h.must(t, all(config("k", "two"), expected(two)))

	// Configs count as a change of the state.
	late := apply(workload("u", "x"))
	late.Apply.ExpectedStateRevision = two
	h.wantRefused(t, late, conflictCode, "expected that no workload or config changed")
}

func TestWhatIsRenderedCountsInTheLimits(t *testing.T) {
	h := startFull(t, newLedger(t, false), func(c *Config, _ *Deps) { c.MaxApplyBytes = 10_000 })
	users := []any{config("k", "short")}
	for i := range 20 {
		users = append(users, using(fmt.Sprint("w", i), "k"))
	}
	h.must(t, all(users...))
	h.wantRefused(t, all(config("k", strings.Repeat("long", 200))), invalidCode, "larger than 10000 bytes")
	err := h.Mutate(t.Context(), func(c *Working) error {
		return c.PutMessage(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey, "", &argosyv1.ClusterSettings{ClusterId: "c", FeatureLevel: 4, StateQuotaBytes: uint64(h.log.View().Bytes() + 200)})
	})
	if err != nil {
		t.Fatal(err)
	}
	h.wantRefused(t, all(config("k", "somewhat longer")), argosyv1.ErrorCode_ERROR_CODE_NO_SPACE, "quota")
	h.must(t, all(config("k", "longer")))
	h.must(t, all(config("k", "x"), without("w1")))
}

// However the objects of a request are ordered, it is as large as all of them and
// what is rendered.
func TestWhatIsRenderedCountsWithWhatIsNot(t *testing.T) {
	h := startFull(t, newLedger(t, false), func(c *Config, _ *Deps) { c.MaxApplyBytes = 10_000 })
	k, plain := config("k", strings.Repeat("x", 4000)), workload("plain", strings.Repeat("x", 5000))
	h.must(t, all(k, using("w", "k")))
	h.must(t, all(k, plain))
	for name, r := range map[string]*Request{
		"rendered first": all(config("l", k.GetValue().GetText()), using("v", "l"), workload("other", plain.GetRuntimeConfig())),
		"rendered last":  all(config("l", k.GetValue().GetText()), workload("other", plain.GetRuntimeConfig()), using("v", "l")),
	} {
		t.Run(name, func(t *testing.T) { h.wantRefused(t, r, invalidCode, "larger than 10000 bytes") })
	}
}

func TestRenderingForEverIsRefused(t *testing.T) {
	var clock time.Duration
	h := startFull(t, newLedger(t, false), func(_ *Config, d *Deps) {
		d.Uptime = func() time.Duration { return clock }
		d.Render = func(w *argosyv1.Workload, lookup func(string) (*argosyv1.ConfigItem, bool)) (*argosyv1.Rendered, error) {
			if item, _ := lookup("k"); item.GetText() == "slow" {
				clock += 1500 * time.Millisecond
			}
			return fillIn(w, lookup)
		}
	})
	h.must(t, all(config("k", "fast"), using("a", "k"), using("b", "k")))
	h.wantRefused(t, all(config("k", "slow")), invalidCode, `apply workload "b": to render what the request changes takes longer than 2s`)
}

// A request that has much rendered ends its batch, or an entry could become as
// large as all that wait together.
func TestABatchEndsAtItsByteLimitThatIsRendered(t *testing.T) {
	log := newLedger(t, false)
	limit := func(c *Config, _ *Deps) { c.MaxBatchBytes = 2000 }
	h := startFull(t, log, limit)
	users := []any{config("k", "x")}
	for i := range 50 {
		users = append(users, using(fmt.Sprint("w", i), "k"))
	}
	h.must(t, all(users...))
	h.Drain()
	<-h.Stopped()
	next := prepareHarness(t, log, limit)
	before := log.count()
	var done []<-chan Outcome
	for i := range 3 {
		done = append(done, next.send(all(config("k", fmt.Sprint("y", i)))))
	}
	next.run(t)
	for i, o := range done {
		if o := <-o; o.Err != nil || len(o.Result.GetRendered()) != 50 {
			t.Errorf("%d: %v rendered, %v", i, len(o.Result.GetRendered()), o.Err)
		}
	}
	if n := log.count() - before; n != 3 {
		t.Errorf("%d entries, want 3", n)
	}
}

// What the leader applies itself is judged like what users apply.
func TestAnApplyOfTheLeadersOwnIsJudged(t *testing.T) {
	h := startFull(t, newLedger(t, false), nil)
	apply := func(r *Request) error {
		return h.Mutate(t.Context(), func(c *Working) error { return c.Apply(r.Apply) })
	}
	if err := apply(all(config("k", "one"), using("w", "k"), needing("a", "b"))); err != nil {
		t.Fatal(err)
	}
	if w := h.stored(t, "w"); w.GetRendered().GetRuntimeConfig() != "value one" {
		t.Errorf("stored is %v", w)
	}
	entries := h.log.count()
	for _, r := range []*Request{all(), all(workload("v", "one"), needing("b", "a"))} {
		if err := apply(r); argosyv1.CodeOf(err) != invalidCode {
			t.Errorf("error is %v", err)
		}
	}
	if h.log.count() != entries {
		t.Error("a refused one changed something")
	}
}
