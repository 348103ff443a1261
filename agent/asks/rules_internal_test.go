package asks

import (
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// assigned are workloads by name.
type assigned map[string]*argosyv1.Workload

func (a assigned) Workload(name string) *argosyv1.Workload { return a[name] }

func TestRulesOfWorkloadsThatAreGoneAreForgotten(t *testing.T) {
	there := assigned{}
	book := rulebook{workloads: there}
	for _, name := range []string{"a", "b", "c"} {
		w := &argosyv1.Workload{Name: name, Agent: "agent_A", Runtime: "process", ControlInterfaceAccess: &argosyv1.ControlInterfaceAccess{}}
		there[name] = w
		if _, ok := book.of(argosyv1.InstanceOf(w)); !ok {
			t.Fatalf("%s has no rules", name)
		}
		if len(book.pages) != 1 {
			t.Errorf("with %s alone there are %d pages", name, len(book.pages))
		}
		delete(there, name)
	}
}
