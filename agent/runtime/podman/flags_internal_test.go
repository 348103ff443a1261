package podman

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containers/podman/v5/cmd/podman/common"
	podmancmd "github.com/containers/podman/v5/cmd/podman/containers"
	"github.com/containers/podman/v5/cmd/podman/registry"
	"github.com/containers/podman/v5/cmd/podman/utils"
	"github.com/containers/podman/v5/pkg/domain/entities"
	"github.com/containers/podman/v5/pkg/specgen"
	"github.com/containers/podman/v5/pkg/specgenutil"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	podmanconfig "go.podman.io/common/pkg/config"

	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
)

func mustDefaults(t *testing.T) *podmanconfig.Config {
	t.Helper()
	defaults, err := podmanconfig.Default()
	if err != nil {
		t.Fatal(err)
	}
	return defaults
}

// podmanRun returns podman's own run command.
func podmanRun(t *testing.T) *cobra.Command {
	t.Helper()
	for _, c := range registry.Commands {
		if c.Parent == nil && c.Command.Name() == "run" {
			return c.Command
		}
	}
	t.Fatal("podman has no run command")
	return nil
}

func TestOptionsAreThoseOfPodmanRun(t *testing.T) {
	// Of the program, not of its remote client.
	ours := map[string]bool{"cert-dir": true, "env-host": true, "signature-policy": true}
	theirs := podmanRun(t).Flags()
	set := newRunOptions(mustDefaults(t)).flags()
	describe := func(f *pflag.Flag) string {
		if f.Name == "detach" || f.Name == "detach-keys" {
			f.DefValue = "" // ours always run in background
		}
		return fmt.Sprintf("-%s --%s %s, default %q, alone %q", f.Shorthand, f.Name, f.Value.Type(), f.DefValue, f.NoOptDefVal)
	}
	theirs.VisitAll(func(f *pflag.Flag) {
		mine := set.Lookup(f.Name)
		if mine == nil {
			t.Errorf("option is missing: %s", describe(f))
			return
		}
		if got, want := describe(mine), describe(f); got != want {
			t.Errorf("option differs: %s; podman's: %s", got, want)
		}
	})
	set.VisitAll(func(f *pflag.Flag) {
		if theirs.Lookup(f.Name) == nil && !ours[f.Name] {
			t.Errorf("podman has no option %s", describe(f))
		}
	})
}

// wireOf is what podman's own client would send for options.
func wireOf(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var values entities.ContainerCreateOptions
	cmd := &cobra.Command{}
	cmd.Flags().SetNormalizeFunc(utils.AliasFlags)
	common.DefineCreateDefaults(&values)
	common.DefineCreateFlags(cmd, &values, entities.CreateMode)
	common.DefineNetFlags(cmd)
	if err := cmd.Flags().Parse(args); err != nil {
		return "", err
	}
	var err error
	if values.Net, err = common.NetFlagsToNetOptions(nil, *cmd.Flags()); err != nil {
		return "", err
	}
	if cmd.Flags().Changed("image-volume") {
		values.ImageVolume = cmd.Flag("image-volume").Value.String()
	}
	groups := values.GroupAdd
	if values, err = podmancmd.CreateInit(cmd, values, false); err != nil {
		return "", err
	}
	values.GroupAdd = groups // CreateInit looks into a variable of its package
	if os, arch, ok := strings.Cut(values.Platform, "/"); ok {
		values.OS, values.Arch = os, arch
	}
	spec := specgen.NewSpecGenerator("image", values.RootFS)
	if err := specgenutil.FillOutSpecGen(spec, &values, []string{"image", "arg"}); err != nil {
		return "", err
	}
	if !values.RootFS {
		spec.RawImageName = "image"
	}
	spec.ImageOS, spec.ImageArch, spec.ImageVariant = values.OS, values.Arch, values.Variant
	passwd := true
	spec.Passwd = &passwd
	if spec.HealthConfig == nil {
		override, err := common.GetHealthCheckOverrideConfig(cmd, &values)
		if err != nil {
			return "", err
		}
		// An empty one says nothing to podman 5 and something else to podman 4.
		if override.Interval != 0 || override.Timeout != 0 || override.Retries != 0 || override.StartPeriod != 0 {
			spec.HealthConfig = override
		}
	}
	return mustJSON(t, spec), nil
}

func mustJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEveryOptionMeansTheSameAsToPodman(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("KEY=value\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	samples := map[string]string{
		"add-host": "name:10.0.0.1", "annotation": "a=b", "blkio-weight": "100", "blkio-weight-device": "/dev/null:200",
		"cap-add": "NET_ADMIN,SYS_TIME", "cgroup-conf": "memory.high=1073741824", "cgroupns": "private", "cgroups": "disabled",
		"cpus": "1.5", "device": "/dev/null:/dev/x:rw", "device-cgroup-rule": "c 1:3 mr", "device-read-bps": "/dev/null:1mb",
		"device-read-iops": "/dev/null:1000", "device-write-bps": "/dev/null:1mb", "device-write-iops": "/dev/null:1000",
		"dns": "10.0.0.2,10.0.0.3", "dns-search": "example.org", "entrypoint": `["/bin/a","b"]`, "env": "A=b,c", "env-file": file,
		"expose": "80-82/udp", "gidmap": "0:1000:10", "uidmap": "0:1000:10", "health-cmd": "CMD-SHELL true", "health-interval": "7s",
		"health-on-failure": "kill", "health-start-period": "3s", "health-startup-cmd": "true", "health-startup-interval": "3s",
		"health-startup-timeout": "3s", "health-timeout": "9s", "image-volume": "tmpfs", "ip": "10.88.0.7", "ip6": "fd00::7",
		"ipc": "host", "label": "a=b,c", "label-file": file, "log-driver": "k8s-file", "log-opt": "max-size=10mb",
		"mac-address": "92:d0:c6:0a:29:33", "memory": "64m", "memory-reservation": "32m", "memory-swap": "128m", "memory-swappiness": "10",
		"mount": "type=bind,source=/tmp,destination=/x,readonly=true", "network": "bridge:ip=10.88.0.9,alias=x", "oom-score-adj": "100",
		"personality": "LINUX32", "pid": "host", "pids-limit": "50", "platform": "linux/arm64", "pod-id-file": file,
		"publish": "127.0.0.1:8080:80/tcp", "pull": "always", "restart": "on-failure:3", "secret": "name,type=env,target=X",
		"security-opt": "seccomp=unconfined", "shm-size": "32m", "shm-size-systemd": "8m", "stop-signal": "SIGINT",
		"sysctl": "net.ipv4.ip_forward=1", "systemd": "always", "tmpfs": "/tmp:size=1m", "ulimit": "nofile=100:200", "userns": "host",
		"uts": "host", "volume": "/tmp:/y:ro", "detach-keys": "ctrl-x",
	}
	// Of the machine's users, or of nothing that a sample could be given for.
	skip := map[string]bool{
		"cert-dir": true, "decryption-key": true, "env-host": true, "help": true, "pidfile": true, "signature-policy": true,
		"subgidname": true, "subuidname": true,
		// Only run has them, not create.
		"detach": true, "detach-keys": true, "passwd": true, "preserve-fd": true, "preserve-fds": true, "rmi": true, "sig-proxy": true,
	}
	defaults := mustDefaults(t)
	baseline, err := wireOf(t)
	if err != nil {
		t.Fatal(err)
	}
	// Options that reach podman in another way than by the specification.
	silent := map[string]bool{
		"attach": true, "authfile": true, "cidfile": true, "creds": true, "disable-content-trust": true, "kernel-memory": true,
		"pull": true, "quiet": true, "replace": true, "retry": true, "retry-delay": true, "tls-verify": true,
		// They mean something together with others only.
		"health-retries": true, "health-startup-interval": true, "health-startup-retries": true, "health-startup-success": true,
		"health-startup-timeout": true, "health-interval": true, "health-start-period": true, "health-timeout": true, "read-only-tmpfs": true,
		"log-opt": true, "gpus": true,
	}
	newRunOptions(defaults).flags().VisitAll(func(f *pflag.Flag) {
		if skip[f.Name] {
			return
		}
		value, ok := samples[f.Name]
		switch {
		case ok:
		case f.Value.Type() == "bool":
			value = fmt.Sprint(f.DefValue != "true")
		case strings.HasPrefix(f.Value.Type(), "string"):
			value = "sample"
		default:
			value = "3"
		}
		option := "--" + f.Name + "=" + value
		want, err := wireOf(t, option)
		if err != nil {
			t.Errorf("podman refuses the sample %s: %v", option, err)
			return
		}
		if want == baseline && !silent[f.Name] {
			t.Errorf("the sample %s changes nothing for podman", option)
		}
		spec, _, err := parseOptions([]string{option}, "image", []string{"arg"})
		if err != nil {
			t.Errorf("%s is refused: %v", option, err)
			return
		}
		if got := mustJSON(t, spec); got != want {
			t.Errorf("%s sends\n%s, podman\n%s", option, got, want)
		}
	})
}

