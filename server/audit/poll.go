package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// votes is what the voters say of a revision.
type votes struct {
	voters   int
	hashes   map[string]Hash // by server
	unknown  map[string]int  // how often a server answered that it does not know
	majority Hash
}

// unanimous tells whether nobody says anything else.
func (v votes) unanimous(own Hash) bool {
	for _, hash := range v.hashes {
		if hash != own {
			return false
		}
	}
	return true
}

// complete tells whether nothing more is to be expected: who has said often
// enough that it does not know was never at that revision.
func (v votes) complete(voters []string) bool {
	for _, id := range voters {
		if _, told := v.hashes[id]; !told && v.unknown[id] < enoughUnknown {
			return false
		}
	}
	return len(voters) > 0
}

// decided returns the hash that a strict majority of all voters has.
func (v votes) decided() (Hash, bool) {
	count := make(map[Hash]int)
	for _, hash := range v.hashes {
		if count[hash]++; count[hash] >= v.voters/2+1 {
			return hash, true
		}
	}
	return Hash{}, false
}

func (v votes) String() string {
	var all []string
	for id, hash := range v.hashes {
		all = append(all, fmt.Sprintf("%s has %s", id, short(hash)))
	}
	slices.Sort(all)
	return fmt.Sprintf("%s; %d of %d voters told", strings.Join(all, ", "), len(v.hashes), v.voters)
}

// Pauses between two rounds of asking.
const (
	minPause = 50 * time.Millisecond
	maxPause = time.Second
	// askTimeout is how long one round waits for those who say nothing.
	askTimeout = 2 * time.Second
	// enoughUnknown is how often a server that does not know is asked: it may
	// only be slow to come there.
	enoughUnknown = 4
)

// poll asks the voters for their hash at a revision until a majority agrees or
// all have answered. The own hash counts when this server votes; the zero hash
// stands for none.
func (a *Auditor) poll(ctx context.Context, revision uint64, own Hash) (votes, error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Patience)
	defer cancel()
	found := votes{hashes: make(map[string]Hash), unknown: make(map[string]int)}
	pause := minPause
	for {
		voters := a.deps.Peers.Voters()
		found.voters = len(voters)
		found.unknown[a.deps.ServerID] = enoughUnknown
		if own != (Hash{}) && slices.Contains(voters, a.deps.ServerID) {
			found.hashes[a.deps.ServerID] = own
		}
		a.ask(ctx, voters, revision, &found)
		if majority, ok := found.decided(); ok {
			found.majority = majority
			return found, nil
		}
		if found.complete(voters) {
			return found, errUndecided
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, maxPause)
		case <-ctx.Done():
			return found, errUndecided
		}
	}
}

// ask asks those who have not answered yet, all at once, and waits no longer
// than until a majority agrees.
func (a *Auditor) ask(ctx context.Context, voters []string, revision uint64, found *votes) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	type answer struct {
		id   string
		hash Hash
		told bool
		err  error
	}
	answers := make(chan answer, len(voters))
	var asked sync.WaitGroup
	// The last of them is waited for, so that nothing is left behind.
	defer asked.Wait()
	defer cancel()
	open := 0
	for _, id := range voters {
		if _, told := found.hashes[id]; told || id == a.deps.ServerID {
			continue
		}
		open++
		asked.Go(func() {
			hash, known, err := a.deps.Peers.StateHash(ctx, id, revision)
			answers <- answer{id, hash, err == nil && known, err}
		})
	}
	for ; open > 0; open-- {
		one := <-answers
		if !one.told {
			if one.err == nil {
				found.unknown[one.id]++
			}
			continue
		}
		found.hashes[one.id] = one.hash
		if _, ok := found.decided(); ok {
			return
		}
	}
}
