package evidence

import (
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// Entry 8 of 20 is missing, which only a snapshot can explain that was taken over
// and ended there.
func TestAHoleInALogIsDamageUnlessASnapshotExplainsIt(t *testing.T) {
	for name, tc := range map[string]struct {
		snapshots []uint64
		damaged   int
	}{
		"there is no snapshot":                  {nil, 1},
		"a snapshot ends there":                 {[]uint64{8}, 0},
		"the newest but one ends there":         {[]uint64{15, 8}, 0},
		"the only snapshot ends after it":       {[]uint64{12}, 1},
		"the only snapshot ends before it":      {[]uint64{7}, 1},
		"snapshots end before and after it":     {[]uint64{15, 6}, 1},
		"older snapshots may have been removed": {[]uint64{15, 12}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			store, err := storage.Open(storage.DefaultConfig(dir))
			if err != nil {
				t.Fatal(err)
			}
			for index := range uint64(20) {
				if err := store.StoreLog(&raft.Log{Index: index + 1, Term: 1, Data: []byte("entry")}); err != nil {
					t.Fatal(err)
				}
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			bolt, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, "raft.db")})
			if err != nil {
				t.Fatal(err)
			}
			if err := bolt.DeleteRange(8, 8); err != nil {
				t.Fatal(err)
			}
			if err := bolt.Close(); err != nil {
				t.Fatal(err)
			}
			if store, err = storage.Open(storage.DefaultConfig(dir)); err != nil {
				t.Fatal(err)
			}
			d := &directory{store: store}
			defer func() {
				if err := d.close(); err != nil {
					t.Error(err)
				}
			}()
			for _, index := range tc.snapshots {
				d.kept = append(d.kept, &raft.SnapshotMeta{Index: index})
			}
			if err := d.extent(); err != nil {
				t.Fatal(err)
			}
			if len(d.replica.Damaged) != tc.damaged || d.replica.First != 9 || d.replica.Last != 20 {
				t.Errorf("damaged %q, read from %d to %d", d.replica.Damaged, d.replica.First, d.replica.Last)
			}
		})
	}
}
