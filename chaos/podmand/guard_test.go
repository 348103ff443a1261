package podmand_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/chaos/podmand"
)

// doomed is the first argument of a program that runs a container and waits to be
// killed.
const doomed = "doomed-podman"

const running = "running"

func beDoomed(dir, busybox string) int {
	s, err := podmand.Start(context.Background(), podmand.DefaultConfig(dir))
	if err == nil {
		err = s.ImportBinary(context.Background(), busybox, "localhost/busybox:latest")
	}
	if err == nil {
		_, err = s.Podman(context.Background(), "run", "-d", "--volume", "a-volume:/data", "localhost/busybox:latest", "sleep", "1000")
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(running)
	select {}
}

// processesOf returns the command lines that name a directory, but for that of
// this test.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, line := range lines {
		// It may have ended meanwhile.
		if text, err := os.ReadFile(line); err == nil && bytes.Contains(text, []byte(dir)) {
			found = append(found, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return found
}

func TestNothingIsLeftOfWhoWasKilled(t *testing.T) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox-static: ", err)
	}
	// What the guard has to do, every other test does in order.
	dir := shortDir(t)
	mustStart(t, podmand.DefaultConfig(shortDir(t)))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := exec.Command(self, doomed, dir, busybox)
	out, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	said, _ := bufio.NewReader(out).ReadString('\n')
	_ = program.Process.Kill()
	_ = program.Wait()
	if strings.TrimSpace(said) != running {
		t.Fatalf("it says %q", said)
	}
	deadline := time.After(2 * time.Minute)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		_, err := os.Stat(dir)
		left := processesOf(t, dir)
		if errors.Is(err, os.ErrNotExist) && len(left) == 0 {
			break
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("its directory is left: %v; these run: %q", err == nil, left)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), dir) {
		t.Error("mounts are left")
	}
}
