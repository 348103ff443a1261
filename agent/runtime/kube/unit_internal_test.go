package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/blang/semver/v4"
	// Podman's own definition of the options.
	_ "github.com/containers/podman/v5/cmd/podman/kube"
	"github.com/containers/podman/v5/cmd/podman/registry"
	core "github.com/containers/podman/v5/pkg/k8s.io/api/core/v1"
	"github.com/spf13/pflag"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// podmansFlags returns the options of a sub-command of podman kube.
func podmansFlags(t *testing.T, name string) map[string]string {
	t.Helper()
	for _, command := range registry.Commands {
		if command.Parent == nil || command.Parent.Name() != "kube" || command.Command.Name() != name {
			continue
		}
		flags := make(map[string]string)
		command.Command.Flags().VisitAll(func(flag *pflag.Flag) { flags[flag.Name] = flag.Value.Type() + " " + flag.Shorthand })
		return flags
	}
	t.Fatalf("podman has no kube %s", name)
	return nil
}

func TestOptionsAreThoseOfPodman(t *testing.T) {
	ours := make(map[string]string)
	(&playFlags{}).flags().VisitAll(func(flag *pflag.Flag) { ours[flag.Name] = flag.Value.Type() + " " + flag.Shorthand })
	for name, kind := range podmansFlags(t, "play") {
		if ours[name] != kind {
			t.Errorf("--%s is a %s, podman's is a %s", name, ours[name], kind)
		}
		delete(ours, name)
	}
	// Those that podman has only where it runs containers itself.
	for name := range ours {
		if refusals[name] == "" {
			t.Errorf("--%s is not known to podman's API", name)
		}
	}
	if theirs := podmansFlags(t, "down"); !maps.Equal(theirs, map[string]string{"force": "bool "}) {
		t.Errorf("options of down are %v", theirs)
	}
}

func TestPlayOptionsReachTheAPI(t *testing.T) {
	for args, want := range map[string]string{
		"":                                "",
		"-q --network=none --net a":       "network=[none a]",
		"--annotation a=b=c":              `annotations=[{"a":"b=c"}]`,
		"--log-driver=none --log-opt a=b": "logdriver=[none] logoptions=[a=b]",
		"--ip 10.1.2.3 --mac-address 02:00:00:00:00:01": "staticips=[10.1.2.3] staticmacs=[02:00:00:00:00:01]",
		"--no-hosts --no-hostname=false --no-trunc":     "nohostname=[false] nohosts=[true] notrunc=[true]",
		"--no-pod-prefix --replace":                     "nopodprefix=[true] replace=[true]",
		"--publish 80:80,81:81 --publish-all":           "publishallports=[true] publishports=[80:80 81:81]",
		"--userns auto --creds me:secret":               "password=[secret] username=[me] userns=[auto]",
	} {
		options, _, err := parsePlayOptions(strings.Fields(args))
		if err != nil {
			t.Errorf("%s: %v", args, err)
			continue
		}
		params, err := options.ToParams()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, key := range slices.Sorted(maps.Keys(params)) {
			if params.Get(key) != "" {
				got = append(got, fmt.Sprintf("%s=%v", key, params[key]))
			}
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s sends %s, want %s", args, text, want)
		}
	}
	options, _, err := parsePlayOptions([]string{"--tls-verify=false", "--start=false", "--authfile=/a", "--configmap=/c"})
	if err != nil || !options.GetSkipTLSVerify() || options.GetStart() || options.GetAuthfile() != "/a" || options.GetConfigMaps()[0] != "/c" {
		t.Errorf("options are %+v, %v", options, err)
	}
}

func TestOptionsAreRefusedByName(t *testing.T) {
	for arg, want := range map[string]string{
		"--annotation=a": "--annotation a", "--mac-address=x": "--mac-address x", "--ip=x": "--ip",
		"--wait": "--wait is not supported: workloads run in background (supported are --annotation, ", "--force": "downOptions",
		"--nothing": "unknown flag: --nothing (supported are ", "file.yaml": "file.yaml",
	} {
		if _, _, err := parsePlayOptions([]string{arg}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", arg, err, want)
		}
	}
	for name := range refusals {
		if _, _, err := parsePlayOptions([]string{"--" + name + "=true"}); err == nil || !strings.Contains(err.Error(), "--"+name+" is not supported") ||
			strings.Contains(err.Error(), "--"+name+",") {
			t.Errorf("--%s: %v", name, err)
		}
	}
	if force, err := parseDownOptions([]string{"--force"}); err != nil || !force {
		t.Errorf("--force of down: %v, %v", force, err)
	}
}

