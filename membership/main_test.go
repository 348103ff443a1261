package membership

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// A probe that gets no answer waits out its interval, which Shutdown does
		// not shorten: 0.6 s at most.
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

// patience is how long a condition may take to come true. It only matters to
// tests that fail.
const patience = 60 * time.Second

// loopback returns an address of this machine that no other test uses.
func loopback() string {
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
}

// node is a member in a test.
type node struct {
	*Membership
	logs *logs
}

func server(id string) Member {
	return Member{ID: id, Name: "host-" + id, Role: RoleServer, APIAddress: id + ":1"}
}

func agent(id string) Member { return Member{ID: id, Name: id, Role: RoleAgent} }

// mustOpen opens a member that is closed with the test.
func mustOpen(t *testing.T, self Member, change ...func(*Config)) *node {
	t.Helper()
	logs := newLogs()
	config := DefaultConfig()
	config.Self = self
	config.BindAddress = loopback()
	config.Logger = slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, change := range change {
		change(&config)
	}
	opened, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Errorf("close %s: %v", self.ID, err)
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", self.ID, logs)
		}
	})
	return &node{opened, logs}
}

func bind(address string) func(*Config) { return func(c *Config) { c.BindAddress = address } }

func join(seeds ...string) func(*Config) { return func(c *Config) { c.Join = seeds } }

func cluster(id string) func(*Config) { return func(c *Config) { c.Self.ClusterID = id } }

// kill ends a member as SIGKILL would: nobody is told.
func (n *node) kill(t *testing.T) {
	t.Helper()
	n.lock.Lock()
	n.closed = true
	n.lock.Unlock()
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
}

func (n *node) gossip() string { return n.Self().GossipAddress }

// find returns what a member knows of another one.
func (n *node) find(id string) Member {
	for _, member := range n.Members() {
		if member.ID == id {
			return member
		}
	}
	return Member{}
}

// sees waits until the members are as told: an id each, with a sign before it
// when it is not alive: "-" for failed, "<" for left.
func (n *node) sees(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	await(t, n, func() bool {
		got = got[:0]
		for _, member := range n.Members() {
			sign := ""
			if !member.Alive {
				sign = map[bool]string{true: "<", false: "-"}[member.Left]
			}
			got = append(got, sign+member.ID)
		}
		return strings.Join(got, " ") == strings.Join(want, " ")
	}, func() string { return fmt.Sprintf("want members %v, got %v", want, got) })
}

// await waits until a condition is true of what a member knows.
func await(t *testing.T, n *node, condition func() bool, complain func() string) {
	t.Helper()
	changed, cancel := n.Watch()
	defer cancel()
	deadline := time.After(patience)
	for !condition() {
		select {
		case <-changed:
		case <-deadline:
			t.Fatal(complain())
		}
	}
}

// logs keeps what was logged and tells when there is more.
type logs struct {
	lock  sync.Mutex
	text  bytes.Buffer
	grown chan struct{}
}

func newLogs() *logs { return &logs{grown: make(chan struct{})} }

func (l *logs) Write(line []byte) (int, error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	close(l.grown)
	l.grown = make(chan struct{})
	return l.text.Write(line)
}

func (l *logs) String() string {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.text.String()
}

// await waits for a line that has all the texts, and returns it.
func (l *logs) await(t *testing.T, texts ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		l.lock.Lock()
		text, grown := l.text.String(), l.grown
		l.lock.Unlock()
		for line := range strings.Lines(text) {
			if containsAll(line, texts) {
				return line
			}
		}
		select {
		case <-grown:
		case <-ctx.Done():
			t.Fatalf("no line with %q was logged in:\n%s", texts, text)
		}
	}
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
