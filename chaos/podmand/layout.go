package podmand

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// layout is where things are in the directory of a service.
type layout struct{ dir string }

func (l layout) root() string     { return filepath.Join(l.dir, "root") }
func (l layout) runroot() string  { return filepath.Join(l.dir, "run") }
func (l layout) tmp() string      { return filepath.Join(l.dir, "tmp") }
func (l layout) networks() string { return filepath.Join(l.dir, "net") }
func (l layout) conf() string     { return filepath.Join(l.dir, "containers.conf") }
func (l layout) storage() string  { return filepath.Join(l.dir, "storage.conf") }
func (l layout) socket() string   { return filepath.Join(l.dir, "podman.sock") }

func (l layout) marker() string { return filepath.Join(l.dir, ".argosy-podman") }

// claim makes the directory ours. One that holds anything else is refused:
// Stop empties it.
func (l layout) claim() error {
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(l.marker()); err != nil && len(entries) > 0 {
		return fmt.Errorf("directory %s is not empty (it holds %s): give one of its own", l.dir, entries[0].Name())
	}
	return os.WriteFile(l.marker(), nil, 0o644)
}

// bridge returns the name of the service's own bridge: podman's default one
// would hand out the same addresses for every service on the machine.
func (l layout) bridge() string { return fmt.Sprintf("argosy%06x", l.number()&0xffffff) }

func (l layout) number() uint32 {
	hash := fnv.New32a()
	hash.Write([]byte(l.dir))
	return hash.Sum32()
}

// environment returns the environment of the podman program: our files in place
// of the machine's, and nothing that would send it to another service.
func (l layout) environment() []string {
	environment := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return strings.HasPrefix(name, "CONTAINER") || strings.HasPrefix(name, "PODMAN_") ||
			strings.HasPrefix(name, "STORAGE_") || name == "NOTIFY_SOCKET" || strings.HasPrefix(name, "LISTEN_")
	})
	return append(environment,
		"CONTAINERS_CONF="+l.conf(),
		"CONTAINERS_STORAGE_CONF="+l.storage(),
		"PODMAN_IGNORE_CGROUPSV1_WARNING=1")
}

// prepare writes the configuration files.
func (l layout) prepare(ctx context.Context, ociRuntime string) error {
	if err := l.claim(); err != nil {
		return fmt.Errorf("prepare podman service: %w", err)
	}
	for _, dir := range []string{l.root(), l.runroot(), l.tmp(), l.networks()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("prepare podman service: %w", err)
		}
	}
	program, err := chooseOCIRuntime(ctx, l.tmp(), ociRuntime)
	if err != nil {
		return err
	}
	network, err := json.MarshalIndent(l.network(), "", "  ")
	if err != nil {
		return fmt.Errorf("prepare podman service: %w", err)
	}
	err = errors.Join(
		os.WriteFile(l.conf(), []byte(l.containersConf(program)), 0o644),
		os.WriteFile(l.storage(), []byte(l.storageConf()), 0o644),
		os.WriteFile(filepath.Join(l.networks(), "podman.json"), network, 0o644),
	)
	if err != nil {
		return fmt.Errorf("prepare podman service: %w", err)
	}
	return nil
}

func (l layout) containersConf(ociRuntime string) string {
	var b strings.Builder
	b.WriteString("[containers]\nlog_driver = \"k8s-file\"\n")
	if !mayRaiseLimits() {
		// Soft and hard are the same: podman 4.3 swaps them.
		files, processes := limit(unix.RLIMIT_NOFILE), limit(unix.RLIMIT_NPROC)
		fmt.Fprintf(&b, "default_ulimits = [\"nofile=%d:%d\", \"nproc=%d:%d\"]\n", files, files, processes, processes)
	}
	fmt.Fprintf(&b, "[engine]\nruntime = %q\n", filepath.Base(ociRuntime))
	fmt.Fprintf(&b, "tmp_dir = %q\n", l.tmp())
	// Locks in shared memory are one set for the whole machine, and a service
	// that finds its directory empty frees them all, those of others too.
	b.WriteString("lock_type = \"file\"\nevents_logger = \"file\"\ncgroup_manager = \"cgroupfs\"\n")
	fmt.Fprintf(&b, "[engine.runtimes]\n%s = [%q]\n", filepath.Base(ociRuntime), ociRuntime)
	fmt.Fprintf(&b, "[network]\nnetwork_config_dir = %q\n", l.networks())
	return b.String()
}

func (l layout) storageConf() string {
	return fmt.Sprintf("[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrunroot = %q\n", l.root(), l.runroot())
}

// network describes the default network with a bridge and addresses of its own.
func (l layout) network() map[string]any {
	n := l.number()
	prefix := fmt.Sprintf("10.%d.%d", 128+n%112, n>>8&0xff)
	return map[string]any{
		"name": "podman", "driver": "bridge", "network_interface": l.bridge(),
		"id":           "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9",
		"created":      time.Now().Format(time.RFC3339),
		"subnets":      []map[string]string{{"subnet": prefix + ".0/24", "gateway": prefix + ".1"}},
		"ipv6_enabled": false, "internal": false, "dns_enabled": false,
		"ipam_options": map[string]string{"driver": "host-local"},
	}
}

// limit returns a modest resource limit that we are allowed to give.
func limit(resource int) uint64 {
	var current unix.Rlimit
	if err := unix.Getrlimit(resource, &current); err != nil {
		return 4096
	}
	return min(4096, current.Max)
}
