package argosyv1

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sort"
	"strings"
)

// InstanceID returns the id of an instance: the lower-case hexadecimal SHA-256
// of the runtime configuration without leading and trailing white space.
func InstanceID(runtimeConfig string) string {
	text := strings.TrimSpace(runtimeConfig)
	var sum [sha256.Size]byte
	// The leader does this for every write: a copy on the stack is no garbage.
	var small [2048]byte
	if len(text) <= len(small) {
		sum = sha256.Sum256(small[:copy(small[:], text)])
	} else {
		sum = sha256.Sum256([]byte(text))
	}
	var id [2 * sha256.Size]byte
	hex.Encode(id[:], sum[:])
	return string(id[:])
}

// InstanceOf returns the name of the instance that a workload asks for, as it is
// rendered.
func InstanceOf(w *Workload) *InstanceName {
	return &InstanceName{Workload: w.GetName(), Agent: w.RunsOn(), Id: InstanceID(w.renderedConfig())}
}

// RunsOn returns the agent that shall run a workload, as it is rendered; empty
// when none shall.
func (x *Workload) RunsOn() string {
	if r := x.GetRendered(); r != nil {
		return r.GetAgent()
	}
	return x.GetAgent()
}

func (x *Workload) renderedConfig() string {
	if r := x.GetRendered(); r != nil {
		return r.GetRuntimeConfig()
	}
	return x.GetRuntimeConfig()
}

// HasControlInterface tells whether a workload has one: whether anything is
// allowed to it.
func (x *Workload) HasControlInterface() bool {
	return len(x.GetControlInterfaceAccess().GetAllowRules()) > 0
}

// Effective returns what a workload is rendered to: the workload itself when it
// has no templates, otherwise a copy without configs that shares everything else
// with it.
func (x *Workload) Effective() *Workload {
	r := x.GetRendered()
	if r == nil {
		return x
	}
	w := Shallow(x, "configs", "rendered")
	w.Agent, w.RuntimeConfig, w.Files = r.GetAgent(), r.GetRuntimeConfig(), r.GetFiles()
	return w
}

// Key returns the text form workload.id.agent, which is unique.
func (n *InstanceName) Key() string {
	return n.GetWorkload() + "." + n.GetId() + "." + n.GetAgent()
}

// ParseInstanceName reads the text form workload.id.agent.
func ParseInstanceName(text string) (*InstanceName, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" {
		return nil, fmt.Errorf("parse instance name %q: want workload.id.agent", text)
	}
	return &InstanceName{Workload: parts[0], Id: parts[1], Agent: parts[2]}, nil
}

// AssignmentHash returns the hash over a set of assigned workloads by which an
// agent and the leader find out whether they agree: SHA-256 over each name and
// revision, in order of name. It is nil for no workloads.
func AssignmentHash(workloads []*Workload) []byte {
	if len(workloads) == 0 {
		return nil
	}
	sorted := make([]*Workload, len(workloads))
	copy(sorted, workloads)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].GetName() < sorted[j].GetName() })
	hash := sha256.New()
	var number [8]byte
	for _, w := range sorted {
		binary.BigEndian.PutUint64(number[:], uint64(len(w.GetName())))
		hash.Write(number[:])
		hash.Write([]byte(w.GetName()))
		binary.BigEndian.PutUint64(number[:], w.GetRevision())
		hash.Write(number[:])
	}
	return hash.Sum(nil)
}
