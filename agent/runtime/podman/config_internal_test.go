package podman

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func mustNew(t *testing.T, logger *slog.Logger) *Podman {
	t.Helper()
	p, err := New(Config{Agent: "agent", Service: "unix:///service", Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlanNamesAndLabelsTheContainer(t *testing.T) {
	p := mustNew(t, nil)
	w := &argosyv1.Workload{Name: "w", Agent: "agent", RuntimeConfig: "image: docker://img\n" +
		"commandOptions: [--label, name=mine, -l, other=x, -p, 8080:80]\ncommandArgs:\n- sleep\n- 10\n- 1.50\n- true\n- 0755\n- \"q\\tq\"\n- |\n  two\n  lines\n"}
	key := argosyv1.InstanceOf(w).Key()
	plan, err := p.plan(w, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := plan.spec
	if s.Name != key || s.Labels["name"] != key || s.Labels["agent"] != "agent" || s.Labels["other"] != "x" {
		t.Errorf("name %q, labels %v", s.Name, s.Labels)
	}
	if s.Image != "img" || !slices.Equal(s.Command, []string{"sleep", "10", "1.50", "true", "0755", "q\tq", "two\nlines\n"}) {
		t.Errorf("image %q, command %q", s.Image, s.Command)
	}
	want := "podman run --detach --name " + key + " --label name=mine -l other=x -p 8080:80 --label=name=" + key + " --label=agent=agent img sleep 10 1.50 true 0755 q\tq two\nlines\n"
	if got := strings.Join(s.ContainerCreateCommand, " "); got != want {
		t.Errorf("command is %q, want %q", got, want)
	}
	w.RuntimeConfig += "\n# --name wins"
	w.RuntimeConfig = strings.Replace(w.RuntimeConfig, "-p,", "--name=mine, -p,", 1)
	if plan, err = p.plan(w, nil); err != nil || plan.spec.Name != "mine" {
		t.Errorf("with --name: %+v, %v", plan, err)
	}
}

func TestPlanMountsWhatTheInstanceIsShown(t *testing.T) {
	p := mustNew(t, nil)
	mounts := []runtime.Mount{
		{Source: "/run/w/files/etc/a.conf", Target: "/etc/a.conf", ReadOnly: true},
		{Source: "/run/w/control_interface", Target: runtime.ControlInterfaceTarget},
	}
	w := &argosyv1.Workload{Name: "w", Agent: "agent", RuntimeConfig: "image: img\ncommandOptions: [-v, /data:/data]\n"}
	plan, err := p.plan(w, mounts)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range plan.spec.Mounts {
		got = append(got, strings.TrimSpace(m.Type+" "+m.Source+" "+m.Destination+" "+strings.Join(m.Options, ",")))
	}
	for _, want := range []string{
		"bind /run/w/files/etc/a.conf /etc/a.conf ro", "bind /run/w/control_interface /run/ankaios/control_interface",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no mount %q in %q", want, got)
		}
	}
	if len(got) != 3 {
		t.Errorf("mounts %q, want those and the option's", got)
	}
	line := strings.Join(plan.spec.ContainerCreateCommand, " ")
	for _, want := range []string{
		" --mount=type=bind,source=/run/w/files/etc/a.conf,destination=/etc/a.conf,readonly=true ",
		" --mount=type=bind,source=/run/w/control_interface,destination=/run/ankaios/control_interface ",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("command line %q, want %q in it", line, want)
		}
	}
	for _, option := range []string{"-v=/x:/etc/a.conf", "-v=named:/etc/a.conf", "--tmpfs=/etc/a.conf", "--mount=type=bind,source=/x,destination=/etc/a.conf", "-v=/x:/etc/a.conf:O"} {
		w.RuntimeConfig = "image: img\ncommandOptions: ['" + option + "']\n"
		if _, err := p.plan(w, mounts); !errors.Is(err, runtime.ErrInvalidConfig) || !strings.Contains(err.Error(), "/etc/a.conf") {
			t.Errorf("with %s: error %v, want it to be refused", option, err)
		}
	}
}

func TestPlanRefusesWhatCannotWork(t *testing.T) {
	p := mustNew(t, nil)
	for config, text := range map[string]string{
		"":                                  "image is missing",
		"image: ''":                         "image is missing",
		"image: [a]":                        "runtimeConfig: line 1, column 8: found a list, want a text",
		"just text":                         "runtimeConfig: line 1, column ",
		"image: x\ncommandArgs: [[a]]":      "runtimeConfig: line 2, column 15: found a list, want a text",
		"image: x\ncommandOptions: -p 80":   "runtimeConfig: line 2, column ",
		"image: x\ncommandOptions: [-p, x]": "commandOptions: --publish x:",
		"image: x\ncommandOptions: [--pull=perhaps]": "--pull",
		"image: x\ngeneralOptions: [--root=/x]":      "generalOptions: --root",
	} {
		_, err := p.plan(&argosyv1.Workload{Name: "w", Agent: "agent", RuntimeConfig: config}, nil)
		if !errors.Is(err, runtime.ErrInvalidConfig) || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v, want one line that says %q", config, err, text)
		}
	}
}

func TestUnknownKeysAreIgnoredWithAWarning(t *testing.T) {
	var log bytes.Buffer
	p := mustNew(t, slog.New(slog.NewTextHandler(&log, nil)))
	_, err := p.plan(&argosyv1.Workload{Name: "w", Agent: "agent", RuntimeConfig: "image: x\ncommandOption: [a]"}, nil)
	if err != nil || !strings.Contains(log.String(), "commandOption") {
		t.Errorf("error %v, log %q", err, log.String())
	}
}

func FuzzPlan(f *testing.F) {
	for _, seed := range []string{"image: x", "image: [", "image: x\ncommandOptions: [-p, '80:80', --mount, 'type=bind']", "a: &a [*a]", "%", "image: x\ncommandOptions: [--uidmap, '+0:1']"} {
		f.Add(seed)
	}
	p, err := New(Config{Agent: "agent", Service: "unix:///service"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		plan, err := p.plan(&argosyv1.Workload{Name: "w", Agent: "agent", RuntimeConfig: text}, nil)
		if err == nil && plan.spec.Labels[labelAgent] != "agent" {
			t.Errorf("labels are %v", plan.spec.Labels)
		}
		if err != nil && !errors.Is(err, runtime.ErrInvalidConfig) {
			t.Error(err)
		}
	})
}
