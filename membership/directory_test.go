package membership

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func newTestDirectory(clusterID string) *directory {
	return newDirectory("s-self", clusterID, time.Hour, slog.New(slog.DiscardHandler))
}

func leading(id string, term uint64, clusterID string) Member {
	member := server(id)
	member.LeadingTerm, member.ClusterID = term, clusterID
	return member
}

func TestTheHighestTermWins(t *testing.T) {
	type word struct {
		id      string
		term    uint64
		cluster string
	}
	for _, test := range []struct {
		name  string
		words []word
		want  string
		term  uint64
	}{
		{"nobody", nil, "", 0},
		{"one", []word{{"a", 3, "c"}}, "a", 3},
		{"a higher one", []word{{"a", 3, "c"}, {"b", 4, "c"}}, "b", 4},
		{"a lower one", []word{{"a", 3, "c"}, {"b", 2, "c"}}, "a", 3},
		{"an equal one", []word{{"a", 3, "c"}, {"b", 3, "c"}}, "a", 3},
		{"one of another cluster", []word{{"a", 3, "c"}, {"b", 9, "d"}}, "a", 3},
		{"one that knows no cluster", []word{{"a", 3, "c"}, {"b", 9, ""}}, "b", 9},
		{"term 0", []word{{"a", 0, "c"}}, "", 0},
	} {
		for _, way := range []string{"datagram", "metadata"} {
			t.Run(test.name+" by "+way, func(t *testing.T) {
				d := newTestDirectory("c")
				for i, word := range test.words {
					if way == "datagram" {
						d.announced(word.cluster, word.term, Member{ID: word.id})
						continue
					}
					d.put(testNode(leading(word.id, word.term, word.cluster), fmt.Sprintf("10.0.0.%d:1", i+1), 1), true)
				}
				leader, term, ok := d.current()
				if leader.ID != test.want || term != test.term || ok != (test.term > 0) {
					t.Errorf("want %q in term %d, got %q in term %d, %v", test.want, test.term, leader.ID, term, ok)
				}
			})
		}
	}
}

func TestAnOlderWordOfAMemberDoesNotUndoItsLeadership(t *testing.T) {
	d := newTestDirectory("c")
	d.put(testNode(server("a"), "10.0.0.1:1", 1), true)
	d.announced("c", 5, Member{ID: "a", APIAddress: "a:1"})
	check := func(want uint64) {
		t.Helper()
		if leader, _, _ := d.current(); leader.ID != "a" || leader.LeadingTerm != want {
			t.Errorf("want a leading in term %d, got %+v", want, leader)
		}
	}
	check(5)
	d.put(testNode(server("a"), "10.0.0.1:1", 1), false) // said before it was elected
	check(5)
	stopped := metadata{generation: 1, term: 5, member: server("a")}
	node := testNode(server("a"), "10.0.0.1:1", 1)
	node.Meta, _ = stopped.checked()
	d.put(node, false)
	check(0)
	d.announced("c", 6, Member{ID: "a"})
	check(6)
	d.put(testNode(server("a"), "10.0.0.1:1", 2), false) // started anew
	check(0)
}

func TestALeaderMayBeHeardOfBeforeItIsMet(t *testing.T) {
	d := newTestDirectory("")
	d.announced("c", 5, Member{ID: "a", APIAddress: "a:1"})
	leader, term, ok := d.current()
	if !ok || term != 5 || leader.ID != "a" || leader.APIAddress != "a:1" || leader.Role != RoleServer {
		t.Errorf("got %+v, %d, %v", leader, term, ok)
	}
	met := server("a")
	met.APIAddress = "a:2"
	d.put(testNode(met, "10.0.0.1:1", 1), true)
	if leader, _, _ := d.current(); leader.APIAddress != "a:2" || leader.Name != "host-a" {
		t.Errorf("after it was met it is %+v", leader)
	}
}