func TestWhatAnOlderServiceWouldIgnoreIsRefused(t *testing.T) {
	p := &plan{manifest: &manifest{kinds: []string{"Job", "Pod"}}, used: []string{"network", "no-pod-prefix"}}
	for version, want := range map[string]string{"4.3.1": "--no-pod-prefix needs podman 5.7", "5.8.4": ""} {
		err := p.checkVersion(semver.MustParse(version))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %s", version, err, want)
		}
	}
	p.used = nil
	if err := p.checkVersion(semver.MustParse("5.2.0")); err == nil || !strings.Contains(err.Error(), "kind Job") {
		t.Errorf("a job on 5.2: %v", err)
	}
}

const everything = `
apiVersion: v1
kind: List
items:
- {kind: Secret, metadata: {name: s}, stringData: {a: b}}
- {kind: PersistentVolumeClaim, metadata: {name: claim}}
---
---
kind: Service
metadata: {name: ignored}
---
kind: Pod
metadata: {name: a, labels: {app: x, argosy.agent: liar}}
spec:
  restartPolicy: OnFailure
  containers: [{name: c, image: i, env: [{name: N, value: 1}]}]
  volumes:
  - {name: v, persistentVolumeClaim: {claimName: claim}}
  - {name: w, configMap: {name: cm}}
---
kind: Deployment
metadata: {name: b}
spec:
  selector: {matchLabels: &labels {app: y}}
  template:
    metadata: {labels: *labels}
    spec:
      initContainers: [{name: i, image: i}]
      containers: [{name: c, image: i}]
      volumes: [{name: w, secret: {secretName: s}}]
---
kind: Job
metadata: {name: j}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}
---
kind: DaemonSet
metadata: {name: d}
spec: {template: {spec: {containers: [{name: c, image: i}]}}}
`

