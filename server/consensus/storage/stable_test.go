package storage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func mustStable(t *testing.T, path string) *Stable {
	t.Helper()
	s, err := OpenStable(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func mustVote(t *testing.T, s *Stable, term uint64, candidate string) {
	t.Helper()
	err := errors.Join(
		s.SetUint64([]byte("CurrentTerm"), term),
		s.SetUint64([]byte(voteTerm), term),
		s.Set([]byte(voteCandidate), []byte(candidate)),
	)
	if err != nil {
		t.Fatal(err)
	}
}

func mustHaveVoted(t *testing.T, s *Stable, current, term uint64, candidate string) {
	t.Helper()
	gotCurrent, err1 := s.GetUint64([]byte("CurrentTerm"))
	gotTerm, err2 := s.GetUint64([]byte(voteTerm))
	gotCandidate, err3 := s.Get([]byte(voteCandidate))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if gotCurrent != current || gotTerm != term || string(gotCandidate) != candidate {
		t.Fatalf("in term %d, voted in %d for %q; want %d, %d, %q", gotCurrent, gotTerm, gotCandidate, current, term, candidate)
	}
}

func TestTermAndVoteSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stable")
	s := mustStable(t, path)
	if _, err := s.GetUint64([]byte("CurrentTerm")); err == nil || err.Error() != "not found" {
		t.Fatalf("a value that was never set: %v, and Raft knows no other text than \"not found\"", err)
	}
	for term := uint64(1); term < 8; term++ {
		mustVote(t, s, term, "candidate of 1")
		s = mustStable(t, path)
		mustHaveVoted(t, s, term, term, "candidate of 1")
	}
}

func TestHalfAVoteIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stable")
	s := mustStable(t, path)
	mustVote(t, s, 3, "a")
	if err := errors.Join(s.SetUint64([]byte(voteTerm), 4), s.SetUint64([]byte("CurrentTerm"), 4)); err != nil {
		t.Fatal(err)
	}
	mustHaveVoted(t, s, 4, 3, "a")
	mustHaveVoted(t, mustStable(t, path), 4, 3, "a")
	if err := s.Set([]byte(voteCandidate), []byte("b")); err != nil {
		t.Fatal(err)
	}
	mustHaveVoted(t, mustStable(t, path), 4, 4, "b")
}

// A vote of which a bit has changed must not be taken for one that was never
// given: the server would vote again in the same term.
func TestADamagedVoteIsAnErrorAndNotTheOneBefore(t *testing.T) {
	for _, votes := range []string{"b", "bc"} { // the newest is in either slot
		for _, damage := range []struct {
			name string
			do   func(file *os.File, newest int64) error
		}{
			{"head", func(file *os.File, newest int64) error { return writeByte(file, newest+5) }},
			{"body", func(file *os.File, newest int64) error { return writeByte(file, newest+slotHead+9) }},
			{"erased", func(file *os.File, newest int64) error {
				_, err := file.WriteAt(make([]byte, slotSize), newest)
				return err
			}},
			{"cut off", func(file *os.File, newest int64) error { return file.Truncate(newest + 100) }},
			{"the slot before it", func(file *os.File, newest int64) error { return writeByte(file, slotSize-newest+5) }},
		} {
			t.Run(damage.name+" "+votes, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "stable")
				s := mustStable(t, path)
				mustVote(t, s, 3, "a")
				for _, vote := range votes {
					mustVote(t, s, 3, "for "+string(vote)) // one write: the term is the same
				}
				newest := int64(s.sequence) % 2 * slotSize
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				file, err := os.OpenFile(path, os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				if err := damage.do(file, newest); err != nil {
					t.Fatal(err)
				}
				if s, err := OpenStable(path); !errors.Is(err, ErrCorrupt) {
					t.Errorf("open: %v, %v", s, err)
				}
			})
		}
	}
}

func writeByte(file *os.File, at int64) error {
	_, err := file.WriteAt([]byte{0xff}, at)
	return err
}

// What is flushed is there; what is not may be there or not, whole in any case: a
// disk writes a sector or does not.
func TestAVoteThatWasNotFlushedIsThereWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stable")
	s := mustStable(t, path)
	mustVote(t, s, 3, "a")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mustVote(t, s, 3, "b")
	mustHaveVoted(t, mustStable(t, path), 3, 3, "b")
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	mustHaveVoted(t, mustStable(t, path), 3, 3, "a")
}

func TestDamageOfBothSlotsIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stable")
	mustVote(t, mustStable(t, path), 3, "a")
	if err := os.WriteFile(path, make([]byte, 2*slotSize), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStable(path); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("open: %v", err)
	}
}

func TestNoChangeWritesNothing(t *testing.T) {
	s := mustStable(t, filepath.Join(t.TempDir(), "stable"))
	mustVote(t, s, 3, "a")
	before := s.sequence
	mustVote(t, s, 3, "a")
	if s.sequence != before {
		t.Fatalf("%d writes for nothing", s.sequence-before)
	}
}
