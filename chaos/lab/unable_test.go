package lab_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestWhoCannotHaveALabIsToldWhy(t *testing.T) {
	t.Parallel()
	mustLab(t)
	for _, tc := range []struct {
		name string
		who  *syscall.SysProcAttr
		want []string
	}{
		{"a user", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}},
			[]string{"build lab", "user 65534 is not root", "run it as root"}},
		{"root of a namespace", &syscall.SysProcAttr{
			Credential:  &syscall.Credential{NoSetGroups: true},
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}},
		}, []string{"cannot build machines here", "rights of root"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.Chmod(dir, 0o777))
			must(t, os.Chmod(filepath.Dir(dir), 0o755))
			cmd := exec.Command("/proc/self/exe", doomedLab, dir)
			cmd.SysProcAttr = tc.who
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("it has a lab: %s", out)
			}
			for _, want := range tc.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("it says %q, which lacks %q", out, want)
				}
			}
		})
	}
}
