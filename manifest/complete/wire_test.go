package complete_test

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/argosy-cluster/argosy/manifest"
	"github.com/argosy-cluster/argosy/manifest/complete"
	"github.com/argosy-cluster/argosy/manifest/mask"
	"github.com/argosy-cluster/argosy/manifest/tree"
	"github.com/argosy-cluster/argosy/proto/ankaios"
)

func TestTheStateSurvivesTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCluster()
		for range rapid.IntRange(0, 15).Draw(t, "changes") {
			c.change(t)
		}
		state := complete.Of(c.state()).Tree()
		encoded, err := proto.Marshal(complete.ToWire(state))
		if err != nil {
			t.Fatal(err)
		}
		message := &ankaios.CompleteState{}
		if err := proto.Unmarshal(encoded, message); err != nil {
			t.Fatal(err)
		}
		got, err := complete.FromWire(message)
		if err != nil || !tree.Equal(got, state) {
			t.Fatalf("%v: it became\n%swas\n%s", err, got.YAML(), state.YAML())
		}
		// A part of it is a message, too, and has no more in it.
		masks := masksOf(t, someMasks.Draw(t, "masks")...)
		part := mask.Filter(state, masks)
		if got, err := complete.FromWire(complete.ToWire(part)); err != nil || !tree.Equal(pruned(got), pruned(part)) {
			t.Fatalf("%v: a part became\n%swas\n%s", err, got.YAML(), part.YAML())
		}
	})
}

func TestMessagesThatMeanNothingAreRefused(t *testing.T) {
	deep := &ankaios.ConfigItem{ConfigItemEnum: &ankaios.ConfigItem_String_{String_: "x"}}
	for range tree.MaxDepth {
		deep = &ankaios.ConfigItem{ConfigItemEnum: &ankaios.ConfigItem_Array{Array: &ankaios.ConfigArray{Values: []*ankaios.ConfigItem{deep}}}}
	}
	workload := func(w *ankaios.Workload) *ankaios.State {
		return &ankaios.State{Workloads: &ankaios.WorkloadMap{Workloads: map[string]*ankaios.Workload{"w": w}}}
	}
	for name, state := range map[string]*ankaios.State{
		"too deep":     {Configs: &ankaios.ConfigMap{Configs: map[string]*ankaios.ConfigItem{"c": deep}}},
		"a policy":     workload(&ankaios.Workload{RestartPolicy: ankaios.RestartPolicy(77).Enum()}),
		"a condition":  workload(&ankaios.Workload{Dependencies: &ankaios.Dependencies{Dependencies: map[string]ankaios.AddCondition{"v": 77}}}),
		"an operation": workload(&ankaios.Workload{ControlInterfaceAccess: &ankaios.ControlInterfaceAccess{AllowRules: []*ankaios.AccessRightsRule{{AccessRightsRuleEnum: &ankaios.AccessRightsRule_StateRule{StateRule: &ankaios.StateRule{Operation: 77}}}}}}),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := complete.FromWire(&ankaios.CompleteState{DesiredState: state}); !errors.Is(err, manifest.ErrInvalid) {
				t.Errorf("error is %v", err)
			}
		})
	}
	if got, err := complete.FromWire(nil); err != nil || got.Len() != 0 {
		t.Errorf("no message is %v, %v", got, err)
	}
}
