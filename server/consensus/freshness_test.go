package consensus

import (
	"testing"
	"time"
)

func TestWhatIsNotAppliedIsNotFresh(t *testing.T) {
	began := time.Unix(1000, 0)
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	upTo := func(index, term uint64) func(word) bool {
		return func(w word) bool { return w.committed <= index && w.term <= term }
	}
	var f freshness
	if since := f.since(upTo(100, 1)); !since.IsZero() {
		t.Fatalf("fresh since %v without a word", since)
	}
	f.hear(word{at(1), 10, 1})
	f.hear(word{at(2), 10, 1})
	f.hear(word{at(3), 12, 1})
	f.hear(word{at(4), 15, 1})
	if since := f.since(upTo(9, 1)); !since.IsZero() {
		t.Errorf("with nothing of it applied, fresh since %v", since)
	}
	if since := f.since(upTo(11, 1)); since != at(2) {
		t.Errorf("with entry 11 applied, fresh since %v, want the last word of entry 10", since)
	}
	// The next leader does not know yet what the former one had committed.
	f.hear(word{at(5), 11, 2})
	if since := f.since(func(w word) bool { return w.committed <= 12 && w.term == 1 }); since != at(3) {
		t.Errorf("with entry 12 applied, fresh since %v", since)
	}
	if since := f.since(upTo(10, 2)); since != at(3) {
		t.Errorf("it became older: %v", since)
	}
	for i := range 3 * maxWords {
		f.hear(word{at(10 + i), uint64(100 + i), 2})
	}
	if since := f.since(upTo(100, 2)); since != at(10) || len(f.words) >= maxWords {
		t.Errorf("fresh since %v, %d words are kept", since, len(f.words))
	}
	if since := f.since(upTo(1000, 2)); since != at(9+3*maxWords) || len(f.words) > 0 {
		t.Errorf("fresh since %v, %d words are kept", since, len(f.words))
	}
}

// TestAServerThatIsBehindSaysSo: that it hears from the leader all the time does
// not make what it has any younger.
func TestAServerThatIsBehindSaysSo(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "one")
	behind := c.followers(leader)[0]
	mustHave(t, behind, "one")
	eventually(t, "an age", func() bool {
		_, known := behind.Staleness()
		return known
	})
	release := behind.machine.hold()
	defer release()
	before := time.Now()
	mustWrite(t, leader, "two")
	const old = 500 * time.Millisecond
	eventually(t, "an age that grows", func() bool {
		age, known := behind.Staleness()
		// It had everything at some time before the write.
		if least := time.Since(before); known && least > old/5 && age < least-old/5 {
			t.Fatalf("it says that what it has is %v old, and a write from %v ago is not there", age, least)
		}
		return age > old
	})
	release()
	mustHave(t, behind, "one", "two")
	eventually(t, "what is fresh", func() bool {
		age, known := behind.Staleness()
		return known && age < old
	})
}
