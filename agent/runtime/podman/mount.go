package podman

import (
	"fmt"
	"path"

	"github.com/containers/podman/v5/pkg/specgen"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/argosy-cluster/argosy/agent/runtime"
)

// addMounts adds what the instance is shown of the host. The service refuses two
// mounts at one place with an error that does not say that it always will; so that
// is found here.
func addMounts(spec *specgen.SpecGenerator, mounts []runtime.Mount) error {
	if len(mounts) == 0 {
		return nil
	}
	taken := destinations(spec)
	for _, m := range mounts {
		if option, is := taken[m.Target]; is {
			return fmt.Errorf("%s mounts something at %s, where the workload has a file or its control interface", option, m.Target)
		}
		mount := specs.Mount{Type: "bind", Source: m.Source, Destination: m.Target}
		if m.ReadOnly {
			mount.Options = []string{"ro"}
		}
		spec.Mounts = append(spec.Mounts, mount)
	}
	return nil
}

// mountOption is the option of `podman run` that would do the same.
func mountOption(m runtime.Mount) string {
	option := "--mount=type=bind,source=" + m.Source + ",destination=" + m.Target
	if m.ReadOnly {
		option += ",readonly=true"
	}
	return option
}

// destinations are the places at which options mount something.
func destinations(spec *specgen.SpecGenerator) map[string]string {
	taken := make(map[string]string)
	for _, m := range spec.Mounts {
		taken[path.Clean(m.Destination)] = "--mount, --tmpfs or -v"
	}
	for _, v := range spec.Volumes {
		taken[path.Clean(v.Dest)] = "-v or --mount"
	}
	for _, v := range spec.OverlayVolumes {
		taken[path.Clean(v.Destination)] = "-v"
	}
	for _, v := range spec.ImageVolumes {
		taken[path.Clean(v.Destination)] = "--mount type=image"
	}
	for _, v := range spec.ArtifactVolumes {
		taken[path.Clean(v.Destination)] = "--mount type=artifact"
	}
	return taken
}
