package probe

import (
	"fmt"
	"strconv"

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
		config := Config{Workload: workload, Agent: agent, Value: value, Dir: dir, Binary: binary}
		return &argosyv1.Workload{
			Name: workload, Agent: agent, Runtime: "process", RuntimeConfig: config.runtimeConfig(),
			RestartPolicy: argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS,
		}
	}
}

// runtimeConfig is the text that a probe of this configuration is started by. The
// probe makes it again, to know the id of its instance.
func (c Config) runtimeConfig() string {
	return fmt.Sprintf("command: %s\nargs: [%s, --workload, %s, --agent, %s, --value, %s, --dir, %s]\nstopTimeout: 10s\n",
		strconv.Quote(c.Binary), Name, strconv.Quote(c.Workload), strconv.Quote(c.Agent), strconv.Quote(c.Value), strconv.Quote(c.Dir))
}

// AddFlags adds the flags of the command that runs a probe.
func (c *Config) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&c.Workload, "workload", "", "name of the workload")
	flags.StringVar(&c.Agent, "agent", "", "name of the agent that runs it")
	flags.StringVar(&c.Value, "value", "", "value of the write that asked for it")
	flags.StringVar(&c.Dir, "dir", "", "directory for its signs of life")
}
