package manifest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/argosy-cluster/argosy/manifest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestParseReadsWhatUsersWrite(t *testing.T) {
	tests := []struct {
		name string
		text string
		want []*argosyv1.Workload
		warn string
	}{
		{
			name: "all fields",
			text: `
apiVersion: v1
workloads:
  web:
    agent: agent_A
    runtime: podman
    restartPolicy: ALWAYS
    tags: {owner: me, port: 80}
    runtimeConfig: |
      image: nginx
`,
			want: []*argosyv1.Workload{{
				Name: "web", Agent: "agent_A", Runtime: "podman", RuntimeConfig: "image: nginx\n",
				RestartPolicy: argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS,
				Tags:          map[string]string{"owner": "me", "port": "80"},
			}},
		},
		{
			name: "anchors and merge keys",
			text: `
apiVersion: v1
workloads:
  a: &base
    agent: one
    runtime: process
    runtimeConfig: "command: /bin/true"
  b:
    <<: *base
    agent: two
`,
			want: []*argosyv1.Workload{
				{Name: "a", Agent: "one", Runtime: "process", RuntimeConfig: "command: /bin/true"},
				{Name: "b", Agent: "two", Runtime: "process", RuntimeConfig: "command: /bin/true"},
			},
		},
		{
			name: "the deprecated version with a list of tags",
			text: `
apiVersion: v0.1
workloads:
  a:
    runtime: podman
    runtimeConfig: "image: x"
    tags:
      - key: k
        value: v
`,
			want: []*argosyv1.Workload{{Name: "a", Runtime: "podman", RuntimeConfig: "image: x", Tags: map[string]string{"k": "v"}}},
			warn: "deprecated",
		},
		{
			name: "an unknown field is a warning",
			text: "apiVersion: v1\nworkloads:\n  a: {runtime: podman, runtimeConfig: x, colour: red}\n",
			want: []*argosyv1.Workload{{Name: "a", Runtime: "podman", RuntimeConfig: "x"}},
			warn: "line 3: unknown field 'colour'",
		},
		{name: "no workloads", text: "apiVersion: v1\nworkloads:\n"},
		{
			name: "empty fields of later versions",
			text: "apiVersion: v1\nconfigs: {}\nworkloads:\n  a: {runtime: podman, runtimeConfig: x, dependencies: {}, files: [], configs: }\n",
			want: []*argosyv1.Workload{{Name: "a", Runtime: "podman", RuntimeConfig: "x"}},
		},
		{
			name: "several documents",
			text: "apiVersion: v1\nworkloads:\n  a: {runtime: r, runtimeConfig: x}\n---\napiVersion: v1\nworkloads:\n  b: {runtime: r, runtimeConfig: x}\n",
			want: []*argosyv1.Workload{{Name: "a", Runtime: "r", RuntimeConfig: "x"}, {Name: "b", Runtime: "r", RuntimeConfig: "x"}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := manifest.Parse([]byte(test.text), manifest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Workloads) != len(test.want) {
				t.Fatalf("got %d workloads, want %d", len(m.Workloads), len(test.want))
			}
			for i := range test.want {
				if !proto.Equal(m.Workloads[i], test.want[i]) {
					t.Errorf("workload %d:\n got %v\nwant %v", i, m.Workloads[i], test.want[i])
				}
			}
			if got := strings.Join(m.Warnings, "\n"); (test.warn == "") != (got == "") || !strings.Contains(got, test.warn) {
				t.Errorf("warnings %q, want %q", got, test.warn)
			}
		})
	}
}

