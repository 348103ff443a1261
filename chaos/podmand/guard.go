package podmand

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// clean is what a guard does when this process is gone, which was killed before it
// could call Stop: containers have parents of their own and would run for ever. It
// ends the service, whose last argument is the address $5; has the program $1
// remove pods and containers, from the storage $3 with the state $4; kills what
// watches a container and still names the directory $2, with what it watches: the
// program knows of no container that was just being made; removes what the OCI
// runtime knows of it, and the bridge $6; and empties the directory.
const clean = `
dir=$2
with_word() { grep -lzxs -e "$1" /proc/[0-9]*/cmdline | cut -d / -f 3 | grep -vx "$$"; }
kill -9 $(with_word "$5")
"$1" --root "$3" --runroot "$4" pod rm --all --force --time=0
"$1" --root "$3" --runroot "$4" rm --all --force --time=0 --volumes
for turn in $(seq 50); do
	monitors=$(with_word "$dir/.*/userdata")
	[ "$monitors" ] || break
	sleep 0.1
done
for monitor in $monitors; do
	kill -9 $(cat "/proc/$monitor/task/$monitor/children") "$monitor"
done
for bundle in "$3"/*-containers/*/userdata; do
	id=$(basename "$(dirname "$bundle")")
	[ "$id" = "*" ] || rm -rf "/run/runc/$id" "/run/crun/$id"
done
awk -v dir="$dir/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r point; do umount -l "$point"; done
ip link delete "$6"
rm -rf "$dir"`

// guard is a process beside this one that cleans up when this one is gone.
type guard struct {
	cmd *exec.Cmd
	// lifeline is closed by the kernel when this process ends.
	lifeline io.Closer
}

// newGuard starts the guard of a service.
func (s *Service) newGuard() (*guard, error) {
	cmd := exec.Command("/bin/sh", "-c", "read -r never\nexec >/dev/null 2>&1\n"+clean, "guard",
		s.program, s.cfg.Dir, s.layout.root(), s.layout.runroot(), s.URL(), s.layout.bridge())
	cmd.Env, cmd.Dir = s.layout.environment(), "/"
	// It outlives this process, and a Ctrl-C at the terminal.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start guard of podman service: %w", err)
	}
	if err := cmd.Start(); err != nil {
		_ = lifeline.Close()
		return nil, fmt.Errorf("start guard of podman service: %w", err)
	}
	return &guard{cmd, lifeline}, nil
}

// dismiss ends it without a deed.
func (g *guard) dismiss() {
	if g == nil {
		return
	}
	// It has no more to do, and tells nothing by how it ends.
	_ = g.cmd.Process.Kill()
	_ = g.cmd.Wait()
	_ = g.lifeline.Close()
}
