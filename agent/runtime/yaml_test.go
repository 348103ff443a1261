package runtime_test

import (
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/argosy-cluster/argosy/agent/runtime"
)

func TestWrongYAMLIsToldWithItsPlaceAndInWordsOfYAML(t *testing.T) {
	type config struct {
		Text string
		List []string
		Map  map[string]string
		Yes  bool
	}
	for text, want := range map[string]string{
		"text: [x]":            "line 1, column 7: found a list, want a text",
		"text: {a: b}":         "line 1, column 7: found a mapping, want a text",
		"list: [a]\nyes: soon": "line 2, column 6: found a text, want true or false",
		"list: a":              "line 1, column 7: string was used where sequence is expected",
		"map: [a]":             "line 1, column 6: sequence was used where mapping is expected",
		"map: {a: [b]}":        "line 1, column 10: found a list, want a text",
		"list: [[a]]":          "line 1, column 8: found a list, want a text",
		"text: [":              "line 1, column 7: sequence end token ']' not found",
	} {
		var c config
		if got := runtime.TellYAML(yaml.Unmarshal([]byte(text), &c)); got == nil || got.Error() != want {
			t.Errorf("%q: %v, want %s", text, got, want)
		}
	}
}
