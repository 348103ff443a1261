package probe

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Name of the command that runs a probe.
const Name = "probe"

// Maker returns a function that makes workloads that run a probe: the program's
// command of that name, which must be an absolute path, writing into a directory.
// An agent starts one again that has ended, whatever ended it.
func Maker(binary, dir string) func(workload, agent, value string) *argosyv1.Workload {
	return func(workload, agent, value string) *argosyv1.Workload {
		return Config{Workload: workload, Agent: agent, Value: value, Dir: dir, Binary: binary}.workload()
	}
}

// Containers returns a function that makes workloads that run a probe in a
// container of podman. The program is a file of the image; it shares the process
// ids of the machine, so that each of its processes has one of its own, and the
// directory.
func Containers(image, binary, dir string) func(workload, agent, value string) *argosyv1.Workload {
	return func(workload, agent, value string) *argosyv1.Workload {
		return Config{Workload: workload, Agent: agent, Value: value, Dir: dir, Binary: binary, Image: image}.workload()
	}
}

// Askers returns a function that makes workloads that run a probe which reads and
// writes an object and reads its own log by its control interface, as it may, and records
// that in a file of another directory. With an image they are containers, as those of Containers.
func Askers(image, binary, dir, messages string) func(workload, agent, value, object string) *argosyv1.Workload {
	return func(workload, agent, value, object string) *argosyv1.Workload {
		config := Config{Workload: workload, Agent: agent, Value: value, Dir: dir, Binary: binary, Image: image, Object: object, Messages: messages}
		w := config.workload()
		w.ControlInterfaceAccess = accessTo(object, workload)
		return w
	}
}

func (c Config) workload() *argosyv1.Workload {
	w := &argosyv1.Workload{
		Name: c.Workload, Agent: c.Agent, Runtime: "process", RuntimeConfig: c.runtimeConfig(),
		RestartPolicy: argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS,
	}
	if c.Image != "" {
		w.Runtime = "podman"
	}
	return w
}

// runtimeConfig is the text that a probe of this configuration is started by. The
// probe makes it again, to know the id of its instance.
func (c Config) runtimeConfig() string {
	args := []string{Name, "--workload", c.Workload, "--agent", c.Agent, "--value", c.Value, "--dir", c.Dir}
	options := []string{"--net=none", "--pid=host", "--volume", c.Dir + ":" + c.Dir}
	if c.Object != "" {
		args = append(args, "--object", c.Object, "--messages", c.Messages)
		options = append(options, "--volume", c.Messages+":"+c.Messages)
	}
	if c.Image == "" {
		return fmt.Sprintf("command: %s\nargs: %s\nstopTimeout: 10s\n", strconv.Quote(c.Binary), list(args))
	}
	return fmt.Sprintf("image: %s\ncommandOptions: %s\ncommandArgs: %s\n", c.Image,
		list(options),
		list(append(append([]string{c.Binary}, args...), "--image", c.Image)))
}

// list writes words as a list of YAML.
func list(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = strconv.Quote(word)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// AddFlags adds the flags of the command that runs a probe.
func (c *Config) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&c.Workload, "workload", "", "name of the workload")
	flags.StringVar(&c.Agent, "agent", "", "name of the agent that runs it")
	flags.StringVar(&c.Value, "value", "", "value of the write that asked for it")
	flags.StringVar(&c.Dir, "dir", "", "directory for its signs of life")
	flags.StringVar(&c.Object, "object", "", "name of what it reads and writes by its control interface")
	flags.StringVar(&c.Messages, "messages", "", "directory for what it says and is told there")
	flags.StringVar(&c.Image, "image", "", "image of the container that it runs in")
}
