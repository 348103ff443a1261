package rebuild

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// Rebuild is one time that a server was opened anew because of damage.
type Rebuild struct {
	// Number counts the rebuilds of the data directory, from 1.
	Number uint64 `json:"number"`
	// Time it happened.
	Time time.Time `json:"time"`
	// Reason is what was found.
	Reason string `json:"reason"`
	// Old is the id that was given up and New the one after it; both empty when
	// only memory was damaged.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
	// Quarantine is where the damaged data was put.
	Quarantine string `json:"quarantine,omitempty"`
}

// Rebuilds are those of a data directory, the oldest first.
type Rebuilds []Rebuild

// kept is how many rebuilds are remembered.
const kept = 16

func historyPath(dataDir string) string { return filepath.Join(dataDir, "rebuilds") }

// History returns the last rebuilds of a data directory.
func History(dataDir string) (Rebuilds, error) {
	text, err := os.ReadFile(historyPath(dataDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read rebuilds: %w", err)
	}
	var all Rebuilds
	if err := json.Unmarshal(text, &all); err != nil {
		// It is only for the limit and for people; the data itself is elsewhere.
		return nil, nil
	}
	return all, nil
}

func (r Rebuilds) since(from time.Time) int {
	n := 0
	for _, one := range r {
		if one.Time.After(from) {
			n++
		}
	}
	return n
}

// Total returns how many there were, those that are not remembered included.
func (r Rebuilds) Total() uint64 {
	if len(r) == 0 {
		return 0
	}
	return r[len(r)-1].Number
}

func (r Rebuilds) add(one Rebuild) Rebuilds {
	one.Number = r.Total() + 1
	all := append(r, one)
	return all[max(0, len(all)-kept):]
}

func (r Rebuilds) write(dataDir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode rebuilds: %w", err)
	}
	if err := storage.WriteFile(historyPath(dataDir), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write rebuilds: %w", err)
	}
	return nil
}
