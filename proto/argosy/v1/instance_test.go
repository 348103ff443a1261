package argosyv1

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

func TestAnInstanceIDIsTheHashOfTheConfigWithoutSpaceAroundIt(t *testing.T) {
	for _, length := range []int{0, 1, 2047, 2048, 2049, 100_000} {
		text := strings.Repeat("x", length)
		want := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
		for _, given := range []string{text, " " + text + "\n"} {
			if got := InstanceID(given); got != want {
				t.Errorf("%d bytes: id is %s, want %s", length, got, want)
			}
		}
	}
}

func TestAnInstanceIDCostsNoCopyOfTheConfig(t *testing.T) {
	text := strings.Repeat("x", 1000)
	if n := testing.AllocsPerRun(100, func() { InstanceID(text) }); n > 1 {
		t.Errorf("%v allocations, want that of the id", n)
	}
}

func TestAnInstanceIsThatOfTheRenderedWorkload(t *testing.T) {
	w := &Workload{
		Name: "web", Agent: "{{node}}", Runtime: "podman", RuntimeConfig: "image: {{image}}", Revision: 7,
		RestartPolicy: RestartPolicy_RESTART_POLICY_ALWAYS,
		Tags:          map[string]string{"a": "b"},
		Dependencies:  map[string]DependencyCondition{"db": DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED},
		Configs:       map[string]string{"node": "n", "image": "i"},
		Rendered: &Rendered{
			Agent: "a1", RuntimeConfig: "image: nginx",
			Files: []*File{{MountPoint: "/f", Content: &File_Data{Data: "x"}}},
		},
		ControlInterfaceAccess: &ControlInterfaceAccess{AllowRules: []*AccessRule{{}}},
		CreatedRevision:        3,
	}
	want := proto.CloneOf(w)
	want.Agent, want.RuntimeConfig, want.Files = "a1", "image: nginx", w.GetRendered().GetFiles()
	want.Configs, want.Rendered = nil, nil
	if got := w.Effective(); !proto.Equal(got, want) {
		t.Errorf("effective workload:\n got %v\nwant %v", got, want)
	}
	if got := InstanceOf(w); got.Key() != InstanceOf(want).Key() {
		t.Errorf("instance %s, want that of %v", got.Key(), want)
	}
	if plain := want.Effective(); plain != want {
		t.Error("a workload without templates was copied")
	}
}
