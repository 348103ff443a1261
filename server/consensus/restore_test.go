package consensus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// state is a state of the counter, as of an index.
type state struct {
	index   uint64
	entries []string
	// hold, when set, keeps the state back when it is written for the second
	// time, which is into Raft.
	hold    <-chan struct{}
	written int
}

func (s *state) WriteTo(to io.Writer) (int64, error) {
	s.written++
	if s.hold != nil && s.written > 1 {
		<-s.hold
	}
	text := binary.BigEndian.AppendUint64(nil, s.index)
	for _, entry := range s.entries {
		text = binary.BigEndian.AppendUint32(text, uint32(len(entry)))
		text = append(text, entry...)
	}
	return io.Copy(to, bytes.NewReader(text))
}

func stateOf(entries ...string) RestoreSource {
	return func(index uint64) (io.WriterTo, error) { return &state{index: index, entries: entries}, nil }
}

func TestRestoreReplacesTheStateEverywhere(t *testing.T) {
	for _, kind := range []storage.Kind{storage.BoltDB, storage.WAL} {
		t.Run(string(kind), func(t *testing.T) {
			c := mustFound(t, 3, func(cfg *Config) { cfg.LogStore = kind })
			leader := c.mustLead()
			for i := range 5 {
				mustWrite(t, leader, fmt.Sprint("before ", i))
			}
			index, err := leader.Restore(deadline(t), stateOf("restored a", "restored b"))
			if err != nil {
				t.Fatal(err)
			}
			if applied := leader.machine.Applied(); applied != index {
				t.Fatalf("the leader's state is at %d, the restore was answered with %d", applied, index)
			}
			read, _, err := leader.ReadIndex(deadline(t))
			if err != nil || read != index {
				t.Fatalf("read index after the restore is %d, want %d: %v", read, index, err)
			}
			if later := mustWrite(t, leader, "after"); later <= index {
				t.Fatalf("a later write is at %d, the restore at %d", later, index)
			}
			for _, m := range c.members {
				mustHave(t, m, "restored a", "restored b", "after")
			}
			// What is on the disks says the same.
			for _, m := range c.members {
				c.crash(m)
			}
			for _, m := range c.members {
				c.mustOpen(m)
			}
			mustWrite(t, c.mustLead(), "later")
			for _, m := range c.members {
				mustHave(t, m, "restored a", "restored b", "after", "later")
			}
		})
	}
}

func TestRestoreReachesAServerThatWasAway(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	away := c.followers(leader)[0]
	mustWrite(t, leader, "before")
	mustHave(t, away, "before")
	c.crash(away)
	mustWrite(t, leader, "while it was away")
	if _, err := leader.Restore(deadline(t), stateOf("restored")); err != nil {
		t.Fatal(err)
	}
	c.mustOpen(away)
	mustHave(t, away, "restored")
}

func TestOnlyTheLeaderRestores(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	follower := c.followers(leader)[0]
	if _, err := follower.Restore(deadline(t), stateOf("restored")); !errors.Is(err, ErrNotLeader) || errors.Is(err, ErrFateUnknown) {
		t.Fatalf("restored on a follower: %v", err)
	}
	mustWrite(t, leader, "after")
	mustHave(t, leader, "before", "after")
}

// Raft would take the state over at an index of its own choice, and entries
// that the state says it has already would then stop every machine.
func TestRestoreIsRefusedWhenTheLogHasOutgrownIt(t *testing.T) {
	c := mustFound(t, 1)
	leader := c.mustLead()
	_, err := leader.Restore(deadline(t), func(index uint64) (io.WriterTo, error) {
		for leader.raft.LastIndex() < index {
			if err := leader.raft.ApplyLog(raft.Log{Data: []byte("meanwhile")}, 0).Error(); err != nil {
				return nil, err
			}
		}
		return &state{index: index, entries: []string{"restored"}}, nil
	})
	if err == nil || errors.Is(err, ErrFateUnknown) {
		t.Fatalf("restored: %v", err)
	}
	mustWrite(t, leader, "after")
	if all := leader.machine.all(); all[0] != "meanwhile" || all[len(all)-1] != "after" {
		t.Fatalf("the state is %q", all)
	}
}

