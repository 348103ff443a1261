package storage

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

var three = raft.Configuration{Servers: []raft.Server{
	{Suffrage: raft.Voter, ID: "d32cd361-69be", Address: "127.0.1.1:25552"},
	{Suffrage: raft.Voter, ID: "0d666960-2670", Address: "127.0.1.2:25552"},
	{Suffrage: raft.Nonvoter, ID: "eb686734-9847", Address: "127.0.1.3:25552"},
}}

func mustSnapshot(t *testing.T, store raft.SnapshotStore) string {
	t.Helper()
	_, transport := raft.NewInmemTransport("")
	sink, err := store.Create(raft.SnapshotVersionMax, 12, 3, three, 9, transport)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(sink, "state"); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	return sink.ID()
}

// What a snapshot says of itself comes back as it was written, or not at all,
// whichever bit of it changes.
func TestWhatIsSaidOfASnapshotIsGuarded(t *testing.T) {
	dir := t.TempDir()
	store, err := OpenSnapshots(dir, 2, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	id := mustSnapshot(t, store)
	want, content, err := store.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := content.Close(); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(want.Configuration, three) || want.Index != 12 || want.Term != 3 || want.ConfigurationIndex != 9 {
		t.Fatalf("it is %+v", want)
	}
	for _, name := range []string{"meta.json", "seal"} {
		path := filepath.Join(dir, SnapshotsDir, id, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		refused := 0
		for bit := range 8 * len(whole) {
			damaged := append([]byte(nil), whole...)
			damaged[bit/8] ^= 1 << (bit % 8)
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			got, content, err := store.Open(id)
			if err != nil {
				refused++
				continue
			}
			if err := content.Close(); err != nil {
				t.Fatal(err)
			}
			// Raft does not use them where there is a configuration.
			got.Peers = want.Peers
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s with bit %d of byte %d changed is taken for %+v", name, bit%8, bit/8, got)
			}
		}
		if refused < 4*len(whole) {
			t.Errorf("of %d bits of %s, %d matter", 8*len(whole), name, refused)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// It is said to be damage, which the server is rebuilt for.
	path := filepath.Join(dir, SnapshotsDir, id, "seal")
	if err := os.WriteFile(path, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Open(id); !errors.Is(err, ErrCorrupt) {
		t.Errorf("with another seal: %v", err)
	}
}

func TestASnapshotOfBeforeSealsIsTaken(t *testing.T) {
	dir := t.TempDir()
	before, err := raft.NewFileSnapshotStoreWithLogger(dir, 2, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	id := mustSnapshot(t, before)
	store, err := OpenSnapshots(dir, 2, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	_, content, err := store.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := content.Close(); err != nil {
		t.Fatal(err)
	}
}
