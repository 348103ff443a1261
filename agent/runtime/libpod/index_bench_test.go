package libpod

import (
	"strconv"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// What one event and one list cost beside so many others.
func BenchmarkIndex(b *testing.B) {
	for _, count := range []int{100, 10_000} {
		index := NewIndex(First)
		keys := make([]string, count)
		for i := range count {
			name := &argosyv1.InstanceName{Workload: "w" + strconv.Itoa(i), Id: "id", Agent: "agent"}
			keys[i] = name.Key()
			index.Created(Container{Instance: runtime.Instance{Name: name, RuntimeID: strconv.Itoa(i), Status: runtime.StatusRunning}})
		}
		b.Run("event/"+strconv.Itoa(count), func(b *testing.B) {
			for i := range b.N {
				index.apply(change{id: strconv.Itoa(i % count), key: keys[i%count], status: runtime.StatusRunning}, time.Now())
				index.state(keys[i%count])
			}
		})
		b.Run("look/"+strconv.Itoa(count), func(b *testing.B) {
			for i := range b.N {
				index.Merge(index.BeginList(keys[i%count]), nil)
			}
		})
		b.Run("all/"+strconv.Itoa(count), func(b *testing.B) {
			for range b.N {
				index.All()
			}
		})
	}
}