func TestSourceThatFailsLeavesEverythingAsItIs(t *testing.T) {
	c := mustFound(t, 1)
	leader := c.mustLead()
	broken := errors.New("no state")
	for name, source := range map[string]RestoreSource{
		"at once":      func(uint64) (io.WriterTo, error) { return nil, broken },
		"in the first": func(uint64) (io.WriterTo, error) { return failingState{0, broken}, nil },
	} {
		if _, err := leader.Restore(deadline(t), source); !errors.Is(err, broken) || errors.Is(err, ErrFateUnknown) {
			t.Fatalf("%s: %v", name, err)
		}
	}
	second := &secondFails{err: broken}
	if _, err := leader.Restore(deadline(t), func(uint64) (io.WriterTo, error) { return second, nil }); err == nil || errors.Is(err, ErrFateUnknown) {
		t.Fatalf("in the second: %v", err)
	}
	mustWrite(t, leader, "after")
	mustHave(t, leader, "after")
}

type failingState struct {
	bytes int
	err   error
}

func (s failingState) WriteTo(to io.Writer) (int64, error) {
	n, _ := to.Write(make([]byte, s.bytes))
	return int64(n), s.err
}

type secondFails struct {
	err     error
	written int
}

func (s *secondFails) WriteTo(to io.Writer) (int64, error) {
	s.written++
	if s.written == 1 {
		n, err := to.Write(make([]byte, 100))
		return int64(n), err
	}
	n, _ := to.Write(make([]byte, 50))
	return int64(n), s.err
}

// held begins a restore that does not get on until it is let, and returns how
// it ends.
func held(t *testing.T, leader *member) (release func(), ended <-chan error) {
	t.Helper()
	hold := make(chan struct{})
	result := make(chan error, 1)
	go func() {
		_, err := leader.Restore(deadline(t), func(index uint64) (io.WriterTo, error) {
			return &state{index: index, entries: []string{"restored"}, hold: hold}, nil
		})
		result <- err
	}()
	eventually(t, "Raft takes the state over", func() bool {
		_, index := leader.restores.over()
		return index > 0
	})
	return func() { close(hold) }, result
}

// While a state is restored it is here before a majority has it: nobody may read
// it, nothing may be appended, and leadership cannot be given away.
func TestNothingHappensBesideARestore(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	release, ended := held(t, leader)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := leader.ReadIndex(short); !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("got a read index: %v", err)
	}
	if _, _, err := leader.Propose([]byte("beside")).Wait(deadline(t)); !errors.Is(err, ErrNotLeader) {
		t.Errorf("proposed: %v", err)
	}
	if _, err := leader.Restore(deadline(t), stateOf("another")); !errors.Is(err, ErrRestoring) {
		t.Errorf("restored another: %v", err)
	}
	if err := leader.TransferLeadership(deadline(t), ""); !errors.Is(err, ErrRestoring) {
		t.Errorf("transferred leadership: %v", err)
	}
	if err := leader.AddServer(deadline(t), "new", "127.0.0.1:1"); !errors.Is(err, ErrNotLeader) {
		t.Errorf("added a server: %v", err)
	}
	release()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	mustWrite(t, leader, "after")
	for _, m := range c.members {
		mustHave(t, m, "restored", "after")
	}
}

// Raft panics when it is shut down while its leader takes a state over.
func TestStopWaitsForARestore(t *testing.T) {
	c := mustFound(t, 1)
	leader := c.mustLead()
	release, ended := held(t, leader)
	stopped := make(chan error, 1)
	go func() { stopped <- leader.Shutdown(deadline(t)) }()
	eventually(t, "the node is stopping", leader.stopped)
	select {
	case err := <-stopped:
		t.Fatalf("stopped while a state was taken over: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	release()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil && !errors.Is(err, ErrFateUnknown) {
		t.Fatal(err)
	}
}

func TestStateThatCannotBeTakenOverStopsTheServer(t *testing.T) {
	c := mustFound(t, 1)
	leader := c.mustLead()
	broken := errors.New("bad state")
	leader.machine.refuse(broken)
	_, _ = leader.Restore(deadline(t), stateOf("restored"))
	<-leader.FailedC()
	if err := leader.Err(); !errors.Is(err, ErrBroken) || !errors.Is(err, broken) {
		t.Fatalf("failed with %v", err)
	}
}
