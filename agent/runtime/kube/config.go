package kube

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/containers/podman/v5/pkg/bindings/kube"
	"github.com/goccy/go-yaml"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// runtimeConfig is the configuration of a workload, with the keys of Eclipse
// Ankaios.
type runtimeConfig struct {
	// GeneralOptions are podman's own, before the sub-command.
	GeneralOptions []libpod.Word `yaml:"generalOptions"`
	// PlayOptions are those of `podman kube play`.
	PlayOptions []libpod.Word `yaml:"playOptions"`
	// DownOptions are those of `podman kube down`.
	DownOptions []libpod.Word `yaml:"downOptions"`
	// Manifest is Kubernetes YAML, of any number of documents; required.
	Manifest string `yaml:"manifest"`
	// ControlInterfaceTarget is the container that gets the control interface,
	// pod/container.
	ControlInterfaceTarget string `yaml:"controlInterfaceTarget"`
}

// plan is everything that is needed to make an instance.
type plan struct {
	name     *argosyv1.InstanceName
	config   string
	manifest *manifest
	play     *kube.PlayOptions
	used     []string // the play options that were given
}

// plan reads the configuration of a workload. ErrInvalidConfig says that it can
// never work.
func (k *Kube) plan(w *argosyv1.Workload, options runtime.StartOptions) (*plan, error) {
	if len(w.GetFiles()) > 0 {
		return nil, fmt.Errorf("%w: %w", runtime.ErrInvalidConfig, ankaiosError("Workload files are not supported for runtime podman-kube. Use ConfigMaps instead."))
	}
	config, unknown, err := parseConfig(w.GetRuntimeConfig())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", runtime.ErrInvalidConfig, err)
	}
	if len(unknown) > 0 {
		k.logger.Warn("unknown keys in runtimeConfig were ignored", "workload", w.GetName(), "keys", unknown)
	}
	p := &plan{name: argosyv1.InstanceOf(w), config: w.GetRuntimeConfig()}
	if err := libpod.CheckGeneral(libpod.Words(config.GeneralOptions), k.cfg.Service); err != nil {
		return nil, fmt.Errorf("%w: generalOptions: %w", runtime.ErrInvalidConfig, err)
	}
	if p.play, p.used, err = parsePlayOptions(libpod.Words(config.PlayOptions)); err != nil {
		return nil, fmt.Errorf("%w: playOptions: %w", runtime.ErrInvalidConfig, err)
	}
	if _, err := parseDownOptions(libpod.Words(config.DownOptions)); err != nil {
		return nil, fmt.Errorf("%w: downOptions: %w", runtime.ErrInvalidConfig, err)
	}
	if p.manifest, err = parseManifest(config.Manifest); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", runtime.ErrInvalidConfig, err)
	}
	if directory := options.ControlInterface(); directory != "" {
		if err := p.manifest.addControlInterface(config.ControlInterfaceTarget, directory, runtime.ControlInterfaceTarget); err != nil {
			return nil, fmt.Errorf("%w: %w", runtime.ErrInvalidConfig, err)
		}
	}
	if skipped := p.manifest.skipped; len(skipped) > 0 {
		k.logger.Warn("documents of a manifest that podman does nothing with were left out", "workload", w.GetName(), "kinds", skipped)
	}
	return p, nil
}

// parseConfig reads the YAML; unknown keys are returned, not refused, as users
// of Ankaios manifests expect.
func parseConfig(text string) (config runtimeConfig, unknown []string, err error) {
	// The YAML library panics on some texts.
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("runtimeConfig: its parser fails on it: %v", cause)
		}
	}()
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return config, nil, fmt.Errorf("runtimeConfig: %w", runtime.TellYAML(err))
	}
	if config.Manifest == "" {
		return config, nil, errors.New("runtimeConfig: manifest is missing: give the Kubernetes YAML to play")
	}
	var keys map[string]any
	if err := yaml.Unmarshal([]byte(text), &keys); err != nil {
		return config, nil, fmt.Errorf("runtimeConfig: %w", runtime.TellYAML(err))
	}
	for _, known := range []string{"generalOptions", "playOptions", "downOptions", "manifest", "controlInterfaceTarget"} {
		delete(keys, known)
	}
	return config, slices.Sorted(maps.Keys(keys)), nil
}
