package kube

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/blang/semver/v4"
	"github.com/containers/podman/v5/pkg/bindings/kube"
	"github.com/spf13/pflag"
)

// playFlags are the options of `podman kube play`, parsed.
type playFlags struct {
	annotation, configmap, logOpt, network         []string
	publish, macAddress                            []string
	ip                                             []net.IP
	authfile, creds, logDriver, userns             string
	noHostname, noHosts, noPodPrefix, noTrunc      bool
	publishAll, quiet, replace, start, verifiesTLS bool
}

// flags defines the options. Those that the API does not have are there to be
// refused by name.
func (p *playFlags) flags() *pflag.FlagSet {
	fs := pflag.NewFlagSet("kube play", pflag.ContinueOnError)
	fs.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		switch name {
		case "net":
			name = "network"
		case "notruncate":
			name = "no-trunc"
		}
		return pflag.NormalizedName(name)
	})
	fs.StringArrayVar(&p.annotation, "annotation", nil, "")
	fs.StringVar(&p.authfile, "authfile", "", "")
	fs.StringArrayVar(&p.configmap, "configmap", nil, "")
	fs.StringVar(&p.creds, "creds", "", "")
	fs.IPSliceVar(&p.ip, "ip", nil, "")
	fs.StringVar(&p.logDriver, "log-driver", "", "")
	fs.StringArrayVar(&p.logOpt, "log-opt", nil, "")
	fs.StringSliceVar(&p.macAddress, "mac-address", nil, "")
	fs.StringArrayVar(&p.network, "network", nil, "")
	fs.BoolVar(&p.noHostname, "no-hostname", false, "")
	fs.BoolVar(&p.noHosts, "no-hosts", false, "")
	fs.BoolVar(&p.noPodPrefix, "no-pod-prefix", false, "")
	fs.BoolVar(&p.noTrunc, "no-trunc", false, "")
	fs.StringSliceVar(&p.publish, "publish", nil, "")
	fs.BoolVar(&p.publishAll, "publish-all", false, "")
	fs.BoolVarP(&p.quiet, "quiet", "q", false, "") // the API prints nothing
	fs.BoolVar(&p.replace, "replace", false, "")
	fs.BoolVar(&p.start, "start", true, "")
	fs.BoolVar(&p.verifiesTLS, "tls-verify", true, "")
	fs.StringVar(&p.userns, "userns", "", "")

	for _, name := range []string{"cert-dir", "context-dir", "seccomp-profile-root", "service-exit-code-propagation", "signature-policy"} {
		fs.String(name, "", "")
	}
	for _, name := range []string{"build", "down", "force", "help", "service-container"} {
		fs.Bool(name, false, "")
	}
	fs.BoolP("wait", "w", false, "")
	return fs
}

// refusals are options that cannot be honoured, and why.
var refusals = map[string]string{
	"build":                         "podman's API has no such option: build the image first",
	"cert-dir":                      "podman's API has no such option: put the certificates into /etc/containers/certs.d",
	"context-dir":                   "podman's API has no such option: build the image first",
	"down":                          "it removes and runs nothing",
	"force":                         "it is for removing: put it into downOptions",
	"help":                          "it prints help and runs nothing",
	"seccomp-profile-root":          "podman's API has no such option: put the profiles into /var/lib/kubelet/seccomp",
	"service-container":             "it is for podman's systemd units",
	"service-exit-code-propagation": "it is for podman's systemd units",
	"signature-policy":              "podman's API has no such option: use /etc/containers/policy.json",
	"wait":                          "workloads run in background",
}

