package podman

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containers/podman/v5/pkg/specgen"
	"github.com/goccy/go-yaml"
	podmanconfig "go.podman.io/common/pkg/config"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// runtimeConfig is the configuration of a workload, with the keys of Eclipse
// Ankaios.
type runtimeConfig struct {
	// GeneralOptions are podman's own, before the sub-command.
	GeneralOptions []libpod.Word `yaml:"generalOptions"`
	// Image to run; required.
	Image libpod.Word `yaml:"image"`
	// CommandOptions are those of `podman run`.
	CommandOptions []libpod.Word `yaml:"commandOptions"`
	// CommandArgs follow the image.
	CommandArgs []libpod.Word `yaml:"commandArgs"`
}

// plan is everything that is needed to create an instance.
type plan struct {
	name    *argosyv1.InstanceName
	spec    *specgen.SpecGenerator
	options *runOptions
	image   string
	pull    podmanconfig.PullPolicy
}

// Labels by which containers are found, the same as those of Eclipse Ankaios.
const (
	labelName  = "name"
	labelAgent = "agent"
)

// plan reads the configuration of a workload. ErrInvalidConfig says that it can
// never work.
func (p *Podman) plan(w *argosyv1.Workload, mounts []runtime.Mount) (_ *plan, err error) {
	// Neither the YAML parser nor podman's own is meant for texts of strangers.
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: its parser fails on it: %v", runtime.ErrInvalidConfig, cause)
		}
	}()
	config, unknown, err := parseConfig(w.GetRuntimeConfig())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", runtime.ErrInvalidConfig, err)
	}
	if len(unknown) > 0 {
		p.logger.Warn("unknown keys in runtimeConfig were ignored", "workload", w.GetName(), "keys", unknown)
	}
	if err := libpod.CheckGeneral(libpod.Words(config.GeneralOptions), p.cfg.Service); err != nil {
		return nil, fmt.Errorf("%w: generalOptions: %w", runtime.ErrInvalidConfig, err)
	}
	spec, options, err := parseOptions(libpod.Words(config.CommandOptions), string(config.Image), libpod.Words(config.CommandArgs))
	if err != nil {
		return nil, fmt.Errorf("%w: commandOptions: %w", runtime.ErrInvalidConfig, err)
	}
	pull, err := podmanconfig.ParsePullPolicy(options.Pull)
	if err != nil {
		return nil, fmt.Errorf("%w: commandOptions: --pull: %w", runtime.ErrInvalidConfig, err)
	}
	name := argosyv1.InstanceOf(w)
	if spec.Name == "" {
		spec.Name = name.Key()
	}
	if spec.Labels == nil {
		spec.Labels = make(map[string]string)
	}
	spec.Labels[labelName], spec.Labels[labelAgent] = name.Key(), name.GetAgent()
	if err := addMounts(spec, mounts); err != nil {
		return nil, fmt.Errorf("%w: commandOptions: %w", runtime.ErrInvalidConfig, err)
	}
	spec.ContainerCreateCommand = commandLine(config, spec, mounts)
	return &plan{name: name, spec: spec, options: options, image: string(config.Image), pull: pull}, nil
}

// parseConfig reads the YAML; unknown keys are returned, not refused, as users
// of Ankaios manifests expect.
func parseConfig(text string) (config runtimeConfig, unknown []string, err error) {
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return config, nil, fmt.Errorf("runtimeConfig: %w", runtime.TellYAML(err))
	}
	// The one transport that the API knows need not be named, and must not be.
	config.Image = libpod.Word(strings.TrimPrefix(strings.TrimSpace(string(config.Image)), "docker://"))
	if config.Image == "" {
		return config, nil, errors.New("runtimeConfig: image is missing")
	}
	var keys map[string]any
	if err := yaml.Unmarshal([]byte(text), &keys); err != nil {
		return config, nil, fmt.Errorf("runtimeConfig: %w", runtime.TellYAML(err))
	}
	for _, known := range []string{"generalOptions", "image", "commandOptions", "commandArgs"} {
		delete(keys, known)
	}
	return config, slices.Sorted(maps.Keys(keys)), nil
}

// commandLine is the command that would do the same; podman shows it to people.
func commandLine(config runtimeConfig, spec *specgen.SpecGenerator, mounts []runtime.Mount) []string {
	line := append([]string{"podman"}, libpod.Words(config.GeneralOptions)...)
	line = append(line, "run", "--detach", "--name", spec.Name)
	line = append(line, libpod.Words(config.CommandOptions)...)
	for _, m := range mounts {
		line = append(line, mountOption(m))
	}
	line = append(line, "--label="+labelName+"="+spec.Labels[labelName], "--label="+labelAgent+"="+spec.Labels[labelAgent])
	return append(append(line, string(config.Image)), libpod.Words(config.CommandArgs)...)
}
