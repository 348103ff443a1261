package process

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/runtimetest"
)

func mustYAML(t *testing.T, value any) string {
	t.Helper()
	text, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func shell(t *testing.T, script string, more map[string]any) string {
	t.Helper()
	config := map[string]any{"command": "sh", "args": []string{"-c", script}}
	for key, value := range more {
		config[key] = value
	}
	return mustYAML(t, config)
}

func TestConformance(t *testing.T) {
	base := t.TempDir()
	opened := make(map[string]bool)
	runtimetest.Run(t, runtimetest.Harness{
		Runtime: Name,
		Open: func(t *testing.T, agent string) (runtime.Runtime, func()) {
			p := &place{t: t, dir: filepath.Join(base, agent), idle: time.Hour}
			if !opened[agent] {
				opened[agent] = true
				t.Cleanup(func() { endKeeper(t, p.dir) })
			}
			return p.open(agent), func() {}
		},
		Config: func(script runtimetest.Script) string {
			return shell(t, script.Body, map[string]any{"stopTimeout": script.StopTimeout.String()})
		},
		Kill: func(t *testing.T, instance runtime.Instance, signal syscall.Signal) {
			if err := syscall.Kill(pidOf(t, instance), signal); err != nil {
				t.Fatal(err)
			}
		},
		Invalid: map[string]string{
			"":                                     "command: it is required",
			"command: [":                           "line 1",
			"command: true\nimage: nginx\n":        "line 2, column 1: unknown field \"image\"",
			"command: a\ncommand: b\n":             "line 2",
			"command: a\nargs: one\n":              "line 2",
			"command: a\nstopSignal: SIGNOTHING\n": "line 2, column 13: stopSignal: \"SIGNOTHING\" is no signal",
			"command: a\nenv: {A: b}\nstopTimeout: soon\n": "line 3, column 14: stopTimeout: \"soon\" is no duration",
			"command: a\nworkingDir: here\n":               "no absolute path",
			"command: a\nenv:\n  \"A=B\": c\n":             "line 3",
			"command: a\n---\ncommand: b\n":                "a second document",
			"just text":                                    "line 1",
		},
		Failing: "command: /no/such/command\n",
		Many:    200,
		Mounts:  true,
	})
}
