package mask_test

import (
	"fmt"
	"testing"

	"github.com/argosy-cluster/argosy/manifest/mask"
	"github.com/argosy-cluster/argosy/manifest/tree"
)

// large returns a state of 10,000 workloads, and one in which one of them has
// changed.
func large(b *testing.B) (before, after *tree.Node) {
	b.Helper()
	workloads := map[string]*tree.Node{}
	for i := range 10_000 {
		workloads[fmt.Sprintf("w%d", i)] = mustRead(b, fmt.Sprintf("{agent: agent_%d, runtime: podman, tags: {owner: x}, runtimeConfig: 'image: x'}", i%100))
	}
	before = tree.NewMap(map[string]*tree.Node{"desiredState": tree.NewMap(map[string]*tree.Node{"workloads": tree.NewMap(workloads)})})
	after, err := before.Set(tree.NewText("other"), "desiredState", "workloads", "w5000", "agent")
	if err != nil {
		b.Fatal(err)
	}
	return before, after
}

// It must cost microseconds: some thousand subscribers may have to be told.
func BenchmarkDiff(b *testing.B) {
	before, after := large(b)
	for _, masks := range []string{"", "desiredState.workloads.*.agent", "desiredState.workloads.w1"} {
		b.Run(masks, func(b *testing.B) {
			selected := set(b, masks)
			b.ReportAllocs()
			for b.Loop() {
				mask.Diff(before, after, selected)
			}
		})
	}
}

func BenchmarkFilter(b *testing.B) {
	_, state := large(b)
	for _, masks := range []string{"", "desiredState.workloads.w1", "desiredState.workloads.*.agent"} {
		b.Run(masks, func(b *testing.B) {
			selected := set(b, masks)
			b.ReportAllocs()
			for b.Loop() {
				mask.Filter(state, selected)
			}
		})
	}
}

func BenchmarkUpdate(b *testing.B) {
	before, after := large(b)
	selected := set(b, "desiredState.workloads.w5000")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mask.Update(before, after, selected); err != nil {
			b.Fatal(err)
		}
	}
}
