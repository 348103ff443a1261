package podman

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/containers/podman/v5/libpod/define"
	"github.com/containers/podman/v5/pkg/specgen"
	"github.com/containers/podman/v5/pkg/specgenutil"
	"github.com/spf13/pflag"
	podmanconfig "go.podman.io/common/pkg/config"
	"go.podman.io/image/v5/manifest"
)

// parseOptions parses the options of `podman run` and turns them, the image and
// the arguments into what podman's API takes. An error names the option.
func parseOptions(args []string, image string, command []string) (*specgen.SpecGenerator, *runOptions, error) {
	defaults, err := podmanconfig.Default()
	if err != nil {
		return nil, nil, fmt.Errorf("read podman's defaults: %w", err)
	}
	spec, options, err := buildSpec(defaults, args, image, command)
	if err != nil {
		return nil, nil, blame(defaults, args, image, err)
	}
	return spec, options, nil
}

func buildSpec(defaults *podmanconfig.Config, args []string, image string, command []string) (*specgen.SpecGenerator, *runOptions, error) {
	options := newRunOptions(defaults)
	fs := options.flags()
	if err := fs.Parse(args); err != nil {
		return nil, nil, err
	}
	if rest := fs.Args(); len(rest) > 0 {
		return nil, nil, fmt.Errorf("%q is not an option: arguments of the container go into commandArgs", rest[0])
	}
	if err := options.refuse(fs); err != nil {
		return nil, nil, err
	}
	if err := options.complete(fs); err != nil {
		return nil, nil, err
	}
	spec := specgen.NewSpecGenerator(image, options.RootFS)
	// The first of the arguments is the image, as on the command line.
	if err := specgenutil.FillOutSpecGen(spec, &options.ContainerCreateOptions, append([]string{image}, command...)); err != nil {
		return nil, nil, err
	}
	if err := options.overrideHealth(fs, spec); err != nil {
		return nil, nil, err
	}
	if !options.RootFS {
		spec.RawImageName = image
	}
	spec.ImageOS, spec.ImageArch, spec.ImageVariant = options.OS, options.Arch, options.Variant
	spec.Passwd = &options.passwd
	if options.removeImage {
		spec.RemoveImage = &options.removeImage
	}
	return spec, options, nil
}

// blame finds the option that is to blame for an error: podman's errors quote
// values and seldom say where they came from.
func blame(defaults *podmanconfig.Config, args []string, image string, problem error) error {
	var given []string
	fs := newRunOptions(defaults).flags()
	err := fs.ParseAll(args, func(flag *pflag.Flag, value string) error {
		given = append(given, "--"+flag.Name+"="+value)
		return fs.Set(flag.Name, value)
	})
	if err != nil {
		return problem // it names the option itself
	}
	for _, option := range given {
		if _, _, err := buildSpec(defaults, []string{option}, image, nil); err != nil && err.Error() == problem.Error() {
			name, value, _ := strings.Cut(option, "=")
			if strings.Contains(problem.Error(), name) {
				return problem
			}
			return fmt.Errorf("%s %s: %w", name, value, problem)
		}
	}
	return problem
}

// refusals are options that cannot be honoured, and why.
var refusals = map[string]string{
	"cert-dir":         "podman's API has no such option: put the certificates into /etc/containers/certs.d",
	"decryption-key":   "podman's API has no such option",
	"help":             "it prints help and runs nothing",
	"pidfile":          "podman's API has no such option",
	"preserve-fd":      "file descriptors cannot be passed through podman's API",
	"preserve-fds":     "file descriptors cannot be passed through podman's API",
	"signature-policy": "podman's API has no such option: use /etc/containers/policy.json",
}

// refuse returns an error for what `podman run` on a terminal can do and the API
// cannot.
func (o *runOptions) refuse(fs *pflag.FlagSet) error {
	var problems []error
	fs.Visit(func(flag *pflag.Flag) {
		if why, ok := refusals[flag.Name]; ok {
			problems = append(problems, fmt.Errorf("--%s is not supported: %s", flag.Name, why))
		}
	})
	switch {
	case !o.detach:
		problems = append(problems, errors.New("--detach=false is not supported: workloads run in background"))
	case o.CgroupsMode == "split":
		problems = append(problems, errors.New("--cgroups=split is not supported: podman's API cannot do it"))
	case slices.Contains(o.GroupAdd, "keep-groups"):
		problems = append(problems, errors.New("--group-add keep-groups is not supported: podman's API cannot do it"))
	case strings.HasPrefix(o.Pod, "new:"):
		problems = append(problems, fmt.Errorf("--pod %s is not supported: make the pod first and name it", o.Pod))
	case o.LogDriver == define.PassthroughLogging || o.LogDriver == define.PassthroughTTYLogging:
		problems = append(problems, fmt.Errorf("--log-driver %s is not supported: podman's API cannot do it", o.LogDriver))
	}
	return errors.Join(problems...)
}

