package consensus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func mustOpenDir(t *testing.T, path string) *dataDir {
	t.Helper()
	d, err := openDataDir(path, argosyv1.FeatureLevel)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.close() })
	return d
}

func TestDirectoryKeepsItsIDs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "data")
	d := mustOpenDir(t, path)
	server, cluster := d.serverID, uuid.NewString()
	if d.cluster() != "" {
		t.Fatalf("an empty directory is of cluster %q", d.cluster())
	}
	if err := errors.Join(d.setCluster(cluster), d.setCluster(cluster), d.close()); err != nil {
		t.Fatal(err)
	}
	d = mustOpenDir(t, path)
	if d.serverID != server || d.cluster() != cluster {
		t.Fatalf("came back as %s of %s, was %s of %s", d.serverID, d.cluster(), server, cluster)
	}
	if err := d.setCluster(uuid.NewString()); !errors.Is(err, ErrClusterID) || !strings.Contains(err.Error(), cluster) {
		t.Fatalf("change of cluster: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("directory is open to others: %v", info.Mode())
	}
}

func TestDirectoryHasOneUser(t *testing.T) {
	path := t.TempDir()
	d := mustOpenDir(t, path)
	_, err := openDataDir(path, argosyv1.FeatureLevel)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Fatalf("second user: %v", err)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	mustOpenDir(t, path)
}

func TestDirectoryThatIsNotWhole(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(path string) error
		says  string
	}{
		"state without an id": {func(path string) error { return os.Mkdir(filepath.Join(path, "raft"), 0o700) }, "no server-id"},
		"cluster without an id": {func(path string) error {
			return os.WriteFile(filepath.Join(path, "cluster-id"), []byte(uuid.NewString()+"\n"), 0o600)
		}, "no server-id"},
		"empty id": {func(path string) error { return os.WriteFile(filepath.Join(path, "server-id"), nil, 0o600) }, "not a UUID"},
		"half an id": {func(path string) error {
			return os.WriteFile(filepath.Join(path, "server-id"), []byte("6ba7b810-9dad"), 0o600)
		}, "not a UUID"},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			if err := test.spoil(path); err != nil {
				t.Fatal(err)
			}
			for range 2 { // and it is not locked by the attempt
				_, err := openDataDir(path, argosyv1.FeatureLevel)
				if !errors.Is(err, ErrDataDir) || !strings.Contains(err.Error(), test.says) {
					t.Fatalf("open: %v", err)
				}
			}
		})
	}
}

func TestClusterIDMustBeAUUID(t *testing.T) {
	d := mustOpenDir(t, t.TempDir())
	for _, id := range []string{"", "my cluster", strings.ToUpper(uuid.NewString())} {
		if err := d.setCluster(id); err == nil && id != "" {
			t.Errorf("accepted %q", id)
		}
	}
}
