package writer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func allowing(operation argosyv1.AccessOperation) *argosyv1.ControlInterfaceAccess {
	return &argosyv1.ControlInterfaceAccess{AllowRules: []*argosyv1.AccessRule{{
		Kind: &argosyv1.AccessRule_State{State: &argosyv1.StateRule{Operation: operation, FilterMasks: []string{"desiredState"}}},
	}}}
}

// changes are what each field of a workload may be changed to, and what that does.
// A field that is added to the API must be added here, too.
var changes = map[protoreflect.Name][]struct {
	to     func(*argosyv1.Workload)
	effect argosyv1.Effect
	field  string
}{
	"agent": {
		{func(w *argosyv1.Workload) { w.Agent = "a2" }, argosyv1.Effect_EFFECT_RESTART, "agent"},
		{func(w *argosyv1.Workload) { w.Agent = "" }, argosyv1.Effect_EFFECT_STOP, "agent"},
	},
	"runtime": {{func(w *argosyv1.Workload) { w.Runtime = "podman" }, argosyv1.Effect_EFFECT_RESTART, "runtime"}},
	"runtime_config": {
		{func(w *argosyv1.Workload) { w.RuntimeConfig = "two" }, argosyv1.Effect_EFFECT_RESTART, "runtimeConfig"},
		{func(w *argosyv1.Workload) { w.RuntimeConfig = " one\n" }, argosyv1.Effect_EFFECT_NONE, "runtimeConfig"},
	},
	"restart_policy": {{func(w *argosyv1.Workload) { w.RestartPolicy++ }, argosyv1.Effect_EFFECT_NONE, "restartPolicy"}},
	"tags":           {{func(w *argosyv1.Workload) { w.Tags = nil }, argosyv1.Effect_EFFECT_NONE, "tags"}},
	"dependencies":   {{func(w *argosyv1.Workload) { w.Dependencies = needing("w", "v").GetDependencies() }, argosyv1.Effect_EFFECT_NONE, "dependencies"}},
	"configs": {
		{func(w *argosyv1.Workload) { w.Configs = map[string]string{"one": "k"} }, argosyv1.Effect_EFFECT_NONE, ""},
		{func(w *argosyv1.Workload) { w.RuntimeConfig, w.Configs = "{x}", map[string]string{"x": "one"} }, argosyv1.Effect_EFFECT_NONE, ""},
		{func(w *argosyv1.Workload) { w.Agent, w.Configs = "{x}", map[string]string{"x": "k"} }, argosyv1.Effect_EFFECT_RESTART, "agent"},
	},
	"files": {{func(w *argosyv1.Workload) { w.Files = []*argosyv1.File{{MountPoint: "/g"}} }, argosyv1.Effect_EFFECT_RESTART, "files"}},
	"control_interface_access": {
		{func(w *argosyv1.Workload) { w.ControlInterfaceAccess = allowing(1) }, argosyv1.Effect_EFFECT_RESTART, "controlInterfaceAccess"},
		{func(w *argosyv1.Workload) {
			w.ControlInterfaceAccess = &argosyv1.ControlInterfaceAccess{DenyRules: allowing(1).AllowRules}
		}, argosyv1.Effect_EFFECT_NONE, "controlInterfaceAccess"},
	},
}

