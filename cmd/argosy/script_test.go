package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/membership/identity"
	"github.com/argosy-cluster/argosy/membership/identity/authority"
)

// patience bounds what a test waits for that fails; a test that passes never
// waits so long, however busy the machine is.
const patience = 3 * time.Minute

// requestPatience is how long a command of a script tries to get an answer, unless
// the script says how long.
const requestPatience = "1m"

// shared is the cluster that most scripts use: three servers, two agents.
var shared sharedCluster

type sharedCluster struct {
	dir     string
	once    sync.Once
	cluster *cluster.Cluster
	err     error
}

func (s *sharedCluster) get() (*cluster.Cluster, error) {
	s.once.Do(func() {
		s.cluster, s.err = newCluster(cluster.Config{Dir: filepath.Join(s.dir, "cluster"), Agents: 2})
		if s.err == nil {
			s.err = s.cluster.Start(context.Background())
		}
	})
	return s.cluster, s.err
}

func (s *sharedCluster) close() error {
	if s.cluster == nil {
		return nil
	}
	return errors.Join(s.cluster.Close(), s.cluster.Crashes())
}

// newCluster prepares a cluster of this test binary, unhurried: scripts share
// the machine with other tests.
func newCluster(config cluster.Config) (*cluster.Cluster, error) {
	config.Environment = programEnvironment()
	config.ServerArgs = append(config.ServerArgs, "--timing-multiplier", "5")
	config.StartTimeout = patience
	return cluster.New(config)
}

// TestScripts runs the scripts in testdata/script. Beside the commands of
// testscript they have these:
//
//	argosy ARG...               runs argosy, which must end with exit code 0
//	exits CODE COMMAND ARG...   runs a command, which must end with this code
//	until PATTERN [exits CODE] COMMAND...
//	                            repeats a command until what it prints matches, and
//	                            it ends with the exit code, if that is given
//	awaits FILE PATTERN         waits until a file matches
//	cluster [name=value]...     starts a cluster for this script alone (servers,
//	                            agents, tls) and points argosy to it
//	process ACTION NAME...      kill, stop, freeze, thaw or start processes of it
//	certificate NAME DNS [CA]   makes a certificate, of the cluster's authority or
//	                            of one that nobody knows, for $CA, $CRT and $KEY
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                filepath.Join("testdata", "script"),
		RequireUniqueNames: true,
		Setup:              setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"argosy": runArgosy, "exits": exits, "until": until, "awaits": awaits,
			"cluster": startCluster, "process": signalProcess, "certificate": certificate,
		},
		Condition: condition,
	})
}

// condition knows [free]: nobody uses the addresses of argosy dev.
func condition(name string) (bool, error) {
	if name != "free" {
		return false, fmt.Errorf("there is no condition %s", name)
	}
	for _, address := range []string{"127.0.0.1:25551", "127.0.0.1:25552", "127.0.0.1:25553", "127.0.0.1:25554"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return false, nil
		}
		_ = listener.Close()
	}
	return true, nil
}

func setup(env *testscript.Env) error {
	for _, pair := range append(programEnvironment(), "TERM=xterm") {
		name, value, _ := strings.Cut(pair, "=")
		env.Setenv(name, value)
	}
	env.Setenv("PATH", shared.dir+":"+os.Getenv("PATH"))
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
	env.Setenv("HOME", env.WorkDir)
	examples, err := filepath.Abs(filepath.Join("..", "..", "examples"))
	if err != nil {
		return err
	}
	env.Setenv("EXAMPLES", examples)
	// Agents that a script started by itself have left keepers.
	env.Defer(func() { cluster.EndHolders(env.WorkDir) })
	env.Values[scriptKey{}] = &script{dir: env.WorkDir, t: env.T()}
	c, err := shared.get()
	if err != nil {
		return err
	}
	point(env.Setenv, c)
	return nil
}

// script is what belongs to one script.
type script struct {
	dir      string
	t        testscript.T
	clusters int
	cluster  *cluster.Cluster
}

type scriptKey struct{}

func scriptOf(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

// point tells a script where a cluster is.
func point(setenv func(name, value string), c *cluster.Cluster) {
	setenv("ARGOSY_SERVER", strings.Join(c.Endpoints(), ","))
	for i, p := range c.Servers {
		setenv(fmt.Sprintf("SERVER_%d", i+1), p.Endpoint())
		setenv(fmt.Sprintf("SERVER_%d_HOST", i+1), p.Host)
		setenv(fmt.Sprintf("SERVER_%d_DIR", i+1), p.DataDir)
	}
	for i, p := range c.Agents {
		setenv(fmt.Sprintf("AGENT_%d_DIR", i+1), p.DataDir)
		setenv(fmt.Sprintf("AGENT_%d_LOG", i+1), p.LogPath)
	}
}

// bounded runs a command of a script for no longer than patience.
func bounded(ts *testscript.TestScript, args []string) int {
	if len(args) == 0 {
		ts.Fatalf("name a command")
	}
	if len(args) > 1 && args[0] == "argosy" && !strings.HasPrefix(args[1], "__") {
		args = slices.Insert(slices.Clone(args), 1, "--request-timeout", requestPatience)
	}
	err := ts.Exec("timeout", append([]string{"--signal=KILL", fmt.Sprint(patience.Seconds())}, args...)...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("run %s: %v", args[0], err)
	}
	if exit != nil {
		return exit.ExitCode()
	}
	return 0
}

func runArgosy(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("say with exits CODE how it shall fail")
	}
	exits(ts, false, append([]string{"0", "argosy"}, args...))
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if code := bounded(ts, args[1:]); code != want {
		ts.Fatalf("%s ended with exit code %d, want %d", strings.Join(args[1:], " "), code, want)
	}
}

