package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheTableOfFeaturesNamesTestsThatExist keeps the page for those who come from
// Ankaios true: a row says that it is done only when a test shows it.
func TestTheTableOfFeaturesNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("ankaios.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| (\w+) \| .* \| (same|better|not yet) \| .* \| (.*) \|$`)
	named := regexp.MustCompile("`([\\w/-]+): ([\\w.]+)`")
	rows := row.FindAllStringSubmatch(string(text), -1)
	if want := strings.Count(string(text), "\n| ") - 1; len(rows) != want {
		t.Fatalf("%d of %d rows can be read", len(rows), want)
	}
	tests := map[string]string{}
	for _, r := range rows {
		shown := named.FindAllStringSubmatch(r[3], -1)
		if (len(shown) == 0) != (r[2] == "not yet") {
			t.Errorf("row %s is %q and names %d tests", r[1], r[2], len(shown))
		}
		for _, s := range shown {
			if room, name := s[1], s[2]; !exists(t, tests, room, name) {
				t.Errorf("row %s names %s of %s, which does not exist", r[1], name, room)
			}
		}
	}
}

// exists tells whether a room has a test function, or a script, of a name.
func exists(t *testing.T, rooms map[string]string, room, name string) bool {
	t.Helper()
	if strings.HasSuffix(name, ".txtar") {
		_, err := os.Stat(filepath.Join("..", room, "testdata", "script", name))
		return err == nil
	}
	if _, read := rooms[room]; !read {
		files, err := filepath.Glob(filepath.Join("..", room, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
		rooms[room] = all.String()
	}
	return strings.Contains(rooms[room], "\nfunc "+name+"(t *testing.T)")
}