func TestOptionsTogetherMeanTheSameAsToPodman(t *testing.T) {
	for _, line := range []string{
		"",
		"--net host",
		"--net=slirp4netns --dns-opt ndots:1",
		"-p 8080:80 -p 8443:443/tcp -e A=1 -e B=2 -v /tmp:/a -v named:/b -l x=y -u 1000:1000 -w /work -h host",
		"-itP -m 64m -c 512 --cap-add ALL --cap-drop NET_RAW",
		"--network podman:ip=10.88.0.5 --network-alias a --network-alias b",
		"--network bridge --ip 10.88.0.6 --mac-address 92:d0:c6:0a:29:33",
		"--health-cmd true --health-interval 5s --health-retries 2 --health-startup-cmd true --health-startup-success 2",
		"--healthcheck-command true --healthcheck-interval 5s",
		"--no-healthcheck",
		"--health-interval disable",
		"--health-retries 7 --health-timeout 3s",
		"--read-only --read-only-tmpfs=false --tmpfs /tmp",
		"--security-opt label=disable --security-opt no-new-privileges --security-opt mask=/a:/b --security-opt unmask=ALL",
		"--mount type=volume,source=v,destination=/d --mount type=tmpfs,destination=/t,tmpfs-size=1m",
		"--cpus 0.5 --cpuset-cpus 0 --memory 32m --memory-swap -1 --pids-limit -1",
		"--restart=always --stop-timeout 3 --stop-signal 9 --init --log-driver json-file --log-opt path=/tmp/x --log-opt tag=t",
		"--rootfs",
		"--userns keep-id --uts host --ipc shareable --pid private",
		"--override-arch arm64 --override-os linux --override-variant v8",
	} {
		args := strings.Fields(line)
		want, err := wireOf(t, args...)
		if err != nil {
			t.Errorf("podman refuses %q: %v", line, err)
			continue
		}
		spec, _, err := parseOptions(args, "image", []string{"arg"})
		if err != nil {
			t.Errorf("%q is refused: %v", line, err)
			continue
		}
		if got := mustJSON(t, spec); got != want {
			t.Errorf("%q sends\n%s, podman\n%s", line, got, want)
		}
	}
}

