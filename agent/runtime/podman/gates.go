package podman

import (
	"fmt"

	"github.com/blang/semver/v4"
	"github.com/containers/podman/v5/pkg/specgen"
)

// gates tell since when the service honours what an option asks for. Older ones
// ignore what they do not know, silently: the container would run without it.
var gates = []struct {
	option string
	since  semver.Version
	used   func(*specgen.SpecGenerator, *runOptions) bool
}{
	{"--health-startup-cmd", version(4, 4), func(s *specgen.SpecGenerator, _ *runOptions) bool { return s.StartupHealthConfig != nil }},
	{"--group-entry", version(4, 5), func(s *specgen.SpecGenerator, _ *runOptions) bool { return s.GroupEntry != "" }},
	{"--shm-size-systemd", version(4, 5), func(s *specgen.SpecGenerator, _ *runOptions) bool { return s.ShmSizeSystemd != nil }},
	{"--security-opt label=nested", version(4, 5), func(s *specgen.SpecGenerator, _ *runOptions) bool { return s.LabelNested != nil && *s.LabelNested }},
	{"--rootfs with idmap", version(4, 5), func(s *specgen.SpecGenerator, _ *runOptions) bool { return s.RootfsMapping != nil }},
	{"--rdt-class", version(4, 8), func(s *specgen.SpecGenerator, _ *runOptions) bool { return s.IntelRdt != nil }},
	{"--retry", version(5, 0), func(_ *specgen.SpecGenerator, o *runOptions) bool { return o.retry > 0 || o.retryDelay != "" }},
	{"--rmi", version(5, 3), func(s *specgen.SpecGenerator, _ *runOptions) bool { return s.RemoveImage != nil && *s.RemoveImage }},
	{"--health-log-destination, --health-max-log-count or --health-max-log-size", version(5, 3), func(s *specgen.SpecGenerator, _ *runOptions) bool {
		plain := specgen.NewSpecGenerator("", false)
		return s.HealthLogDestination != plain.HealthLogDestination || s.HealthMaxLogCount != plain.HealthMaxLogCount ||
			s.HealthMaxLogSize != plain.HealthMaxLogSize
	}},
	{"--hosts-file", version(5, 4), func(s *specgen.SpecGenerator, _ *runOptions) bool { return s.BaseHostsFile != "" }},
	{"--no-hostname", version(5, 4), func(s *specgen.SpecGenerator, _ *runOptions) bool {
		return s.UseImageHostname != nil && *s.UseImageHostname
	}},
	{"--health-interval, --health-retries, --health-timeout or --health-start-period without --health-cmd", version(5, 5),
		func(s *specgen.SpecGenerator, _ *runOptions) bool {
			return s.HealthConfig != nil && len(s.HealthConfig.Test) == 0
		}},
	{"--mount type=artifact", version(5, 5), func(s *specgen.SpecGenerator, _ *runOptions) bool { return len(s.ArtifactVolumes) > 0 }},
}

func version(major, minor uint64) semver.Version { return semver.Version{Major: major, Minor: minor} }

// checkVersion refuses options that this service would ignore.
func checkVersion(service semver.Version, spec *specgen.SpecGenerator, options *runOptions) error {
	for _, gate := range gates {
		if service.LT(gate.since) && gate.used(spec, options) {
			return fmt.Errorf("%s needs podman %d.%d or newer, the service is %s", gate.option, gate.since.Major, gate.since.Minor, service)
		}
	}
	return nil
}