func TestOnlyWhatARunningInstanceIsMadeOfStartsItAnew(t *testing.T) {
	fields := (&argosyv1.Workload{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		name := fields.Get(i).Name()
		if slices.Contains([]protoreflect.Name{"name", "rendered", "displacing", "created_revision", "revision"}, name) {
			continue
		}
		if len(changes[name]) == 0 {
			t.Errorf("nobody has said what a change of %s does", name)
		}
		for n, c := range changes[name] {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				h := startFull(t, newLedger(t, false), nil)
				before := workload("w", "one")
				h.must(t, all(before, config("k", "other"), config("one", "one")))
				after := proto.CloneOf(before)
				c.to(after)
				rehearsed := h.must(t, all(after, dry)).Result.GetChanges()[0]
				if want := strings.Fields(c.field); rehearsed.GetKind() != updated || !slices.Equal(rehearsed.GetChangedFields(), want) {
					t.Errorf("rehearsal says %v, want the fields %v", rehearsed, want)
				}
				change := h.must(t, apply(after)).Result.GetChanges()[0]
				if change.GetKind() != updated || change.GetEffect() != c.effect || len(change.GetChangedFields()) != 0 {
					t.Errorf("change is %v, want %v", change, c.effect)
				}
				is, was := argosyv1.InstanceOf(h.stored(t, "w")), argosyv1.InstanceOf(before)
				if change.GetAgent() != is.GetAgent() || change.GetInstanceId() != is.GetId() ||
					(change.GetPreviousAgent() == was.GetAgent()) == (is.GetAgent() == was.GetAgent()) ||
					(change.GetPreviousInstanceId() == was.GetId()) == (is.GetId() == was.GetId()) {
					t.Errorf("change is %v, from %v to %v", change, was, is)
				}
			})
		}
	}
}

func TestEffectsOfWhatComesAndGoes(t *testing.T) {
	h := startFull(t, newLedger(t, false), nil)
	nowhere := workload("nowhere", "one")
	nowhere.Agent = ""
	for _, c := range []struct {
		request *Request
		want    []argosyv1.Effect
	}{
		{apply(nowhere, workload("w", "one")), []argosyv1.Effect{argosyv1.Effect_EFFECT_NONE, argosyv1.Effect_EFFECT_START}},
		{apply(nowhere, workload("w", "one")), make([]argosyv1.Effect, 2)},
		{remove("nowhere", "w"), []argosyv1.Effect{argosyv1.Effect_EFFECT_NONE, argosyv1.Effect_EFFECT_STOP}},
	} {
		o := h.must(t, c.request)
		for i, change := range o.Result.GetChanges() {
			if change.GetEffect() != c.want[i] {
				t.Errorf("change is %v, want %v", change, c.want[i])
			}
		}
	}
}

// A sketch reads by number what the API has by name.
func TestASketchKnowsTheNumbersOfTheFields(t *testing.T) {
	for _, c := range []struct {
		of     proto.Message
		number protoreflect.FieldNumber
		name   protoreflect.Name
	}{
		{&argosyv1.Workload{}, fieldWorkloadAgent, "agent"},
		{&argosyv1.Workload{}, fieldWorkloadRuntime, "runtime"},
		{&argosyv1.Workload{}, fieldWorkloadConfig, "runtime_config"},
		{&argosyv1.Workload{}, fieldWorkloadDependencies, "dependencies"},
		{&argosyv1.Workload{}, fieldWorkloadConfigs, "configs"},
		{&argosyv1.Workload{}, fieldWorkloadFiles, "files"},
		{&argosyv1.Workload{}, fieldWorkloadAccess, "control_interface_access"},
		{&argosyv1.Workload{}, fieldWorkloadRendered, "rendered"},
		{&argosyv1.Rendered{}, fieldRenderedAgent, "agent"},
		{&argosyv1.Rendered{}, fieldRenderedConfig, "runtime_config"},
		{&argosyv1.Rendered{}, fieldRenderedFiles, "files"},
		{&argosyv1.ControlInterfaceAccess{}, fieldAccessAllow, "allow_rules"},
	} {
		if field := c.of.ProtoReflect().Descriptor().Fields().ByNumber(c.number); field == nil || field.Name() != c.name {
			t.Errorf("field %d of %T is %v, want %s", c.number, c.of, field, c.name)
		}
	}
	// Nothing but what is in the rendered form, also when that is empty.
	w := using("w", "k")
	w.Dependencies = map[string]argosyv1.DependencyCondition{"v": 0}
	w.Files = []*argosyv1.File{{MountPoint: "/f"}}
	w.Rendered = &argosyv1.Rendered{RuntimeConfig: "one"}
	value, err := proto.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	s := sketchOf(value)
	if len(s.agent) != 0 || string(s.config) != "one" || len(s.files) != 0 || fmt.Sprint(s.needs, s.uses) != "[v] [k]" {
		t.Errorf("sketch is %+v", s)
	}
	for cut := range value {
		sketchOf(value[:cut])
	}
}
