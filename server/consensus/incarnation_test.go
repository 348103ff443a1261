package consensus

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestDirectoryIsBoundToAnIncarnation(t *testing.T) {
	path := t.TempDir()
	d := mustOpenDir(t, path)
	here := realm{uuid.NewString(), "1-0000000a"}
	if err := d.join(here); err != nil {
		t.Fatal(err)
	}
	for _, other := range []realm{{here.cluster, ""}, {here.cluster, "1-0000000b"}, {here.cluster, "2-0000000a"}} {
		if err := d.join(other); !errors.Is(err, ErrIncarnation) {
			t.Fatalf("joined %v as well: %v", other, err)
		}
	}
	if err := d.join(realm{uuid.NewString(), here.incarnation}); !errors.Is(err, ErrClusterID) {
		t.Fatalf("joined another cluster: %v", err)
	}
	if err := errors.Join(d.join(here), d.close()); err != nil {
		t.Fatal(err)
	}
	if d = mustOpenDir(t, path); d.realm() != here {
		t.Fatalf("came back as %v, was %v", d.realm(), here)
	}
}

func TestDamagedIncarnationIsNotTakenForTheFirst(t *testing.T) {
	for _, text := range []string{"", "first", "1-0000000a\n1-0000000b"} {
		path := t.TempDir()
		if err := os.WriteFile(filepath.Join(path, "incarnation"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openDataDir(path, argosyv1.FeatureLevel); !errors.Is(err, ErrDataDir) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestDirectoryOfBeforeFormatsIsOfTheFirst(t *testing.T) {
	path := t.TempDir()
	d := mustOpenDir(t, path)
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(path, "format")); err != nil {
		t.Fatal(err)
	}
	d = mustOpenDir(t, path)
	if d.format.Version != 1 || d.format.FeatureLevel != 1 {
		t.Fatalf("format %+v", d.format)
	}
	if text, err := os.ReadFile(filepath.Join(path, "format")); err != nil || !strings.Contains(string(text), `"version":1`) {
		t.Fatalf("format was not written down: %q, %v", text, err)
	}
}

func TestDirectoryOfANewerBinaryIsRefused(t *testing.T) {
	for name, test := range map[string]struct{ text, says string }{
		"newer format":  {`{"version":2,"feature_level":1}`, "format 2, this binary knows up to 1"},
		"newer feature": {`{"version":1,"feature_level":9}`, "feature level 9, this binary knows up to 2"},
	} {
		path := t.TempDir()
		if err := os.WriteFile(filepath.Join(path, "format"), []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openDataDir(path, 2); !errors.Is(err, ErrTooNew) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, "format"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(path, 2); !errors.Is(err, ErrDataDir) {
		t.Errorf("half a format: %v", err)
	}
}

func TestRaisedLevelIsRemembered(t *testing.T) {
	path := t.TempDir()
	d := mustOpenDir(t, path)
	if err := errors.Join(d.raise(2), d.raise(1), d.close()); err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(path, 1); !errors.Is(err, ErrTooNew) {
		t.Fatalf("a binary of level 1 opens a directory of level 2: %v", err)
	}
	if d = mustOpenDir(t, path); d.format.FeatureLevel != 2 {
		t.Fatalf("format %+v", d.format)
	}
}

func TestALevelThatCouldNotBeNotedIsNotTakenForNoted(t *testing.T) {
	path := t.TempDir()
	d := mustOpenDir(t, path)
	// Nothing can be put in the place of the file.
	file := filepath.Join(path, "format")
	if err := errors.Join(os.Remove(file), os.MkdirAll(filepath.Join(file, "in-the-way"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.raise(2); err == nil {
			t.Fatal("a level was noted where nothing can be written")
		}
	}
	if err := errors.Join(os.RemoveAll(file), d.raise(2), d.close()); err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(path, 1); !errors.Is(err, ErrTooNew) {
		t.Fatalf("a binary of level 1 opens a directory of level 2: %v", err)
	}
	if err := d.raise(3); !errors.Is(err, ErrStopped) {
		t.Errorf("noted in a directory that others may use: %v", err)
	}
	if d = mustOpenDir(t, path); d.format.FeatureLevel != 2 {
		t.Errorf("format %+v", d.format)
	}
}
