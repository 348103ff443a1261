package podmand

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// EnvProgram names the variable that says which podman program to use.
const EnvProgram = "ARGOSY_PODMAN"

// Find returns the path of the podman program: the one given, else the one that
// $ARGOSY_PODMAN names, else the one of PATH. ErrMissing when there is none.
func Find(program string) (string, error) {
	if program == "" {
		program = os.Getenv(EnvProgram)
	}
	if program == "" {
		program = "podman"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%w: %w: install the package podman, or name the program in $%s", ErrMissing, err, EnvProgram)
	}
	return filepath.Abs(path)
}

// checkPrivilege says what is missing when we are not root: a user needs
// subordinate ids and the programs that map them.
func checkPrivilege() error {
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := exec.LookPath("newuidmap"); err != nil {
		return fmt.Errorf("%w: as user id %d it needs the program newuidmap (package uidmap): install it, or run as root", ErrUnusable, os.Geteuid())
	}
	names := []string{strconv.Itoa(os.Geteuid())}
	if u, err := user.Current(); err == nil {
		names = append(names, u.Username)
	}
	table, _ := os.ReadFile("/etc/subuid")
	for line := range strings.Lines(string(table)) {
		for _, name := range names {
			if strings.HasPrefix(line, name+":") {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: user %s has no entry in /etc/subuid: add one, or run as root", ErrUnusable, names[len(names)-1])
}

// chooseOCIRuntime returns the first program that runs a container here. crun
// refuses machines with both kinds of control groups, where runc works.
func chooseOCIRuntime(ctx context.Context, scratch, wanted string) (string, error) {
	candidates := []string{"crun", "runc"}
	if wanted != "" {
		candidates = []string{wanted}
	}
	var problems []error
	for _, name := range candidates {
		path, err := exec.LookPath(name)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		// Without root a trial needs a user namespace that podman would make.
		if os.Geteuid() != 0 {
			return path, nil
		}
		if err := tryOCIRuntime(ctx, path, scratch); err != nil {
			problems = append(problems, err)
			continue
		}
		return path, nil
	}
	return "", fmt.Errorf("%w: no program that can run a container: %w", ErrUnusable, errors.Join(problems...))
}

// tryOCIRuntime runs /bin/true in a container made of the machine's own
// programs.
func tryOCIRuntime(ctx context.Context, program, scratch string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	bundle, err := os.MkdirTemp(scratch, "trial-")
	if err != nil {
		return fmt.Errorf("try %s: %w", program, err)
	}
	defer os.RemoveAll(bundle)
	spec, err := json.Marshal(trialSpec())
	if err != nil {
		return fmt.Errorf("try %s: %w", program, err)
	}
	if err := errors.Join(
		os.Mkdir(filepath.Join(bundle, "rootfs"), 0o755),
		os.WriteFile(filepath.Join(bundle, "config.json"), spec, 0o600),
	); err != nil {
		return fmt.Errorf("try %s: %w", program, err)
	}
	cmd := exec.CommandContext(ctx, program, "--root", filepath.Join(bundle, "state"),
		"run", "--bundle", bundle, filepath.Base(bundle))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("try %s: %w: %s", program, err, bytes.TrimSpace(out))
	}
	return nil
}

func trialSpec() map[string]any {
	type mount struct {
		Destination string   `json:"destination"`
		Type        string   `json:"type"`
		Source      string   `json:"source"`
		Options     []string `json:"options,omitempty"`
	}
	mounts := []mount{{Destination: "/proc", Type: "proc", Source: "proc"}}
	for _, dir := range []string{"/usr", "/bin", "/lib", "/lib64"} {
		if _, err := os.Stat(dir); err == nil {
			mounts = append(mounts, mount{dir, "bind", dir, []string{"rbind", "ro"}})
		}
	}
	namespaces := []map[string]string{{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}}
	return map[string]any{
		"ociVersion": "1.0.2",
		"process": map[string]any{
			"user": map[string]int{"uid": 0, "gid": 0}, "cwd": "/",
			"args": []string{"/bin/true"}, "env": []string{"PATH=/usr/bin:/bin"},
		},
		"root":   map[string]any{"path": "rootfs"},
		"mounts": mounts,
		"linux":  map[string]any{"namespaces": namespaces},
	}
}

// Bridge returns nil when the programs that podman needs for bridge networks and
// published ports are installed, else what is missing. Containers with the
// host's network or none work without them.
func Bridge() error {
	helpers := []string{"/usr/libexec/podman/netavark", "/usr/lib/podman/netavark", "/usr/local/libexec/podman/netavark"}
	if !slices.ContainsFunc(helpers, func(path string) bool { _, err := os.Stat(path); return err == nil }) {
		return errors.New("bridge networks do not work: netavark is missing: install the package netavark")
	}
	for _, program := range []string{"iptables", "nft"} {
		if _, err := exec.LookPath(program); err == nil {
			return nil
		}
	}
	return errors.New("bridge networks do not work: iptables is missing: install the package iptables")
}

// mayRaiseLimits says whether this process may raise resource limits
// (CAP_SYS_RESOURCE), which podman's default limits for containers need.
func mayRaiseLimits() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}
