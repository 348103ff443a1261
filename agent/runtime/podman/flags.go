package podman

import (
	"github.com/containers/podman/v5/libpod/define"
	"github.com/containers/podman/v5/pkg/domain/entities"
	"github.com/spf13/pflag"
	commonflag "go.podman.io/common/pkg/flag"

	podmanconfig "go.podman.io/common/pkg/config"
)

// runOptions are the options of `podman run`, parsed.
//
// Podman's own definition of them (cmd/podman/common) is not imported: the mere
// import reads containers.conf and the home directory, and ends the process
// when either is not to its liking, so that `argosy version` would fail for a
// user without a home. This table is compared with podman's own, option by
// option and value by value, by the tests of this package.
type runOptions struct {
	entities.ContainerCreateOptions

	network networkOptions

	env         []string
	oomScoreAdj int
	pidsLimit   int64
	retry       uint
	retryDelay  string
	entrypoint  string

	detach      bool
	passwd      bool
	removeImage bool
	ignored     ignoredOptions
}

// networkOptions are those that podman turns into a description of networks.
type networkOptions struct {
	addHost, dns, dnsOption, dnsSearch, networkAlias, publish []string
	network                                                   []string
	hostsFile, ip, ip6, macAddress                            string
	noHostname, noHosts                                       bool
}

// ignoredOptions have nothing to do in a container that runs in background, or
// are refused (see refusals).
type ignoredOptions struct {
	disableContentTrust, help, sigProxy bool
	detachKeys, kernelMemory            string
	preserveFDs                         uint
	preserveFD                          []uint
}

// newRunOptions returns options with podman's defaults.
func newRunOptions(defaults *podmanconfig.Config) *runOptions {
	o := &runOptions{pidsLimit: -1, passwd: true, detach: true}
	o.HTTPProxy = defaults.Containers.HTTPProxy
	o.HealthInterval = define.DefaultHealthCheckInterval
	o.HealthLogDestination = define.DefaultHealthCheckLocalDestination
	o.HealthMaxLogCount = define.DefaultHealthMaxLogCount
	o.HealthMaxLogSize = define.DefaultHealthMaxLogSize
	o.HealthOnFailure = "none"
	o.HealthRetries = define.DefaultHealthCheckRetries
	o.HealthStartPeriod = define.DefaultHealthCheckStartPeriod
	o.HealthTimeout = define.DefaultHealthCheckTimeout
	o.ImageVolume = defaults.Engine.ImageVolumeMode
	o.MemorySwappiness = -1
	o.Privileged = defaults.Containers.Privileged
	o.ReadOnly = defaults.Containers.ReadOnly
	o.ReadWriteTmpFS = true
	o.SdNotifyMode = define.SdNotifyModeContainer
	o.SeccompPolicy = "default"
	o.StartupHCInterval = define.DefaultHealthCheckInterval
	o.StartupHCTimeout = define.DefaultHealthCheckTimeout
	o.StopTimeout = defaults.Engine.StopTimeout
	o.Systemd = "true"
	o.Timezone = defaults.TZ()
	o.Umask = defaults.Umask()
	o.network.noHosts = defaults.Containers.NoHosts
	o.ignored.sigProxy = true
	return o
}

// flags returns the set of options that parses into o. What o holds is the
// default of each.
func (o *runOptions) flags() *pflag.FlagSet {
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	fs.SetInterspersed(false)
	fs.SetNormalizeFunc(normalizeAlias)
	o.defineStrings(fs)
	o.defineLists(fs)
	o.defineBools(fs)
	o.defineNumbers(fs)
	return fs
}