func TestWhatWasSaidBeforeAFarewellDoesNotUndoIt(t *testing.T) {
	d := newTestDirectory("")
	node := testNode(server("a"), "10.0.0.1:1", 1)
	d.put(node, true)
	d.farewell(node.Name, 7) // of another process
	if !d.list()[0].Alive {
		t.Error("the farewell of a former process counts for this one")
	}
	d.farewell(node.Name, 1)
	d.put(node, false)
	if got := d.list()[0]; got.Alive || !got.Left {
		t.Errorf("it came back by an old word: %+v", got)
	}
	d.put(testNode(server("a"), "10.0.0.1:1", 2), true)
	if got := d.list()[0]; !got.Alive || got.Left {
		t.Errorf("its next process is not taken for alive: %+v", got)
	}
}

func TestTheDeadAreForgottenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDirectory("")
		node := testNode(server("a"), "10.0.0.1:1", 1)
		d.put(node, true)
		d.put(testNode(agent("n"), "10.0.0.2:1", 1), true)
		time.Sleep(2 * time.Hour)
		d.remove(node)
		time.Sleep(59 * time.Minute)
		if got := len(d.list()); got != 2 {
			t.Errorf("want the dead one remembered, got %d members", got)
		}
		time.Sleep(2 * time.Minute)
		if got := d.list(); len(got) != 1 || got[0].ID != "n" {
			t.Errorf("want the dead one forgotten, got %v", got)
		}
	})
}

func TestAdmission(t *testing.T) {
	d := newTestDirectory("mine")
	at := func(member Member) error { return d.admit(testNode(member, "10.0.0.1:7", 1)) }
	in := func(clusterID string) Member { return leading("a", 0, clusterID) }
	if err := errors.Join(at(in("mine")), at(in(""))); err != nil {
		t.Error(err)
	}
	err := at(in("other"))
	if !errors.Is(err, ErrAnotherCluster) || !containsAll(err.Error(), []string{"server a", "10.0.0.1:7", "other", "mine"}) {
		t.Errorf("want both clusters and the address named, got %v", err)
	}

	node := testNode(in("mine"), "10.0.0.1:7", 1)
	node.Name = "10.0.0.1"
	if err := d.admit(node); err == nil {
		t.Error("a node that is neither server nor agent was let in")
	}
	node = testNode(in("mine"), "10.0.0.1:7", 1)
	for _, meta := range [][]byte{nil, []byte("rubbish"), {0x08, 0x63}} {
		node.Meta = meta
		if err := d.admit(node); !errors.Is(err, ErrFormat) {
			t.Errorf("metadata %q: want ErrFormat, got %v", meta, err)
		}
	}
	if own := testNode(server("self"), "10.0.0.1:1", 1); d.admit(own) != nil {
		t.Error("it refuses itself")
	}
}

func TestArbitraryMessagesAreDropped(t *testing.T) {
	d := newTestDirectory("")
	handler := &delegate{directory: d, log: slog.New(slog.DiscardHandler)}
	for _, message := range []string{"", "rubbish", "\x08\x01", "\x08\x01\x1a\x00", "\x08\x01\x22\x00", "\x08\x63\x1a\x02\x08\x01"} {
		handler.NotifyMsg([]byte(message))
	}
	if leader, term, ok := d.current(); ok {
		t.Errorf("%+v leads in term %d", leader, term)
	}
}

func TestSignalsAreCoalesced(t *testing.T) {
	d := newTestDirectory("")
	changed, cancel := d.watch()
	for i := range 10 {
		d.announced("c", uint64(i+1), Member{ID: "a"})
	}
	<-changed
	select {
	case <-changed:
		t.Error("there is a second signal")
	default:
	}
	cancel()
	cancel()
	d.announced("c", 99, Member{ID: "a"})
	select {
	case <-changed:
		t.Error("there is a signal after the end of the watch")
	default:
	}
}

func TestMetadataFitsWhateverIsLearnedLater(t *testing.T) {
	for size := range 512 {
		told := metadata{generation: time.Now().UnixNano(), member: server("a")}
		told.member.Name = strings.Repeat("x", size)
		if told.checkSize() != nil {
			if size < 300 {
				t.Errorf("a name of %d bytes is refused", size)
			}
			return
		}
		told.term, told.leading = 1<<64-1, true
		told.member.ClusterID = strings.Repeat("c", maxClusterID)
		data, err := told.checked()
		if err != nil || len(data) > metadataLimit {
			t.Fatalf("a name of %d bytes: metadata has %d bytes, %v", size, len(data), err)
		}
	}
	t.Error("no name was too long")
}