func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN [exits CODE] COMMAND ARG...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	command, want := args[1:], -1
	if command[0] == "exits" && len(command) > 2 {
		want, err = strconv.Atoi(command[1])
		ts.Check(err)
		command = command[2:]
	}
	eventually(ts, pattern, "what "+strings.Join(command, " ")+" prints", func() string {
		if code := bounded(ts, command); want >= 0 && code != want {
			return fmt.Sprintf("(exit code %d)", code)
		}
		return ts.ReadFile("stdout") + ts.ReadFile("stderr")
	})
}

func awaits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: awaits FILE PATTERN")
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	eventually(ts, pattern, args[0], func() string {
		text, _ := os.ReadFile(ts.MkAbs(args[0]))
		return string(text)
	})
}

// eventually waits until a text matches a pattern.
func eventually(ts *testscript.TestScript, pattern *regexp.Regexp, what string, read func() string) {
	deadline := time.After(patience)
	for text := read(); !pattern.MatchString(text); text = read() {
		select {
		case <-deadline:
			ts.Fatalf("waited in vain for %s to match %s; it is\n%s", what, pattern, text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func startCluster(ts *testscript.TestScript, neg bool, args []string) {
	s := scriptOf(ts)
	s.clusters++
	config := cluster.Config{Dir: filepath.Join(s.dir, fmt.Sprintf("cluster-%d", s.clusters)), Servers: 1}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		n, err := strconv.Atoi(value)
		ts.Check(err)
		switch name {
		case "servers":
			config.Servers = n
		case "agents":
			config.Agents = n
		case "tls":
			config.TLS = n != 0
		default:
			ts.Fatalf("cluster has no %s", name)
		}
	}
	c, err := newCluster(config)
	ts.Check(err)
	ts.Defer(func() {
		err := errors.Join(c.Close(), c.Crashes())
		if err != nil {
			s.t.Log(err)
			s.t.FailNow()
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ts.Check(c.Start(ctx))
	s.cluster = c
	point(ts.Setenv, c)
	for name, flag := range map[string]string{"ARGOSY_CA_PEM": "--ca-pem", "ARGOSY_CRT_PEM": "--crt-pem", "ARGOSY_KEY_PEM": "--key-pem"} {
		for i, arg := range c.CLIArgs() {
			if arg == flag {
				ts.Setenv(name, c.CLIArgs()[i+1])
			}
		}
	}
}

func signalProcess(ts *testscript.TestScript, neg bool, args []string) {
	s := scriptOf(ts)
	if neg || len(args) < 2 || s.cluster == nil {
		ts.Fatalf("usage: process ACTION NAME..., after cluster")
	}
	for _, name := range args[1:] {
		var p *cluster.Process
		for _, known := range append(append([]*cluster.Process{}, s.cluster.Servers...), s.cluster.Agents...) {
			if known.Name == name {
				p = known
			}
		}
		if p == nil {
			ts.Fatalf("there is no process %s", name)
		}
		ts.Check(act(p, args[0]))
	}
}

func act(p *cluster.Process, action string) error {
	switch action {
	case "kill":
		return p.Kill()
	case "freeze":
		return p.Freeze()
	case "thaw":
		return p.Thaw()
	case "start":
		return p.Start()
	case "stop":
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return p.Stop(ctx)
	default:
		return fmt.Errorf("%s is nothing that can be done to a process", action)
	}
}

func certificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: certificate NAME DNS [CA]")
	}
	s := scriptOf(ts)
	var files identity.Files
	var err error
	if len(args) == 2 {
		files, err = s.cluster.Issue(args[0], args[1])
	} else {
		var other *authority.Authority
		if other, err = authority.New("authority " + args[2]); err == nil {
			files, err = other.WriteFiles(filepath.Join(s.dir, args[2]), args[0], authority.Request{CommonName: args[0], DNSNames: []string{args[1]}})
		}
	}
	ts.Check(err)
	ts.Setenv("CA", files.CA)
	ts.Setenv("CRT", files.Cert)
	ts.Setenv("KEY", files.Key)
}