func (o *runOptions) defineStrings(fs *pflag.FlagSet) {
	n := &o.network
	for _, f := range []struct {
		name, short string
		value       *string
	}{
		{"arch", "", &o.Arch}, {"authfile", "", &o.Authfile}, {"blkio-weight", "", &o.BlkIOWeight},
		{"cert-dir", "", &o.CertDir}, {"cgroup-parent", "", &o.CgroupParent}, {"cgroupns", "", &o.CgroupNS},
		{"cgroups", "", &o.CgroupsMode}, {"cidfile", "", &o.CIDFile}, {"conmon-pidfile", "", &o.ConmonPIDFile},
		{"cpuset-cpus", "", &o.CPUSetCPUs}, {"cpuset-mems", "", &o.CPUSetMems}, {"creds", "", &o.Creds},
		{"detach-keys", "", &o.ignored.detachKeys}, {"entrypoint", "", &o.entrypoint}, {"group-entry", "", &o.GroupEntry},
		{"health-cmd", "", &o.HealthCmd}, {"health-interval", "", &o.HealthInterval},
		{"health-log-destination", "", &o.HealthLogDestination}, {"health-on-failure", "", &o.HealthOnFailure},
		{"health-start-period", "", &o.HealthStartPeriod}, {"health-startup-cmd", "", &o.StartupHCCmd},
		{"health-startup-interval", "", &o.StartupHCInterval}, {"health-startup-timeout", "", &o.StartupHCTimeout},
		{"health-timeout", "", &o.HealthTimeout}, {"hostname", "h", &o.Hostname}, {"hosts-file", "", &n.hostsFile},
		{"image-volume", "", &o.ImageVolume}, {"init-path", "", &o.InitPath}, {"ip", "", &n.ip}, {"ip6", "", &n.ip6},
		{"ipc", "", &o.IPC}, {"kernel-memory", "", &o.ignored.kernelMemory}, {"log-driver", "", &o.LogDriver},
		{"mac-address", "", &n.macAddress}, {"memory", "m", &o.Memory}, {"memory-reservation", "", &o.MemoryReservation},
		{"memory-swap", "", &o.MemorySwap}, {"name", "", &o.Name}, {"os", "", &o.OS}, {"passwd-entry", "", &o.PasswdEntry},
		{"personality", "", &o.Personality}, {"pid", "", &o.PID}, {"pidfile", "", &o.PidFile}, {"platform", "", &o.Platform},
		{"pod", "", &o.Pod}, {"pod-id-file", "", &o.PodIDFile}, {"pull", "", &o.Pull}, {"rdt-class", "", &o.IntelRdtClosID},
		{"restart", "", &o.Restart}, {"retry-delay", "", &o.retryDelay}, {"sdnotify", "", &o.SdNotifyMode},
		{"seccomp-policy", "", &o.SeccompPolicy}, {"shm-size", "", &o.ShmSize}, {"shm-size-systemd", "", &o.ShmSizeSystemd},
		{"signature-policy", "", &o.SignaturePolicy}, {"stop-signal", "", &o.StopSignal},
		// Crossed in podman too; both name the same range in practice.
		{"subgidname", "", &o.SubUIDName}, {"subuidname", "", &o.SubGIDName},
		{"systemd", "", &o.Systemd}, {"tz", "", &o.Timezone}, {"umask", "", &o.Umask}, {"user", "u", &o.User},
		{"userns", "", &o.UserNS}, {"uts", "", &o.UTS}, {"variant", "", &o.Variant}, {"workdir", "w", &o.Workdir},
	} {
		fs.StringVarP(f.value, f.name, f.short, *f.value, "")
	}
}

func (o *runOptions) defineLists(fs *pflag.FlagSet) {
	n := &o.network
	// An array takes each value as it is, a slice splits it at commas.
	for _, f := range []struct {
		name, short string
		value       *[]string
	}{
		{"annotation", "", &o.Annotation}, {"blkio-weight-device", "", &o.BlkIOWeightDevice},
		{"chrootdirs", "", &o.ChrootDirs}, {"decryption-key", "", &o.DecryptionKeys}, {"device", "", &o.Devices},
		{"device-read-bps", "", &o.DeviceReadBPs}, {"device-read-iops", "", &o.DeviceReadIOPs},
		{"device-write-bps", "", &o.DeviceWriteBPs}, {"device-write-iops", "", &o.DeviceWriteIOPs},
		{"env", "e", &o.env}, {"env-file", "", &o.EnvFile}, {"env-merge", "", &o.EnvMerge}, {"label", "l", &o.Label},
		{"label-file", "", &o.LabelFile}, {"log-opt", "", &o.LogOptions}, {"mount", "", &o.Mount}, {"network", "", &n.network},
		{"secret", "", &o.Secrets}, {"security-opt", "", &o.SecurityOpt}, {"tmpfs", "", &o.TmpFS},
		{"unsetenv", "", &o.UnsetEnv}, {"volume", "v", &o.Volume}, {"volumes-from", "", &o.VolumesFrom},
	} {
		fs.StringArrayVarP(f.value, f.name, f.short, *f.value, "")
	}
	for _, f := range []struct {
		name, short string
		value       *[]string
	}{
		{"add-host", "", &n.addHost}, {"attach", "a", &o.Attach}, {"cap-add", "", &o.CapAdd}, {"cap-drop", "", &o.CapDrop},
		{"cgroup-conf", "", &o.CgroupConf}, {"device-cgroup-rule", "", &o.DeviceCgroupRule}, {"dns", "", &n.dns},
		{"dns-option", "", &n.dnsOption}, {"dns-search", "", &n.dnsSearch}, {"expose", "", &o.Expose}, {"gidmap", "", &o.GIDMap},
		{"gpus", "", &o.GPUs}, {"group-add", "", &o.GroupAdd}, {"hostuser", "", &o.HostUsers},
		{"network-alias", "", &n.networkAlias}, {"publish", "p", &n.publish}, {"requires", "", &o.Requires},
		{"sysctl", "", &o.Sysctl}, {"uidmap", "", &o.UIDMap}, {"ulimit", "", &o.Ulimit},
	} {
		fs.StringSliceVarP(f.value, f.name, f.short, *f.value, "")
	}
	fs.UintSliceVar(&o.ignored.preserveFD, "preserve-fd", nil, "")
}

