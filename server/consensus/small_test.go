package consensus

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

func TestTimingProfiles(t *testing.T) {
	for _, name := range []string{"lan", "wan"} {
		for _, factor := range []float64{0.25, 1, 2.5, 100} {
			timing, err := TimingProfile(name, factor)
			if err == nil {
				err = timing.Validate()
			}
			if err != nil {
				t.Errorf("%s times %v: %v", name, factor, err)
			}
		}
	}
	for _, test := range []struct {
		name   string
		factor float64
	}{{"lan", 0}, {"lan", -1}, {"lan", 1000}, {"moon", 1}} {
		if _, err := TimingProfile(test.name, test.factor); err == nil {
			t.Errorf("%s times %v is accepted", test.name, test.factor)
		}
	}
	for name, spoil := range map[string]func(*Timing){
		"heartbeat too short":              func(t *Timing) { t.Heartbeat = time.Millisecond },
		"election shorter than heartbeat":  func(t *Timing) { t.Election = t.Heartbeat / 2 },
		"lease longer than heartbeat":      func(t *Timing) { t.Lease = 2 * t.Heartbeat },
		"silence of less than a heartbeat": func(t *Timing) { t.Silence = t.Heartbeat / 5 },
	} {
		timing := LAN()
		spoil(&timing)
		if timing.Validate() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"no directory":          func(c *Config) { c.DataDir = "" },
		"no address":            func(c *Config) { c.RaftAddress = "" },
		"unknown log store":     func(c *Config) { c.LogStore = "paper" },
		"no snapshot threshold": func(c *Config) { c.SnapshotThreshold = 0 },
		"no snapshot interval":  func(c *Config) { c.SnapshotInterval = 0 },
		"no stall limit":        func(c *Config) { c.DiskStall = 0 },
		"no commit limit":       func(c *Config) { c.CommitStall = 0 },
	} {
		cfg := DefaultConfig(t.TempDir(), "127.0.0.1:0")
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&cfg)
		if _, err := Open(cfg, Deps{Machine: newCounter()}); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := Open(DefaultConfig(t.TempDir(), "127.0.0.1:0"), Deps{}); err == nil {
		t.Error("no machine: opened")
	}
}

func TestPreambleRoundTrip(t *testing.T) {
	want := call{1, 3, "cluster", "from", "to"}
	var wire bytes.Buffer
	if err := writeCall(&wire, want); err != nil {
		t.Fatal(err)
	}
	if got, err := readCall(&wire); err != nil || got != want {
		t.Fatalf("read %+v, %v", got, err)
	}
	if err := writeCall(io.Discard, call{realm: strings.Repeat("x", 256)}); err == nil {
		t.Fatal("an id of 256 bytes is accepted")
	}
	for _, refusal := range []string{"", "no", strings.Repeat("no ", 1000)} {
		wire.Reset()
		if err := writeAnswer(&wire, refusal); err != nil {
			t.Fatal(err)
		}
		if got, err := readAnswer(&wire); err != nil || got != refusal[:min(len(refusal), maxRefusal)] {
			t.Fatalf("read %q, %v", got, err)
		}
	}
}

func FuzzReadCall(f *testing.F) {
	f.Add([]byte("ARGR\x01\x01\x03one\x01a\x01b"))
	f.Add([]byte("ARGR"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		c, err := readCall(bytes.NewReader(wire))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := writeCall(&again, c); err != nil || !bytes.HasPrefix(wire, again.Bytes()) {
			t.Fatalf("%+v was read from %q and is written as %q, %v", c, wire, again.Bytes(), err)
		}
	})
}

func TestRepeatedLinesAreHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := newRaftLog(slog.New(slog.NewTextHandler(&text, nil)))
		for range 100 {
			log.Error("failed to heartbeat to", "peer", "b", "error", io.EOF)
			log.Error("failed to heartbeat to", "peer", "c", "error", io.EOF)
			log.Debug("not wanted")
			time.Sleep(100 * time.Millisecond)
		}
		if got := strings.Count(text.String(), "\n"); got != 4 {
			t.Fatalf("%d lines in ten seconds, want one for each peer in five:\n%s", got, &text)
		}
	})
}

func TestRaftsLogGoesToSlog(t *testing.T) {
	var text bytes.Buffer
	log := newRaftLog(slog.New(slog.NewTextHandler(&text, nil))).Named("x").With("id", 7)
	log.Info("servers", "list", hclog.Fmt("%d of %d", 1, 2))
	log.StandardLogger(nil).Print("plain")
	for _, want := range []string{`"raft: servers"`, "id=7", `list="1 of 2"`, "msg=plain"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%s is missing in %s", want, &text)
		}
	}
	if log.IsDebug() || !log.IsInfo() || log.GetLevel() != hclog.Info {
		t.Errorf("level is %v", log.GetLevel())
	}
}

func TestAppendIsBoundedByBytes(t *testing.T) {
	entries := []*raft.Log{{Data: make([]byte, 60)}, {Data: make([]byte, 60)}, {Data: make([]byte, 60)}}
	for limit, want := range map[int]int{10: 1, 60: 1, 119: 1, 120: 2, 1000: 3} {
		if got := len(trim(entries, limit)); got != want {
			t.Errorf("%d entries of 60 bytes in %d bytes, want %d", got, limit, want)
		}
	}
	if trim(nil, 10) != nil {
		t.Error("a heartbeat has got entries")
	}
}

func TestAdvertisedAddress(t *testing.T) {
	bound := advertised("127.0.0.1:4000")
	for wanted, want := range map[string]string{
		"":                   "127.0.0.1:4000",
		"host.example:5000":  "host.example:5000",
		"host.example:0":     "host.example:4000",
		"0.0.0.0:5000":       "",
		"[::]:5000":          "",
		":5000":              "",
		"host without colon": "",
	} {
		got, err := advertisedAddress(wanted, bound)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", wanted, got, err)
		}
	}
}

func TestLeadershipThatNobodySawIsLeftOut(t *testing.T) {
	l := newLeadership(nil, func(*reign) {})
	for term := range uint64(100) {
		l.push(LeadershipEvent{Gained: true, Term: term})
		if term < 99 {
			l.push(LeadershipEvent{Gained: false, Term: term})
		}
	}
	event, ok := l.pop()
	if !ok || event != (LeadershipEvent{Gained: true, Term: 99}) {
		t.Fatalf("told %+v", event)
	}
	if event, ok := l.pop(); ok {
		t.Fatalf("told %+v as well", event)
	}
	// A loss is told when its gain was.
	l.push(LeadershipEvent{Gained: false, Term: 99})
	l.push(LeadershipEvent{Gained: true, Term: 100})
	if event, _ := l.pop(); event.Gained || event.Term != 99 {
		t.Fatalf("told %+v", event)
	}
}

func TestWhatIsNoErrorIsNotLoggedAsOne(t *testing.T) {
	for _, tc := range []struct {
		message string
		args    []any
		want    slog.Level
	}{
		{"failed to heartbeat to", []any{"peer", "a"}, slog.LevelWarn},
		{"peer has newer term, stopping replication", []any{"peer", "a"}, slog.LevelInfo},
		{"failed to take snapshot", []any{"error", raft.ErrNothingNewToSnapshot}, slog.LevelDebug},
		{"failed to take snapshot", []any{"error", errors.New("the disk is full")}, slog.LevelError},
		{"failed to commit logs", []any{"error", errors.New("the disk is full")}, slog.LevelError},
	} {
		if got := raftLevel(hclog.Error, tc.message, tc.args); got != tc.want {
			t.Errorf("%q %v is logged as %v, want %v", tc.message, tc.args, got, tc.want)
		}
	}
}
