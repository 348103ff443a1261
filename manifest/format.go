package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// What users see of a workload, in JSON and as the shape of the YAML.
type (
	// Document is a manifest as it is written out.
	Document struct {
		APIVersion string                      `json:"apiVersion"`
		Workloads  map[string]DocumentWorkload `json:"workloads"`
	}
	// DocumentWorkload is a workload as it is written out; fields at their
	// default are left out where the reference leaves them out.
	DocumentWorkload struct {
		Agent         string            `json:"agent"`
		Runtime       string            `json:"runtime"`
		RestartPolicy string            `json:"restartPolicy"`
		Tags          map[string]string `json:"tags,omitempty"`
		RuntimeConfig string            `json:"runtimeConfig"`
	}
)

// ToDocument makes the written form of workloads.
func ToDocument(workloads []*argosyv1.Workload) Document {
	d := Document{APIVersion: APIVersion, Workloads: make(map[string]DocumentWorkload, len(workloads))}
	for _, w := range workloads {
		d.Workloads[w.GetName()] = DocumentWorkload{
			Agent:         w.GetAgent(),
			Runtime:       w.GetRuntime(),
			RestartPolicy: RestartPolicyText(w.GetRestartPolicy()),
			Tags:          w.GetTags(),
			RuntimeConfig: w.GetRuntimeConfig(),
		}
	}
	return d
}

// RestartPolicyText returns the word for a restart policy in a manifest.
func RestartPolicyText(policy argosyv1.RestartPolicy) string {
	switch policy {
	case argosyv1.RestartPolicy_RESTART_POLICY_ON_FAILURE:
		return "ON_FAILURE"
	case argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS:
		return "ALWAYS"
	default:
		return "NEVER"
	}
}

// Format writes workloads as a manifest that Parse reads back to the same. Texts
// are quoted whenever they are more than a plain word: the library's own choice
// of quotes does not survive all texts.
func Format(workloads []*argosyv1.Workload) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "apiVersion: %s\nworkloads:", APIVersion)
	if len(workloads) == 0 {
		b.WriteString(" {}\n")
		return b.Bytes()
	}
	b.WriteByte('\n')
	sorted := slices.SortedFunc(slices.Values(workloads), func(x, y *argosyv1.Workload) int {
		return strings.Compare(x.GetName(), y.GetName())
	})
	for _, w := range sorted {
		fmt.Fprintf(&b, "  %s:\n", quote(w.GetName()))
		fmt.Fprintf(&b, "    agent: %s\n", quote(w.GetAgent()))
		fmt.Fprintf(&b, "    runtime: %s\n", quote(w.GetRuntime()))
		fmt.Fprintf(&b, "    restartPolicy: %s\n", RestartPolicyText(w.GetRestartPolicy()))
		if len(w.GetTags()) > 0 {
			b.WriteString("    tags:\n")
			for _, key := range slices.Sorted(maps.Keys(w.GetTags())) {
				fmt.Fprintf(&b, "      %s: %s\n", quote(key), quote(w.GetTags()[key]))
			}
		}
		fmt.Fprintf(&b, "    runtimeConfig: %s\n", block(w.GetRuntimeConfig(), "      "))
	}
	return b.Bytes()
}

var plainWord = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_/-]*$`)

var reservedWords = map[string]bool{"true": true, "false": true, "null": true, "yes": true, "no": true, "on": true, "off": true, "y": true, "n": true}

// quote writes a text on one line: a JSON string is a YAML string too.
func quote(text string) string {
	if plainWord.MatchString(text) && !reservedWords[strings.ToLower(text)] {
		return text
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	// A string always encodes.
	_ = encoder.Encode(text)
	return strings.TrimSuffix(b.String(), "\n")
}

// block writes a text of several lines as a literal block where YAML keeps it
// as it is, otherwise on one line.
func block(text, indent string) string {
	body, ended := strings.CutSuffix(text, "\n")
	lines := strings.Split(body, "\n")
	if len(lines) < 2 {
		return quote(text)
	}
	for i, line := range lines {
		plain := strings.IndexFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r > 0xff }) < 0
		edge := i == 0 || i == len(lines)-1
		if !plain || strings.TrimRight(line, " ") != line || (edge && strings.TrimSpace(line) == "") || (i == 0 && line[0] == ' ') {
			return quote(text)
		}
	}
	head := "|"
	if !ended {
		head = "|-"
	}
	return head + "\n" + indent + strings.ReplaceAll(strings.Join(lines, "\n"), "\n", "\n"+indent)
}
