package process

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
)

func at(home string) map[string]string { return map[string]string{"PATH": DefaultPath, "HOME": home} }

func TestSpecDefaults(t *testing.T) {
	p, err := parseSpec("command: ls\n", at("/home/me"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.args, []string{"ls"}) || p.dir != "/" || p.stopSignal != syscall.SIGTERM || p.stopTimeout != 10*time.Second ||
		!slices.Equal(p.env, []string{"HOME=/home/me", "PATH=" + DefaultPath}) {
		t.Fatalf("parsed as %+v", p)
	}
}

func TestAProcessIsToldWhereItsFilesAre(t *testing.T) {
	r := &Runtime{cfg: Config{Home: "/"}}
	options := runtime.StartOptions{Mounts: []runtime.Mount{
		{Source: "/run/w/control_interface", Target: runtime.ControlInterfaceTarget},
		{Source: "/run/w/files/etc/a.conf", Target: "/etc/a.conf", ReadOnly: true},
		{Source: "/run/w/files/b", Target: "/b", ReadOnly: true},
	}}
	p, err := parseSpec("command: ls\n", r.surroundings(options))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"ARGOSY_CONTROL_INTERFACE=/run/w/control_interface", "ARGOSY_FILES=/run/w/files", "HOME=/", "PATH=" + DefaultPath}
	if !slices.Equal(p.env, want) {
		t.Errorf("environment %q, want %q", p.env, want)
	}
	if p, err = parseSpec("command: ls\nenv: {ARGOSY_FILES: mine}\n", r.surroundings(options)); err != nil || !slices.Contains(p.env, "ARGOSY_FILES=mine") {
		t.Errorf("what the configuration says does not win: %q, %v", p.env, err)
	}
}

func TestSpecIsReadAsWritten(t *testing.T) {
	p, err := parseSpec(`
command: server
args: ["--port", 8080, '-v']
env:
  DEBUG: true
  PATH: /opt/bin
workingDir: /srv
stopSignal: 2
stopTimeout: 0s
`, at("/"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.args, []string{"server", "--port", "8080", "-v"}) || p.dir != "/srv" ||
		p.stopSignal != syscall.SIGINT || p.stopTimeout != 0 ||
		!slices.Equal(p.env, []string{"DEBUG=true", "HOME=/", "PATH=/opt/bin"}) {
		t.Fatalf("parsed as %+v", p)
	}
}

func FuzzSpec(f *testing.F) {
	f.Add("command: ls\nargs: [a, b]\nenv: {A: b}\nworkingDir: /\nstopSignal: TERM\nstopTimeout: 1s\n")
	f.Add("command: &a ls\nargs: [*a]\n")
	f.Add("- command\n")
	f.Add("command: ls\nargs: !tag value\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseSpec(text, at("/"))
		if err != nil {
			if !errors.Is(err, runtime.ErrInvalidConfig) {
				t.Fatalf("error %v is not %v", err, runtime.ErrInvalidConfig)
			}
			return
		}
		if p.args[0] == "" || p.stopTimeout < 0 || p.stopSignal <= 0 || p.dir[0] != '/' {
			t.Fatalf("accepted as %+v", p)
		}
	})
}
