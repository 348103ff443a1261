package process

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/agent/runtime"
)

// DefaultPath is the PATH of a process whose env does not give one.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const (
	defaultStopSignal  = syscall.SIGTERM
	defaultStopTimeout = 10 * time.Second
)

// spec is a runtime configuration as it is written.
type spec struct {
	// Command is the program: a path, or a name to be found in PATH. Required.
	Command string `yaml:"command"`
	// Args are its arguments. Default: none.
	Args []string `yaml:"args"`
	// Env is set in its environment. Default: nothing but PATH, HOME, and where its
	// files and its control interface are.
	Env map[string]string `yaml:"env"`
	// WorkingDir is where it starts, an absolute path. Default: /.
	WorkingDir string `yaml:"workingDir"`
	// StopSignal asks it to end, by name or number. Default: SIGTERM.
	StopSignal string `yaml:"stopSignal"`
	// StopTimeout is how long it may take before it is killed, such as 10s or 2m.
	// Default: 10s.
	StopTimeout string `yaml:"stopTimeout"`
}

// parsed is a runtime configuration that can work.
type parsed struct {
	args        []string
	env         []string
	dir         string
	stopSignal  syscall.Signal
	stopTimeout time.Duration
}

// parseSpec reads a runtime configuration. Its errors are ErrInvalidConfig and
// name the line.
func parseSpec(text string, surroundings map[string]string) (_ parsed, err error) {
	// The YAML library panics on some texts with tags; a workload must not be
	// able to end the agent.
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: line 1: it is no YAML that can be read: %v", runtime.ErrInvalidConfig, cause)
		}
	}()
	file, err := parser.ParseBytes([]byte(text), 0)
	if err != nil {
		return parsed{}, invalid(err)
	}
	if len(file.Docs) > 1 {
		return parsed{}, invalidAt(file.Docs[1].Body, "a second document: a workload has one")
	}
	var s spec
	if err := yaml.UnmarshalWithOptions([]byte(text), &s, yaml.Strict()); err != nil {
		return parsed{}, invalid(err)
	}
	return s.check(file, surroundings)
}

func (s spec) check(file *ast.File, surroundings map[string]string) (parsed, error) {
	at := func(field, format string, args ...any) error {
		return invalidAt(find(file, field), field+": "+fmt.Sprintf(format, args...))
	}
	p := parsed{dir: "/", stopSignal: defaultStopSignal, stopTimeout: defaultStopTimeout}
	if s.Command == "" {
		return p, at("command", "it is required: the program to run")
	}
	p.args = append([]string{s.Command}, s.Args...)
	for i, arg := range p.args {
		if strings.ContainsRune(arg, 0) {
			if i == 0 {
				return p, at("command", "it contains a zero byte")
			}
			return p, at("args", "argument %d contains a zero byte", i)
		}
	}
	if s.WorkingDir != "" {
		if !filepath.IsAbs(s.WorkingDir) || strings.ContainsRune(s.WorkingDir, 0) {
			return p, at("workingDir", "%q is no absolute path", s.WorkingDir)
		}
		p.dir = s.WorkingDir
	}
	if s.StopSignal != "" {
		signal, ok := parseSignal(s.StopSignal)
		if !ok {
			return p, at("stopSignal", "%q is no signal: write one like SIGTERM or 15", s.StopSignal)
		}
		p.stopSignal = signal
	}
	if s.StopTimeout != "" {
		timeout, err := time.ParseDuration(s.StopTimeout)
		if err != nil || timeout < 0 {
			return p, at("stopTimeout", "%q is no duration: write one like 10s or 2m", s.StopTimeout)
		}
		p.stopTimeout = timeout
	}
	for name, value := range s.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			return p, at("env", "%q is no name of a variable, or its value contains a zero byte", name)
		}
	}
	p.env = environment(s.Env, surroundings)
	return p, nil
}

// environment is all that a process gets: what the user asked for, and for the rest
// its surroundings. Nothing of the agent's own environment, where secrets may be.
func environment(asked, surroundings map[string]string) []string {
	all := maps.Clone(surroundings)
	maps.Copy(all, asked)
	env := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		env = append(env, name+"="+all[name])
	}
	return env
}

func parseSignal(text string) (syscall.Signal, bool) {
	if number, err := strconv.Atoi(text); err == nil {
		return syscall.Signal(number), number > 0 && number <= 64
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	signal := unix.SignalNum(name)
	return signal, signal != 0
}

// find returns the value of a top-level field, nil when it is not there.
func find(file *ast.File, field string) ast.Node {
	path, err := yaml.PathString("$." + field)
	if err != nil {
		return nil
	}
	node, err := path.FilterFile(file)
	if err != nil {
		return nil
	}
	return node
}

// invalid turns an error of the YAML reader into one line.
func invalid(err error) error {
	return fmt.Errorf("%w: %w", runtime.ErrInvalidConfig, runtime.TellYAML(err))
}

func invalidAt(node ast.Node, text string) error {
	if node == nil || node.GetToken() == nil {
		return fmt.Errorf("%w: line 1: %s", runtime.ErrInvalidConfig, text)
	}
	position := node.GetToken().Position
	return fmt.Errorf("%w: line %d, column %d: %s", runtime.ErrInvalidConfig, position.Line, position.Column, text)
}