func TestKeyringFiles(t *testing.T) {
	const key = "MDEyMzQ1Njc4OWFiY2RlZg=="
	for _, test := range []struct {
		name, text string
		says       []string
	}{
		{"not JSON", "hello", []string{"not a JSON list"}},
		{"another JSON", `{"a": 1}`, []string{"not a JSON list"}},
		{"an empty list", `[]`, []string{"holds no key"}},
		{"no base64", `["` + key + `", "?"]`, []string{"key 2", "not base64"}},
		{"a short key", `["YWJj"]`, []string{"key 1", "3 bytes", "16, 24 or 32"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := t.TempDir() + "/keyring"
			mustWrite(t, path, test.text, 0o600)
			_, err := loadKeyring(path)
			if !errors.Is(err, ErrKeyring) || !containsAll(err.Error(), append(test.says, path)) {
				t.Errorf("want an error that says %q, got %v", test.says, err)
			}
			if strings.Contains(fmt.Sprint(err), key) {
				t.Error("the error tells a key")
			}
		})
	}
	path := t.TempDir() + "/keyring"
	mustWrite(t, path, `["`+key+`"]`, 0o640)
	if _, err := loadKeyring(path); !errors.Is(err, ErrKeyring) || !containsAll(err.Error(), []string{"0640", "chmod 600"}) {
		t.Errorf("others can read the keys: want an error, got %v", err)
	}
	mustWrite(t, path, `["`+key+`"]`, 0o400)
	if keyring, err := loadKeyring(path); err != nil || len(keyring.GetKeys()) != 1 {
		t.Errorf("got %v, %v", keyring, err)
	}
}

func TestServersOfAnotherIncarnationAreRefused(t *testing.T) {
	told := func(id, incarnation string) Member {
		m := leading(id, 5, "c")
		m.Incarnation = incarnation
		return m
	}
	for name, test := range map[string]struct {
		local, own string
		heard      string
		refused    bool
	}{
		"a server, the same":            {"s-self", "1-0000000a", "1-0000000a", false},
		"a server, a lower one":         {"s-self", "1-0000000a", "", true},
		"a server, a higher one":        {"s-self", "1-0000000a", "2-0000000b", true},
		"an agent, the same":            {"a-self", "1-0000000a", "1-0000000a", false},
		"an agent, a lower one":         {"a-self", "1-0000000a", "", true},
		"an agent, a higher one":        {"a-self", "1-0000000a", "2-0000000b", false},
		"an agent, of another recovery": {"a-self", "1-0000000a", "1-0000000b", true},
	} {
		d := newDirectory(test.local, "", time.Hour, slog.New(slog.DiscardHandler))
		d.setCluster("c", test.own)
		node := testNode(told("x", test.heard), "10.0.0.1:1", 1)
		err := d.admit(node)
		if errors.Is(err, ErrAnotherIncarnation) != test.refused || (err != nil) != test.refused {
			t.Errorf("%s: %v", name, err)
		}
		taken := d.announced("c", 9, Member{ID: "x", Incarnation: test.heard})
		if taken == test.refused {
			t.Errorf("%s: its word as a leader is taken: %v", name, taken)
		}
	}
}

func TestALeaderOfAHigherIncarnationWinsWhateverItsTerm(t *testing.T) {
	d := newDirectory("a-self", "c", time.Hour, slog.New(slog.DiscardHandler))
	d.announced("c", 50, Member{ID: "left"})
	d.announced("c", 7, Member{ID: "recovered", Incarnation: "1-0000000a"})
	d.announced("c", 60, Member{ID: "left"})
	if leader, term, _ := d.current(); leader.ID != "recovered" || term != 7 {
		t.Fatalf("leader is %s in term %d", leader.ID, term)
	}
}