// parsePlayOptions turns the options into what podman's API takes, and returns
// the names of those that were given. An error names the option and says which
// ones there are.
func parsePlayOptions(args []string) (options *kube.PlayOptions, given []string, err error) {
	var p playFlags
	fs := p.flags()
	if given, err = parseFlags(fs, refusals, args); err != nil {
		return nil, nil, err
	}
	o := new(kube.PlayOptions).WithLogDriver(p.logDriver).WithLogOptions(p.logOpt).WithNetwork(p.network).
		WithAuthfile(p.authfile).WithStaticIPs(p.ip).WithConfigMaps(p.configmap).WithUserns(p.userns).WithPublishPorts(p.publish)
	set := map[string]func(){
		"no-hostname":   func() { o.WithNoHostname(p.noHostname) },
		"no-hosts":      func() { o.WithNoHosts(p.noHosts) },
		"no-pod-prefix": func() { o.WithNoPodPrefix(p.noPodPrefix) },
		"no-trunc":      func() { o.WithNoTrunc(p.noTrunc) },
		"publish-all":   func() { o.WithPublishAllPorts(p.publishAll) },
		"replace":       func() { o.WithReplace(p.replace) },
		"start":         func() { o.WithStart(p.start) },
		"tls-verify":    func() { o.WithSkipTLSVerify(!p.verifiesTLS) },
	}
	for _, name := range given {
		if f := set[name]; f != nil {
			f()
		}
	}
	if p.creds != "" {
		user, password, _ := strings.Cut(p.creds, ":")
		o.WithUsername(user).WithPassword(password)
	}
	annotations := make(map[string]string)
	for _, text := range p.annotation {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, nil, fmt.Errorf("--annotation %s: want key=value", text)
		}
		annotations[key] = value
	}
	if len(annotations) > 0 {
		o.WithAnnotations(annotations)
	}
	var addresses []net.HardwareAddr
	for _, text := range p.macAddress {
		address, err := net.ParseMAC(text)
		if err != nil {
			return nil, nil, fmt.Errorf("--mac-address %s: %w", text, err)
		}
		addresses = append(addresses, address)
	}
	if len(addresses) > 0 {
		o.WithStaticMACs(addresses)
	}
	return o, given, nil
}

// parseDownOptions says whether named volumes shall be removed too.
func parseDownOptions(args []string) (force bool, err error) {
	fs := pflag.NewFlagSet("kube down", pflag.ContinueOnError)
	fs.BoolVar(&force, "force", false, "")
	_, err = parseFlags(fs, nil, args)
	return force, err
}

func parseFlags(fs *pflag.FlagSet, refused map[string]string, args []string) (given []string, err error) {
	if err := fs.Parse(args); err != nil {
		return nil, fmt.Errorf("%w (supported are %s)", err, supported(fs, refused))
	}
	if rest := fs.Args(); len(rest) > 0 {
		return nil, fmt.Errorf("%q is not an option: what to play goes into manifest", rest[0])
	}
	fs.Visit(func(flag *pflag.Flag) {
		given = append(given, flag.Name)
		if why, ok := refused[flag.Name]; ok && err == nil {
			err = fmt.Errorf("--%s is not supported: %s (supported are %s)", flag.Name, why, supported(fs, refused))
		}
	})
	return given, err
}

// supported lists the options that are honoured.
func supported(fs *pflag.FlagSet, refused map[string]string) string {
	var names []string
	fs.VisitAll(func(flag *pflag.Flag) {
		if _, ok := refused[flag.Name]; !ok {
			names = append(names, "--"+flag.Name)
		}
	})
	return strings.Join(names, ", ")
}

// gates tell since when the service honours an option or a kind of document.
// Older ones ignore what they do not know, silently.
var gates = map[string]semver.Version{
	"--no-hostname":   {Major: 5, Minor: 4},
	"--no-pod-prefix": {Major: 5, Minor: 7},
	"--no-trunc":      {Major: 4, Minor: 7},
	"--publish":       {Major: 4, Minor: 4},
	"--publish-all":   {Major: 5},
	"--replace":       {Major: 4, Minor: 8},
	"--userns":        {Major: 4, Minor: 7},
	"kind DaemonSet":  {Major: 4, Minor: 7},
	"kind Job":        {Major: 5, Minor: 3},
}

// checkVersion refuses what this service would ignore.
func (p *plan) checkVersion(service semver.Version) error {
	asked := make(map[string]bool)
	for _, name := range p.used {
		asked["--"+name] = true
	}
	for _, kind := range p.manifest.kinds {
		asked["kind "+kind] = true
	}
	for _, what := range slices.Sorted(maps.Keys(asked)) {
		if since, ok := gates[what]; ok && service.LT(since) {
			return fmt.Errorf("%s needs podman %d.%d or newer, the service is %s", what, since.Major, since.Minor, service)
		}
	}
	return nil
}