func TestParseSaysWhereItIsWrong(t *testing.T) {
	workload := func(lines string) string {
		return "apiVersion: v1\nworkloads:\n  web:\n    runtime: podman\n    runtimeConfig: x\n" + lines
	}
	tests := []struct {
		name   string
		text   string
		strict bool
		line   int
		want   string
	}{
		{name: "no version", text: "workloads: {}\n", line: 1, want: "Received ''"},
		{name: "other version", text: "apiVersion: v7\n", line: 1, want: "Received 'v7', expected 'v1'"},
		{name: "broken YAML", text: "apiVersion: v1\nworkloads: [\n", line: 2, want: ""},
		{name: "a key twice", text: "apiVersion: v1\nworkloads:\n  a: {runtime: r}\n  a: {runtime: r}\n", line: 4, want: "already defined"},
		{name: "a list for a mapping", text: "apiVersion: v1\nworkloads: [a]\n", line: 2, want: "must be a mapping"},
		{name: "a mapping for a text", text: workload("    agent: {a: b}\n"), line: 6, want: "agent must be a text, found a mapping"},
		{name: "bad workload name", text: "apiVersion: v1\nworkloads:\n  we.b: {runtime: r, runtimeConfig: x}\n", line: 3, want: "Unsupported workload name 'we.b'. Expected to have characters in [a-zA-Z0-9_-]."},
		{name: "long workload name", text: "apiVersion: v1\nworkloads:\n  " + strings.Repeat("a", 64) + ": {runtime: r, runtimeConfig: x}\n", line: 3, want: "Length 64 exceeds the maximum limit of 63"},
		{name: "bad agent name", text: workload("    agent: a b\n"), line: 6, want: "Unsupported agent name 'a b'"},
		{name: "no runtime", text: "apiVersion: v1\nworkloads:\n  web: {runtimeConfig: x}\n", line: 3, want: "field 'runtime': is missing"},
		{name: "no runtime config", text: "apiVersion: v1\nworkloads:\n  web: {runtime: x}\n", line: 3, want: "field 'runtimeConfig': is missing"},
		{name: "restart policy", text: workload("    restartPolicy: SOMETIMES\n"), line: 6, want: "'SOMETIMES' is not a restart policy"},
		{name: "list of tags", text: workload("    tags: [{key: a, value: b}]\n"), line: 6, want: "For API version 'v1', tags must be specified as a mapping"},
		{name: "not supported yet", text: workload("    dependencies: {db: ADD_COND_RUNNING}\n"), line: 6, want: "'dependencies' is not supported by this version yet"},
		{name: "unknown field, strict", text: workload("    colour: red\n"), strict: true, line: 6, want: "unknown field 'colour' in workload 'web'"},
		{name: "unknown alias", text: workload("    agent: *nobody\n"), line: 6, want: "no anchor has the name 'nobody'"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := manifest.Parse([]byte(test.text), manifest.Options{Strict: test.strict})
			if !errors.Is(err, manifest.ErrInvalid) {
				t.Fatalf("error %v, want ErrInvalid", err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q does not contain %q", err, test.want)
			}
			var place *manifest.SyntaxError
			if !errors.As(err, &place) {
				t.Fatalf("error %q has no place", err)
			}
			if place.Line != test.line || !strings.Contains(place.Excerpt, "^") {
				t.Errorf("line %d with excerpt\n%s\nwant line %d and a caret", place.Line, place.Excerpt, test.line)
			}
		})
	}
}

func TestParseRefusesWhatIsTooLarge(t *testing.T) {
	_, err := manifest.Parse(make([]byte, manifest.MaxSize+1), manifest.Options{})
	if !errors.Is(err, manifest.ErrInvalid) || !strings.Contains(err.Error(), "split it") {
		t.Fatal(err)
	}
}

func TestParseTakesTenThousandWorkloads(t *testing.T) {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nworkloads:\n")
	for i := range 10_000 {
		fmt.Fprintf(&b, "  w%d: {agent: a, runtime: process, runtimeConfig: 'command: /bin/true'}\n", i)
	}
	m, err := manifest.Parse([]byte(b.String()), manifest.Options{})
	if err != nil || len(m.Workloads) != 10_000 {
		t.Fatalf("%v", err)
	}
}

func TestFormatIsReadBackTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		workload := rapid.Custom(func(t *rapid.T) *argosyv1.Workload {
			return &argosyv1.Workload{
				Name:          rapid.StringMatching(`[a-zA-Z0-9_-]{1,63}`).Draw(t, "name"),
				Agent:         rapid.StringMatching(`[a-zA-Z0-9_-]{0,63}`).Draw(t, "agent"),
				Runtime:       rapid.SampledFrom([]string{"podman", "process"}).Draw(t, "runtime"),
				RuntimeConfig: rapid.StringMatching(`[a-z]{1,8}: [ -~]{0,20}(\n[a-z: '"#|-]{0,30}){0,4}x`).Draw(t, "config"),
				RestartPolicy: argosyv1.RestartPolicy(rapid.IntRange(0, 2).Draw(t, "policy")),
				Tags:          rapid.MapOfN(rapid.StringMatching(`[a-z]{1,5}`), rapid.StringMatching(`[ -~]{0,10}`), 0, 3).Draw(t, "tags"),
			}
		})
		list := rapid.SliceOfNDistinct(workload, 0, 4, func(w *argosyv1.Workload) string { return w.GetName() }).Draw(t, "workloads")
		text := manifest.Format(list)
		m, err := manifest.Parse(text, manifest.Options{Strict: true})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		byName := map[string]*argosyv1.Workload{}
		for _, w := range m.Workloads {
			byName[w.GetName()] = w
		}
		for _, w := range list {
			got := byName[w.GetName()]
			if len(w.Tags) == 0 {
				w.Tags = nil
			}
			if !proto.Equal(got, w) {
				t.Fatalf("\n got %v\nwant %v\n%s", got, w, text)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("apiVersion: v1\nworkloads:\n  a: &x {runtime: r, runtimeConfig: 'c'}\n  b: *x\n"))
	f.Add([]byte("apiVersion: v0.1\nworkloads: {a: {tags: [{key: 1, value: }]}}\n"))
	f.Add([]byte("&a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := manifest.Parse(text, manifest.Options{})
		if (m == nil) == (err == nil) {
			t.Fatalf("manifest %v and error %v", m, err)
		}
	})
}
