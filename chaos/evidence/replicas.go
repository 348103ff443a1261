package evidence

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/fsm"
)

// hashEvery is at how many indices between two of them the state of a log is
// hashed, beside those of which there is a snapshot anywhere.
const hashEvery = 256

// Replicas reads the data directories of servers that do not run, without
// changing them. A replica that cannot be read is returned too, and says so; the
// error is about what has nothing to do with any of them.
func Replicas(ctx context.Context, processes []Process) (_ []history.Replica, err error) {
	temporary, err := os.MkdirTemp("", "argosy-evidence-*")
	if err != nil {
		return nil, fmt.Errorf("read replicas: make a directory for copies: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	var found []*directory
	defer func() {
		for _, d := range found {
			err = errors.Join(err, d.close())
		}
	}()
	for _, p := range processes {
		if p.DataDir == "" {
			continue
		}
		d := &directory{replica: history.Replica{Server: p.Name}}
		found = append(found, d)
		if err := guarded(func() error { return d.open(p.DataDir, temporary) }); err != nil {
			d.fail(err)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read replicas: %w", context.Cause(ctx))
		}
	}
	end := committed(found)
	wanted := indices(found, end)
	var replicas []history.Replica
	for _, d := range found {
		if d.store != nil {
			if err := guarded(func() error { return d.read(ctx, end, wanted) }); err != nil {
				d.fail(err)
			}
		}
		replicas = append(replicas, d.replica)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("read replicas: %w", context.Cause(ctx))
	}
	return replicas, nil
}

// guarded makes an error of a panic: stores of others panic when what they read
// is damaged.
func guarded(do func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	return do()
}

// committed returns the highest index that more than half of the logs have with
// one and the same term: what comes after it in any of them nobody was told of.
func committed(found []*directory) uint64 {
	var ends []uint64
	for _, d := range found {
		ends = append(ends, d.end())
	}
	if len(ends) == 0 {
		return 0
	}
	slices.Sort(ends)
	// More than half of them reach so far; what they have there need not be equal.
	for end := ends[(len(ends)-1)/2]; end > 0; end-- {
		terms := map[uint64]int{}
		for _, d := range found {
			if term, ok := d.term(end); ok {
				if terms[term]++; 2*terms[term] > len(found) {
					return end
				}
			}
		}
	}
	return 0
}

// indices returns where the states of the logs are to be hashed.
func indices(found []*directory, end uint64) map[uint64]bool {
	wanted := map[uint64]bool{end: true}
	for index := uint64(hashEvery); index < end; index += hashEvery {
		wanted[index] = true
	}
	for _, d := range found {
		for _, s := range d.replica.Snapshots {
			wanted[s.Index] = true
		}
	}
	return wanted
}

func hashOf(machine *fsm.Machine) string {
	hash := machine.View().Hash()
	return hex.EncodeToString(hash[:])
}