func TestWhatPodmanRefusesIsRefusedWithTheOption(t *testing.T) {
	for line, text := range map[string]string{
		"--cpus 1 --cpu-period 100":             "--cpu-period",
		"--cpus 1 --cpu-quota 100":              "--cpu-quota",
		"--userns host --uidmap 0:1:2":          "--uidmap",
		"--no-hosts --add-host a:10.0.0.1":      "--add-host",
		"--network none --dns 10.0.0.1":         "dns",
		"--network host --ip 10.0.0.1":          "--ip",
		"--network a --network b --ip 10.0.0.1": "--ip",
		"--dns nonsense":                        "--dns nonsense",
		"--add-host nonsense":                   "--add-host",
		"--health-cmd true --no-healthcheck":    "--no-healthcheck",
		"--memory plenty":                       "--memory plenty",
		"--publish 1:2:3:4:5":                   "--publish 1:2:3:4:5",
		"--sysctl nonsense":                     "--sysctl nonsense",
		"--ulimit nonsense":                     "--ulimit nonsense",
		"--cpus lots":                           "--cpus",
		"--health-interval soon":                "--health-interval",
	} {
		args := strings.Fields(line)
		if _, err := wireOf(t, args...); err == nil {
			t.Errorf("podman takes %q", line)
		}
		if _, _, err := parseOptions(args, "image", nil); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: error %v, want one that says %q", line, err, text)
		}
	}
}

func TestWhatTheAPICannotDoIsRefusedByName(t *testing.T) {
	for line, text := range map[string]string{
		"--cert-dir /x": "--cert-dir", "--decryption-key x": "--decryption-key", "--help": "--help",
		"--preserve-fds 3": "--preserve-fds", "--preserve-fd 5": "--preserve-fd", "--signature-policy /x": "--signature-policy",
		"--pidfile /x": "--pidfile", "--platform linux/amd64 --arch arm64": "--platform",
		"-d=false": "--detach=false", "--cgroups=split": "--cgroups=split", "--group-add keep-groups": "keep-groups",
		"--pod new:x": "--pod new:x", "--log-driver passthrough": "--log-driver passthrough", "--no-such": "--no-such", "stray": "stray",
	} {
		if _, _, err := parseOptions(strings.Fields(line), "image", nil); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: error %v, want one that says %q", line, err, text)
		}
	}
	for line, text := range map[string]string{
		"--root /x": "--root", "--storage-driver vfs": "--storage-driver", "--url unix:///other": "--url", "-c other": "--connection",
		"--runtime crun": "--runtime", "--no-such": "--no-such", "stray": "stray", "--version": "--version",
	} {
		if err := libpod.CheckGeneral(strings.Fields(line), "unix:///service"); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("general %q: error %v, want one that says %q", line, err, text)
		}
	}
	for _, line := range []string{"", "--log-level debug", "--remote", "--url unix:///service", "-D --syslog --noout", "--context default"} {
		if err := libpod.CheckGeneral(strings.Fields(line), "unix:///service"); err != nil {
			t.Errorf("general %q is refused: %v", line, err)
		}
	}
}

func TestOptionsThatOlderServicesIgnoreAreRefused(t *testing.T) {
	for line, since := range map[string]string{
		"--health-startup-cmd true": "4.4", "--group-entry x": "4.5", "--shm-size-systemd 1m": "4.5", "--security-opt label=nested": "4.5",
		"--rdt-class x": "4.8", "--retry 3": "5.0", "--rmi": "5.3", "--health-max-log-count 9": "5.3", "--hosts-file none": "5.4",
		"--no-hostname": "5.4", "--health-retries 9": "5.5", "--mount type=artifact,source=a,destination=/a": "5.5",
	} {
		spec, options, err := parseOptions(strings.Fields(line), "image", nil)
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		if err := checkVersion(version(4, 3), spec, options); err == nil || !strings.Contains(err.Error(), since) {
			t.Errorf("%q on podman 4.3: error %v, want one that names %s", line, err, since)
		}
		if err := checkVersion(version(5, 8), spec, options); err != nil {
			t.Errorf("%q on podman 5.8: %v", line, err)
		}
	}
	spec, options, err := parseOptions([]string{"-p", "80:80", "--restart=always"}, "image", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkVersion(version(4, 0), spec, options); err != nil {
		t.Error(err)
	}
}
