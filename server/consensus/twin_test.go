package consensus

import (
	"errors"
	"strings"
	"testing"
)

func TestATwinIsFoundAndNobodyIsHisOwn(t *testing.T) {
	first := mustListen(t, "a", "one", nil)
	second := mustListen(t, "a", "one", nil)
	other := mustListen(t, "b", "one", nil)
	stranger := mustListen(t, "a", "two", nil)
	first.process, second.process = "p1", "p2"
	for name, test := range map[string]struct {
		at   *end
		want bool
	}{
		"another process of the same id": {second, true},
		"itself at another address":      {first, false},
		"another server":                 {other, false},
		"a server of another cluster":    {stranger, false},
	} {
		if got := first.answersAs(deadline(t), "a", test.at.Addr().String(), first.process); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if first.answersAs(deadline(t), "a", second.Addr().String(), first.process) {
		t.Error("a process that is gone answers")
	}
	select {
	case peer := <-first.lostPeers:
		t.Errorf("who only looked counts as a server that died: %q", peer)
	default:
	}
}

func TestAServerMovesOnlyWhenItHasLeftItsAddress(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	follower := c.followers(leader)[0]
	err := leader.CheckMove(deadline(t), follower.ID(), "127.0.0.1:1", "another process")
	if !errors.Is(err, ErrTwin) || !strings.Contains(err.Error(), follower.Address()) {
		t.Errorf("a second process may take the place of one that runs: %v", err)
	}
	if err := leader.CheckMove(deadline(t), follower.ID(), "127.0.0.1:1", follower.ProcessID()); err != nil {
		t.Errorf("a process may not call itself by another address: %v", err)
	}
	c.crash(follower)
	if err := leader.CheckMove(deadline(t), follower.ID(), "127.0.0.1:1", "another process"); err != nil {
		t.Errorf("a server may not come back elsewhere: %v", err)
	}
	if err := leader.CheckMove(deadline(t), "new", "127.0.0.1:1", "p"); err != nil {
		t.Errorf("a new server: %v", err)
	}
}
