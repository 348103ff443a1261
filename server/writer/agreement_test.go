package writer

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/argosy-cluster/argosy/agent/assignments"
	"github.com/argosy-cluster/argosy/manifest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// What restarts an instance is judged in three places, each with what it has: the
// leader by encoded rows, users by fields of manifests, the agent by what it is
// assigned. They must say the same.
func TestAllAgreeOnWhatRestartsAnInstance(t *testing.T) {
	few := func(texts ...string) *rapid.Generator[string] { return rapid.SampledFrom(texts) }
	draw := func(t *rapid.T) *argosyv1.Workload {
		w := &argosyv1.Workload{
			Name: "w", Agent: few("a", "b").Draw(t, "agent"), Runtime: few("r", "s").Draw(t, "runtime"),
			RuntimeConfig: few("x", " x\n", "y").Draw(t, "config"),
			RestartPolicy: argosyv1.RestartPolicy(rapid.IntRange(0, 2).Draw(t, "policy")),
			Tags:          rapid.MapOfN(few("k"), few("v"), 0, 1).Draw(t, "tags"),
		}
		for _, place := range rapid.SliceOfNDistinct(few("/e", "/f"), 0, 2, rapid.ID).Draw(t, "files") {
			file := &argosyv1.File{MountPoint: place, Content: &argosyv1.File_Data{Data: few("", "eA==").Draw(t, "data")}}
			if rapid.Bool().Draw(t, "binary") {
				file.Content = &argosyv1.File_BinaryData{BinaryData: "eA=="}
			}
			w.Files = append(w.Files, file)
		}
		for _, masks := range rapid.SliceOfN(few("m", "n"), 0, 2).Draw(t, "rules") {
			if w.ControlInterfaceAccess == nil {
				w.ControlInterfaceAccess = &argosyv1.ControlInterfaceAccess{}
			}
			rule := &argosyv1.AccessRule{Kind: &argosyv1.AccessRule_State{State: &argosyv1.StateRule{FilterMasks: []string{masks}}}}
			if rapid.Bool().Draw(t, "deny") {
				w.ControlInterfaceAccess.DenyRules = append(w.ControlInterfaceAccess.DenyRules, rule)
			} else {
				w.ControlInterfaceAccess.AllowRules = append(w.ControlInterfaceAccess.AllowRules, rule)
			}
		}
		return w
	}
	rapid.Check(t, func(t *rapid.T) {
		before := draw(t)
		// Mostly little changes: of all that is drawn anew, some is taken.
		after, other := proto.CloneOf(before), draw(t).ProtoReflect()
		for i := range other.Descriptor().Fields().Len() {
			field := other.Descriptor().Fields().Get(i)
			if rapid.IntRange(0, 3).Draw(t, "take") > 0 {
				continue
			}
			if after.ProtoReflect().Clear(field); other.Has(field) {
				after.ProtoReflect().Set(field, other.Get(field))
			}
		}
		was, is := encoded(t, before), encoded(t, after)
		leader := was.effect(&is) == argosyv1.Effect_EFFECT_RESTART
		user := slices.ContainsFunc(manifest.Changes(before, after), func(c manifest.FieldChange) bool { return c.Restarts })
		agent := !assignments.Same(before, after)
		if leader != agent || user != agent {
			t.Fatalf("restarts: the leader says %t, the user is told %t, the agent does %t:\n%v\n%v", leader, user, agent, before, after)
		}
	})
}

func encoded(t *rapid.T, w *argosyv1.Workload) sketch {
	value, err := proto.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	return sketchOf(value)
}
