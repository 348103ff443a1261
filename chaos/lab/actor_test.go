package lab_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/lab"
)

// actorName is the argument that makes this binary a program that does what it
// is told, and tells what came of it.
const actorName = "actor"

// beActor reads one word a line, does it, and prints the error, or "done".
func beActor(dir string) int {
	file, err := os.OpenFile(filepath.Join(dir, fmt.Sprint("acts-", os.Getpid())), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	var held []*os.File
	var memory [][]byte
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var err error
		switch lines.Text() {
		case "write":
			_, err = file.WriteAt([]byte("text"), 0)
		case "flush":
			err = file.Sync()
		case "open":
			var null *os.File
			if null, err = os.Open("/dev/null"); err == nil {
				held = append(held, null)
			}
		case "grow":
			block := make([]byte, 8<<20)
			for i := range block {
				block[i] = 1
			}
			memory = append(memory, block)
		case "work":
			for i := range 200_000_000 {
				held = held[:min(len(held), i+len(held))]
			}
		}
		if err != nil {
			fmt.Println(err)
		} else {
			fmt.Println("done")
		}
	}
	// What was taken is held to the end.
	runtime.KeepAlive(memory)
	return 0
}

// actor is one that runs.
type actor struct {
	*testing.T
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

func mustActor(t *testing.T, host *lab.Host) *actor {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", actorName, t.TempDir())
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, host.Start(cmd))
	a := &actor{t, cmd, in, bufio.NewReader(out)}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	// Then it has opened all that it does by itself.
	a.mustDo("nothing")
	return a
}

// do has it do a thing and returns what came of it.
func (a *actor) do(what string) string {
	a.Helper()
	_, err := fmt.Fprintln(a.in, what)
	must(a.T, err)
	line, err := a.out.ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(line)
}

func (a *actor) mustDo(what string) {
	a.Helper()
	if got := a.do(what); got != "done" {
		a.Fatalf("%s: %s", what, got)
	}
}

func (a *actor) mustFail(what, want string) {
	a.Helper()
	if got := a.do(what); !strings.Contains(got, want) {
		a.Fatalf("%s: %s, want: %s", what, got, want)
	}
}

func (a *actor) pid() int { return a.cmd.Process.Pid }
