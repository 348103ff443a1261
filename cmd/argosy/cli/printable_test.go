package cli

import (
	"bytes"
	"strings"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// steering is what a workload, or whoever writes a manifest, may try on the terminal
// of those who look: it clears the screen, goes back, turns the text around, and
// begins another line.
const steering = "a\x1b[2J\rb\u202ec\x9bd\ne"

func TestWhatOthersWroteDoesNotSteerTheTerminal(t *testing.T) {
	state := &argosyv1.GetStateResponse{
		Workloads: []*argosyv1.Workload{{Name: "w", Runtime: "process", Tags: map[string]string{"t": steering}, RuntimeConfig: "x\n" + steering}},
		States: []*argosyv1.WorkloadState{{Instance: &argosyv1.InstanceName{Workload: "w", Agent: "a"},
			Execution: &argosyv1.ExecutionState{AdditionalInfo: steering}}},
	}
	for name, show := range map[string]func(out *bytes.Buffer, a *app){
		"table":    func(_ *bytes.Buffer, a *app) { _ = a.printWorkloads(state, getOptions{output: "wide"}) },
		"describe": func(out *bytes.Buffer, _ *app) { _ = describe(out, "w", state) },
		"problem": func(out *bytes.Buffer, _ *app) {
			printProblems(out, []*argosyv1.Problem{{Subject: "s", What: steering, Advice: steering}})
		},
		"wait": func(_ *bytes.Buffer, a *app) {
			w := newWait(a, &argosyv1.WriteResponse{Result: &argosyv1.WriteResult{Changes: []*argosyv1.WorkloadChange{{Name: "w", Agent: "a"}}}}, waitOptions{})
			w.show(state.GetStates()[0])
		},
	} {
		var out bytes.Buffer
		show(&out, &app{out: &out, err: &out})
		if text := out.String(); !strings.Contains(text, `a\x1b[2J\rb\u202ec\x9bd`) || strings.ContainsAny(text, "\x1b\r\u202e") || strings.Contains(text, "c\x9b") {
			t.Errorf("%s shows %q", name, text)
		}
	}
}

func TestATableHasALineForEachRow(t *testing.T) {
	table := table{header: []string{"NAME", "TAGS"}}
	table.add("a", "k=one\ntwo")
	var out bytes.Buffer
	table.print(&out)
	if got, want := out.String(), "NAME   TAGS\na      k=one\\ntwo\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestWhatPeopleWriteIsShownAsItIs(t *testing.T) {
	for _, text := range []string{"", "plain", `C:\dir "quoted"`, "Grüße, 你好", "a\u00a0b"} {
		if got := printable(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	if got := printableLines("a\n\tb\x00"); got != "a\n\tb\\x00" {
		t.Errorf("lines became %q", got)
	}
}