func (o *runOptions) defineBools(fs *pflag.FlagSet) {
	for _, f := range []struct {
		name, short string
		value       *bool
	}{
		{"detach", "d", &o.detach}, {"disable-content-trust", "", &o.ignored.disableContentTrust}, {"env-host", "", &o.EnvHost},
		{"help", "", &o.ignored.help}, {"http-proxy", "", &o.HTTPProxy}, {"init", "", &o.Init}, {"interactive", "i", &o.Interactive},
		{"no-healthcheck", "", &o.NoHealthCheck}, {"no-hostname", "", &o.network.noHostname}, {"no-hosts", "", &o.network.noHosts},
		{"oom-kill-disable", "", &o.OOMKillDisable}, {"passwd", "", &o.passwd}, {"privileged", "", &o.Privileged},
		{"publish-all", "P", &o.PublishAll}, {"quiet", "q", &o.Quiet}, {"read-only", "", &o.ReadOnly},
		{"read-only-tmpfs", "", &o.ReadWriteTmpFS}, {"replace", "", &o.Replace}, {"rm", "", &o.Rm}, {"rmi", "", &o.removeImage},
		{"rootfs", "", &o.RootFS}, {"sig-proxy", "", &o.ignored.sigProxy}, {"tty", "t", &o.TTY}, {"unsetenv-all", "", &o.UnsetEnvAll},
	} {
		fs.BoolVarP(f.value, f.name, f.short, *f.value, "")
	}
	commonflag.OptionalBoolFlag(fs, &o.TLSVerify, "tls-verify", "")
}

func (o *runOptions) defineNumbers(fs *pflag.FlagSet) {
	fs.Float64Var(&o.CPUS, "cpus", 0, "")
	fs.IntVar(&o.oomScoreAdj, "oom-score-adj", 0, "")
	fs.Int64Var(&o.pidsLimit, "pids-limit", o.pidsLimit, "")
	fs.Int64Var(&o.CPUQuota, "cpu-quota", 0, "")
	fs.Int64Var(&o.CPURTRuntime, "cpu-rt-runtime", 0, "")
	fs.Int64Var(&o.MemorySwappiness, "memory-swappiness", o.MemorySwappiness, "")
	fs.Uint64Var(&o.CPUPeriod, "cpu-period", 0, "")
	fs.Uint64Var(&o.CPURTPeriod, "cpu-rt-period", 0, "")
	fs.Uint64VarP(&o.CPUShares, "cpu-shares", "c", 0, "")
	fs.UintVar(&o.HealthMaxLogCount, "health-max-log-count", o.HealthMaxLogCount, "")
	fs.UintVar(&o.HealthMaxLogSize, "health-max-log-size", o.HealthMaxLogSize, "")
	fs.UintVar(&o.HealthRetries, "health-retries", o.HealthRetries, "")
	fs.UintVar(&o.StartupHCRetries, "health-startup-retries", 0, "")
	fs.UintVar(&o.StartupHCSuccesses, "health-startup-success", 0, "")
	fs.UintVar(&o.ignored.preserveFDs, "preserve-fds", 0, "")
	fs.UintVar(&o.retry, "retry", 0, "")
	fs.UintVar(&o.StopTimeout, "stop-timeout", o.StopTimeout, "")
	fs.UintVar(&o.Timeout, "timeout", 0, "")
}

// normalizeAlias maps podman's older names of options to those above.
func normalizeAlias(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	switch name {
	case "dns-opt":
		name = "dns-option"
	case "healthcheck-command":
		name = "health-cmd"
	case "healthcheck-interval":
		name = "health-interval"
	case "healthcheck-retries":
		name = "health-retries"
	case "healthcheck-start-period":
		name = "health-start-period"
	case "healthcheck-timeout":
		name = "health-timeout"
	case "net":
		name = "network"
	case "override-arch":
		name = "arch"
	case "override-os":
		name = "os"
	case "override-variant":
		name = "variant"
	}
	return pflag.NormalizedName(name)
}
