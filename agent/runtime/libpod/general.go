package libpod

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
)

// generalFlags are podman's own options, those before the sub-command. Their
// values are parsed to be skipped over; each is either harmless or refused.
func generalFlags() *pflag.FlagSet {
	fs := pflag.NewFlagSet("podman", pflag.ContinueOnError)
	fs.SetInterspersed(false)
	for name, short := range map[string]string{
		"cdi-spec-dir": "", "cgroup-manager": "", "cni-config-dir": "", "config": "", "conmon": "", "connection": "c", "context": "",
		"cpu-profile": "", "db-backend": "", "default-mounts-file": "", "events-backend": "", "hooks-dir": "", "host": "H",
		"identity": "", "imagestore": "", "log-level": "", "max-workers": "", "memory-profile": "", "module": "", "namespace": "",
		"network-backend": "", "network-cmd-path": "", "network-config-dir": "", "out": "", "pull-option": "", "registries-conf": "",
		"root": "", "runroot": "", "runtime": "", "runtime-flag": "", "ssh": "", "storage-driver": "", "storage-opt": "",
		"tls-ca": "", "tls-cert": "", "tls-key": "", "tmpdir": "", "url": "", "volumepath": "",
	} {
		fs.StringP(name, short, "", "")
	}
	for name, short := range map[string]string{
		"debug": "D", "help": "", "noout": "", "remote": "r", "syslog": "", "trace": "", "transient-store": "", "version": "v",
	} {
		fs.BoolP(name, short, false, "")
	}
	return fs
}

// CheckGeneral refuses options of podman itself, those before the sub-command,
// that the API cannot honour. Those about what the podman program prints have
// nothing to do, and those that lead to the service we talk to anyway are right
// already.
func CheckGeneral(args []string, service string) error {
	fs := generalFlags()
	if err := fs.Parse(args); err != nil {
		return err
	}
	if rest := fs.Args(); len(rest) > 0 {
		return fmt.Errorf("%q is not an option", rest[0])
	}
	var problems []error
	fs.Visit(func(flag *pflag.Flag) {
		switch flag.Name {
		case "debug", "log-level", "noout", "remote", "syslog", "trace":
		case "context":
			if flag.Value.String() != "default" {
				problems = append(problems, fmt.Errorf("--context %s is not supported: the agent talks to %s", flag.Value, service))
			}
		case "host", "url":
			if flag.Value.String() != service {
				problems = append(problems, fmt.Errorf("--%s %s is not supported: the agent talks to %s", flag.Name, flag.Value, service))
			}
		case "help", "version":
			problems = append(problems, fmt.Errorf("--%s is not supported: it runs nothing", flag.Name))
		default:
			problems = append(problems, fmt.Errorf(
				"--%s is not supported: it is for the podman service, which the agent only talks to: set it there (containers.conf)", flag.Name))
		}
	})
	return errors.Join(problems...)
}
