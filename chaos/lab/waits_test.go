package lab_test

import (
	"errors"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/chaos/lab"
)

// Of two that want one and the same processor one has to wait at any time.
func TestAHostSaysForHowLongItWasNotRun(t *testing.T) {
	t.Parallel()
	l := mustLab(t)
	idle, busy := mustHost(t, l, "idle"), []*lab.Host{mustHost(t, l, "a"), mustHost(t, l, "b")}
	before, err := idle.Waited()
	if errors.Is(err, lab.ErrUnable) {
		t.Skip(err)
	}
	must(t, err)
	var one unix.CPUSet
	one.Set(0)
	for _, host := range busy {
		loop := exec.Command("/bin/sh", "-c", "while :; do :; done")
		must(t, host.Start(loop))
		t.Cleanup(func() { _ = loop.Process.Kill(); _ = loop.Wait() })
		must(t, unix.SchedSetaffinity(loop.Process.Pid, &one))
	}
	deadline := time.After(time.Minute)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for _, host := range busy {
		for waited := time.Duration(0); waited < 100*time.Millisecond; {
			select {
			case <-ticker.C:
			case <-deadline:
				t.Fatalf("%s has waited for %v only", host.Name, waited)
			}
			waited, err = host.Waited()
			must(t, err)
		}
	}
	if after, err := idle.Waited(); err != nil || after != before {
		t.Errorf("a host on which nothing runs waited for %v: %v", after-before, err)
	}
}