func mustParse(t *testing.T, text string) *manifest {
	t.Helper()
	m, err := parseManifest(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestManifestIsReadAsPodmanReadsIt(t *testing.T) {
	m := mustParse(t, everything)
	var pods []string
	for _, p := range m.pods {
		pods = append(pods, p.name+" "+string(p.restartPolicy))
	}
	for what, got := range map[string][2]string{
		"pods":    {fmt.Sprint(pods), "[a OnFailure b-pod Always j-pod Never d-pod Always]"},
		"volumes": {fmt.Sprint(m.volumes()), "[claim cm s]"},
		"forced":  {fmt.Sprint(m.forced()), "[claim cm]"},
		"secrets": {fmt.Sprint(m.secrets), "[s]"},
		"skipped": {fmt.Sprint(m.skipped), "[Service]"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s are %s, want %s", what, got[0], got[1])
		}
	}
	m.label(map[string]string{labelAgent: "agent", labelInstance: "w"})
	text, err := m.text(func(volume string) bool { return volume == "claim" })
	if err != nil {
		t.Fatal(err)
	}
	again := mustParse(t, string(text))
	if fmt.Sprint(again.claims) != "[]" || strings.Contains(string(text), "Service") {
		t.Errorf("what is played is\n%s", text)
	}
	for _, p := range again.pods {
		labels := child(child(p.object, "metadata"), "labels")
		if labels[labelAgent] != "agent" || labels[labelInstance] != "w" || labels[labelRestart] != string(p.restartPolicy) {
			t.Errorf("labels of %s are %v", p.name, labels)
		}
	}
	if selector := fmt.Sprint(again.documents[2].object["spec"].(map[string]any)["selector"]); selector != "map[matchLabels:map[app:y]]" {
		t.Errorf("the selector became %s", selector)
	}
}

func TestHostileManifestsAreRefused(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 10; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	for name, text := range map[string]string{
		"aliases": bomb, "depth": strings.Repeat("[", 20000), "scalar": "x", "keys": "kind: Pod\n1: 2", "itself": "a: &a [*a]",
		"labels": "kind: Pod\nmetadata: {name: x, labels: [a]}\nspec: {containers: [{name: c, image: i}]}",
	} {
		if _, err := parseManifest(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestControlInterfaceIsMountedIntoItsTarget(t *testing.T) {
	m := mustParse(t, everything)
	if err := m.addControlInterface("b-pod/c", "/run/dir", "/run/argosy"); err != nil {
		t.Fatal(err)
	}
	text, err := m.text(func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range mustParse(t, string(text)).pods {
		volumes := slices.DeleteFunc(slices.Clone(p.spec.Volumes), func(v core.Volume) bool { return v.Name != controlVolume })
		mounts := p.spec.Containers[0].VolumeMounts
		if p.name != "b-pod" {
			if len(volumes) > 0 || len(mounts) > 0 {
				t.Errorf("%s got it too", p.name)
			}
			continue
		}
		if len(volumes) != 1 || volumes[0].HostPath.Path != "/run/dir" || *volumes[0].HostPath.Type != "Directory" || len(p.spec.Volumes) != 2 {
			t.Errorf("volumes are %+v", p.spec.Volumes)
		}
		if len(mounts) != 1 || mounts[0].Name != controlVolume || mounts[0].MountPath != "/run/argosy" {
			t.Errorf("mounts are %+v", mounts)
		}
	}
	for target, want := range map[string]string{
		"":        "Control interface target not specified in runtime config.",
		"b-pod":   "Invalid control interface target format: 'b-pod'. Expected format: '<pod_name>/<container_name>'",
		"b/c/d":   "Invalid control interface target format: 'b/c/d'. Expected format: '<pod_name>/<container_name>'",
		"b/c":     "Cannot add Control Interface. Target pod not found 'b'",
		"b-pod/i": "Target container 'i' not found.",
	} {
		if err := m.addControlInterface(target, "/d", "/m"); err == nil || err.Error() != want {
			t.Errorf("target %q: %v, want %s", target, err, want)
		}
	}
}

func TestAPlanHasWhatTheAgentShowsTheInstance(t *testing.T) {
	k := &Kube{logger: slog.New(slog.DiscardHandler)}
	config := func(target string) string {
		return "manifest: |\n  " + strings.ReplaceAll(everything, "\n", "\n  ") + "\ncontrolInterfaceTarget: " + target + "\n"
	}
	mounted := runtime.StartOptions{Mounts: []runtime.Mount{{Source: "/run/pipes", Target: runtime.ControlInterfaceTarget}}}
	file := []*argosyv1.File{{MountPoint: "/f", Content: &argosyv1.File_Data{Data: "x"}}}
	for name, test := range map[string]struct {
		workload *argosyv1.Workload
		options  runtime.StartOptions
		want     string // of the error
	}{
		"nothing":             {&argosyv1.Workload{Name: "w", RuntimeConfig: config("b-pod/c")}, runtime.StartOptions{}, ""},
		"a control interface": {&argosyv1.Workload{Name: "w", RuntimeConfig: config("b-pod/c")}, mounted, ""},
		"without a target":    {&argosyv1.Workload{Name: "w", RuntimeConfig: config("''")}, mounted, "Control interface target not specified in runtime config."},
		"files":               {&argosyv1.Workload{Name: "w", RuntimeConfig: config("b-pod/c"), Files: file}, runtime.StartOptions{}, "Use ConfigMaps instead."},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := k.plan(test.workload, test.options)
			if test.want != "" {
				if !errors.Is(err, runtime.ErrInvalidConfig) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want %s", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := p.manifest.text(func(string) bool { return false })
			if err != nil {
				t.Fatal(err)
			}
			if has := strings.Contains(string(text), controlVolume) && strings.Contains(string(text), "/run/pipes"); has != (len(test.options.Mounts) > 0) {
				t.Errorf("mounts the control interface: %v\n%s", has, text)
			}
		})
	}
}

var testName = &argosyv1.InstanceName{Workload: "w", Id: strings.Repeat("a", 64), Agent: "agent"}

// a container in a state: failed 7, succeeded, starting, running, ...
func a(state string) libpod.Container {
	c := libpod.Container{Container: "p-" + state, Pod: "id", PodName: "p", Labels: map[string]string{labelRestart: "Never"}}
	c.Name = testName
	switch state {
	case "failed":
		c.Status, c.ExitCode = runtime.StatusExited, 7
	case "succeeded":
		c.Status = runtime.StatusExited
	case "starting":
		c.Status = runtime.StatusStarting
	case "running":
		c.Status = runtime.StatusRunning
	case "stopping":
		c.Status = runtime.StatusStopping
	case "config", "pods", recordForeign:
		c.Status, c.Container, c.Pod = runtime.StatusStarting, state, ""
	}
	return c
}

func TestStateOfASetIsThatOfItsWorstContainer(t *testing.T) {
	for states, want := range map[string]string{
		"running":         "running",
		"running running": "running",
		"failed starting unknown running stopping succeeded": "exited 7",
		"starting unknown running stopping succeeded":        "starting",
		"unknown running stopping succeeded":                 "unknown",
		"running stopping succeeded":                         "running",
		"stopping succeeded":                                 "stopping",
		"succeeded succeeded":                                "exited 0",
		"":                                                   "exited 255",
	} {
		found := []libpod.Container{a("config"), a("pods")}
		for state := range strings.FieldsSeq(states) {
			found = append(found, a(state))
		}
		instance, _ := verdict(found)
		got := []string{"unknown", "starting", "running", "stopping", "exited"}[instance.Status]
		if instance.Status == runtime.StatusExited {
			got += fmt.Sprint(" ", instance.ExitCode)
		}
		if got != want {
			t.Errorf("%s is %s, want %s", states, got, want)
		}
	}
	for _, found := range [][]libpod.Container{
		{a("config")}, {a("pods")}, {a("running")}, {a("config"), a("running")}, {a(recordForeign), a("pods"), a("running")},
	} {
		if instance, _ := verdict(found); instance.Status != runtime.StatusStarting || instance.Detail == "" {
			t.Errorf("half an instance is %+v", instance)
		}
	}
}

func TestExitCodeIsThatOfWhoFailedFirst(t *testing.T) {
	first, second := a("failed"), a("failed")
	second.ExitCode, second.EndedAt, first.EndedAt = 9, time.Unix(20, 0), time.Unix(10, 0)
	instance, _ := verdict([]libpod.Container{second, a("config"), a("running"), first, a("pods")})
	if instance.ExitCode != 7 || instance.Detail != "container p-failed: ended with 7" {
		t.Errorf("instance is %+v", instance)
	}
}

func TestAContainerThatPodmanRestartsIsStartingForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			policy, state string
			restarts      bool
		}{
			{"Always", "failed", true}, {"Always", "succeeded", true}, {"OnFailure", "failed", true},
			{"OnFailure", "succeeded", false}, {"Never", "failed", false}, {"", "failed", false},
		} {
			c := a(test.state)
			c.Labels[labelRestart], c.EndedAt = test.policy, time.Now()
			set := []libpod.Container{a("config"), a("pods"), c}
			instance, again := verdict(set)
			if !test.restarts {
				if instance.Status != runtime.StatusExited || again != 0 {
					t.Errorf("%s %s: %+v, %v", test.policy, test.state, instance, again)
				}
				continue
			}
			if instance.Status != runtime.StatusStarting || again != restartGrace || instance.Detail == "" {
				t.Errorf("%s %s: %+v, %v", test.policy, test.state, instance, again)
			}
			time.Sleep(again)
			if instance, again := verdict(set); instance.Status != runtime.StatusExited || again != 0 {
				t.Errorf("%s %s after that: %+v, %v", test.policy, test.state, instance, again)
			}
			// The machine was started anew with a clock that begins in the past.
			set[2].EndedAt = time.Now().AddDate(20, 0, 0)
			if instance, again := verdict(set); instance.Status != runtime.StatusExited || again != 0 {
				t.Errorf("%s %s in the future: %+v, %v", test.policy, test.state, instance, again)
			}
		}
	})
}

func TestLinesOfSeveralContainersComeInOrderOfTime(t *testing.T) {
	at := func(second int64, text string) runtime.LogLine {
		return runtime.LogLine{Time: time.Unix(second, 0), Line: []byte(text)}
	}
	for tail, want := range map[int]string{-1: "a1 b1 b2 a3 c3 b4", 0: "", 1: "b4", 4: "b2 a3 c3 b4", 100: "a1 b1 b2 a3 c3 b4"} {
		var streams []chan runtime.LogLine
		for _, lines := range [][]runtime.LogLine{{at(1, "a1"), at(3, "a3")}, {at(1, "b1"), at(2, "b2"), at(4, "b4")}, {at(3, "c3")}, nil} {
			stream := make(chan runtime.LogLine, len(lines))
			for _, line := range lines {
				stream <- line
			}
			close(stream)
			streams = append(streams, stream)
		}
		var got []string
		err := inOrder(streams, tail, func(_ int, line runtime.LogLine) error {
			got = append(got, string(line.Line))
			return nil
		})
		if text := strings.Join(got, " "); err != nil || text != want {
			t.Errorf("tail %d: %s, %v; want %s", tail, text, err, want)
		}
	}
	refused := errors.New("refused")
	full := make(chan runtime.LogLine, 1)
	full <- at(1, "a")
	close(full)
	if err := inOrder([]chan runtime.LogLine{full}, -1, func(int, runtime.LogLine) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("ended with %v", err)
	}
}

func TestWhoWantsNoMoreLinesIsNotCalledAgain(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	enough := errors.New("enough")
	calls := 0
	hand := oneAtATime(ctx, cancel, func(runtime.LogLine) error { calls++; return enough })
	for range 2 {
		if err := hand(runtime.LogLine{}); !errors.Is(err, enough) {
			t.Errorf("it ended with %v, want %v", err, enough)
		}
	}
	if calls != 1 || !errors.Is(context.Cause(ctx), enough) {
		t.Errorf("called %d times, the others end with %v", calls, context.Cause(ctx))
	}
}
