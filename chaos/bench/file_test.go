package bench

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFiguresThatWereNotMeasuredAgainStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "figures.json")
	if err := Write(path, []Result{{Group: "reads", Name: "r"}, {Group: "start", Name: "s1"}, {Group: "start", Name: "s2"}}); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []Result{{Group: "writes", Name: "w"}, {Group: "start", Name: "new"}}); err != nil {
		t.Fatal(err)
	}
	results, err := read(path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range results {
		names = append(names, r.Name)
	}
	if len(names) != 3 || names[0] != "new" || names[1] != "w" || names[2] != "r" {
		t.Errorf("the file has %v", names)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, nil); err == nil {
		t.Error("a damaged file was overwritten")
	}
}
