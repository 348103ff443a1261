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

func TestTornWriteLeavesTheValuesBefore(t *testing.T) {
	for _, damage := range []string{"head", "body", "cut off"} {
		t.Run(damage, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "stable")
			s := mustStable(t, path)
			mustVote(t, s, 3, "a")
			newest := int64(s.sequence+1) % 2 * slotSize
			mustVote(t, s, 3, "b") // one write: the term is the same
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			file, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			switch damage {
			case "head":
				_, err = file.WriteAt([]byte{0xff}, newest+5)
			case "body":
				_, err = file.WriteAt([]byte{0xff}, newest+slotHead+9)
			case "cut off":
				if newest == 0 {
					t.Skip("the newest slot is the first one")
				}
				err = file.Truncate(newest + 100)
			}
			if err != nil {
				t.Fatal(err)
			}
			mustHaveVoted(t, mustStable(t, path), 3, 3, "a")
		})
	}
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
