package membership

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// trouble is why seeds are not reached, for people who wait for their server to
// join.
type trouble struct {
	lock  sync.Mutex
	seeds map[string]string
}

func (t *trouble) set(seed, why string) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if why == "" {
		delete(t.seeds, seed)
		return
	}
	if t.seeds == nil {
		t.seeds = map[string]string{}
	}
	t.seeds[seed] = why
}

// String returns all of it in one line, "" when there is none.
func (t *trouble) String() string {
	t.lock.Lock()
	defer t.lock.Unlock()
	var all []string
	for seed, why := range t.seeds {
		all = append(all, seed+": "+why)
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// explain says in words for people why a seed was not reached. Who has another
// cluster name or key hangs up without a word, and all that is left of it is that
// the stream ended.
func explain(err error) string {
	switch {
	case err == nil:
		return ""
	case caused(err, io.EOF), caused(err, syscall.ECONNRESET):
		return "it hung up without a word: most likely it has another cluster name (--cluster) or another keyring (--keyring-file)"
	case caused(err, syscall.ECONNREFUSED):
		return "connection refused, nothing listens there: give the gossip address of a server that runs"
	}
	return err.Error()
}

// caused tells whether an error comes from another one. memberlist passes on only
// the text of what its connections met with.
func caused(err, cause error) bool {
	return errors.Is(err, cause) || strings.HasSuffix(err.Error(), ": "+cause.Error())
}

// Trouble says why seeds have not been reached yet, "" when all were.
func (m *Membership) Trouble() string { return m.trouble.String() }