// complete does what podman's run command does between parsing and the
// specification: rules about options together, and values that mean something
// else when they were not given.
func (o *runOptions) complete(fs *pflag.FlagSet) error {
	changed := fs.Changed
	mapped := len(o.UIDMap) > 0 || len(o.GIDMap) > 0 || o.SubUIDName != "" || o.SubGIDName != ""
	var err error
	switch {
	case mapped && changed("userns"):
		err = errors.New("--userns and --uidmap/--gidmap/--subuidname/--subgidname are mutually exclusive")
	case changed("cpu-period") && changed("cpus"):
		err = errors.New("--cpu-period and --cpus cannot be set together")
	case changed("cpu-quota") && changed("cpus"):
		err = errors.New("--cpu-quota and --cpus cannot be set together")
	case o.network.noHosts && changed("add-host"):
		err = errors.New("--no-hosts and --add-host cannot be set together")
	case o.network.noHosts && changed("hosts-file"):
		err = errors.New("--no-hosts and --hosts-file cannot be set together")
	case changed("rm") && !o.Rm && o.removeImage:
		err = errors.New("the --rmi option does not work without --rm")
	case o.Platform != "" && (o.Arch != "" || o.OS != ""):
		err = errors.New("--platform option can not be specified with --arch or --os")
	case changed("pids-limit") && o.pidsLimit > math.MaxInt32:
		err = fmt.Errorf("invalid value for --pids-limit: %d", o.pidsLimit)
	}
	if err != nil {
		return err
	}
	if o.Net, err = o.network.resolve(fs); err != nil {
		return err
	}
	if mode := o.Net.Network; (changed("dns") || changed("dns-option") || changed("dns-search")) &&
		(mode.NSMode == specgen.NoNetwork || mode.IsContainer()) {
		return fmt.Errorf("conflicting options: dns and the network mode: %s", mode.NSMode)
	}
	if mapped {
		o.UserNS = "private"
	}
	if o.Platform != "" {
		o.OS, o.Arch, _ = strings.Cut(o.Platform, "/")
	}
	if o.removeImage {
		o.Rm = true
	}
	o.Env = o.env
	if changed("oom-score-adj") {
		o.OOMScoreAdj = &o.oomScoreAdj
	}
	if changed("pids-limit") {
		o.PIDsLimit = &o.pidsLimit
	}
	if changed("entrypoint") {
		o.Entrypoint = &o.entrypoint
	}
	return nil
}

// overrideHealth lets options change the health check of the image. Without such
// an option nothing is sent: older services would take it for no check at all.
func (o *runOptions) overrideHealth(fs *pflag.FlagSet, spec *specgen.SpecGenerator) error {
	if spec.HealthConfig != nil || !slices.ContainsFunc(
		[]string{"health-interval", "health-retries", "health-timeout", "health-start-period"}, fs.Changed) {
		return nil
	}
	check := &manifest.Schema2HealthConfig{}
	for _, f := range []struct {
		name, text string
		least      time.Duration
		value      *time.Duration
	}{
		{"health-interval", o.HealthInterval, math.MinInt64, &check.Interval},
		{"health-timeout", o.HealthTimeout, time.Second, &check.Timeout},
		{"health-start-period", o.HealthStartPeriod, 0, &check.StartPeriod},
	} {
		if !fs.Changed(f.name) {
			continue
		}
		if f.name == "health-interval" && f.text == "disable" {
			f.text = "-1s"
		}
		duration, err := time.ParseDuration(f.text)
		if err != nil {
			return fmt.Errorf("--%s: %w", f.name, err)
		}
		if duration < f.least {
			return fmt.Errorf("--%s: %s is less than %s", f.name, duration, f.least)
		}
		*f.value = duration
	}
	if fs.Changed("health-retries") {
		check.Retries = int(o.HealthRetries)
	}
	spec.HealthConfig = check
	return nil
}
