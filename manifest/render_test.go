package manifest

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func textItem(text string) *argosyv1.ConfigItem {
	return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Text{Text: text}}
}

func listItem(texts ...string) *argosyv1.ConfigItem {
	list := &argosyv1.ConfigList{}
	for _, text := range texts {
		list.Items = append(list.Items, textItem(text))
	}
	return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_List{List: list}}
}

func mapItem(items map[string]*argosyv1.ConfigItem) *argosyv1.ConfigItem {
	return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Map{Map: &argosyv1.ConfigMap{Items: items}}}
}

// stock is what configs there are.
var stock = map[string]*argosyv1.ConfigItem{
	"node":  textItem("node1"),
	"wrong": textItem("no/agent"),
	"lines": textItem("one\ntwo"),
	"ports": listItem("80", "443"),
	"web":   mapItem(map[string]*argosyv1.ConfigItem{"image": textItem("nginx"), "tags": listItem("a", "b")}),
	"empty": textItem(""),
	"large": textItem(strings.Repeat("x", MaxRuntimeConfig)),
}

func rendered(w *argosyv1.Workload) (*argosyv1.Rendered, error) {
	return Render(w, func(key string) (*argosyv1.ConfigItem, bool) {
		item, ok := stock[key]
		return item, ok
	})
}

func TestTextsAreRenderedWithTheConfigsThatAreNamed(t *testing.T) {
	w := &argosyv1.Workload{
		Name: "w", Agent: "{{n}}", Runtime: "podman",
		RuntimeConfig: "image: {{w.image}}\nports:\n{{#each p}}\n- {{this}}\n{{/each}}\ntext: |\n  {{> indent content=l}}\n",
		Configs:       map[string]string{"n": "node", "w": "web", "p": "ports", "l": "lines", "unused": "empty"},
	}
	before := proto.CloneOf(w)
	have, err := rendered(w)
	want := &argosyv1.Rendered{Agent: "node1", RuntimeConfig: "image: nginx\nports:\n- 80\n- 443\ntext: |\n  one\n  two"}
	if err != nil || !proto.Equal(have, want) {
		t.Errorf("rendered to\n%v\n%v, want\n%v", have, err, want)
	}
	if !proto.Equal(w, before) {
		t.Error("the workload was written to")
	}
}

func TestWithoutConfigsNothingIsATemplate(t *testing.T) {
	have, err := rendered(&argosyv1.Workload{Name: "w", Runtime: "podman", RuntimeConfig: "{{x"})
	if have != nil || err != nil {
		t.Errorf("rendered to %v, %v", have, err)
	}
}

func TestWhatCannotBeRenderedIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*argosyv1.Workload)
		want   string
	}{
		"a config that is not there": {func(w *argosyv1.Workload) { w.Configs["x"] = "none" }, "Workload references config key 'none' that does not exist: write it into the same manifest, or apply it before"},
		"an unknown name":            {func(w *argosyv1.Workload) { w.RuntimeConfig = "{{y}}" }, "Failed to render field 'runtimeConfig': '"},
		"no template":                {func(w *argosyv1.Workload) { w.Agent = "{{x" }, "Failed to render field 'agent': '"},
		"in a file": {func(w *argosyv1.Workload) {
			w.Files = []*argosyv1.File{{MountPoint: "/f", Content: &argosyv1.File_Data{Data: "{{y}}"}}}
		}, "Failed to render field 'files[0].data': '"},
		"in a binary file": {func(w *argosyv1.Workload) {
			w.Files = []*argosyv1.File{{MountPoint: "/f", Content: &argosyv1.File_BinaryData{BinaryData: "{{y}}"}}}
		}, "Failed to render field 'files[0].binaryData': '"},
		"no name of an agent": {func(w *argosyv1.Workload) { w.Agent, w.Configs["x"] = "{{x}}", "wrong" }, "Unsupported agent name 'no/agent'"},
		"nothing is left":     {func(w *argosyv1.Workload) { w.RuntimeConfig, w.Configs["x"] = "{{x}}", "empty" }, "field 'runtimeConfig': is missing"},
		"too much":            {func(w *argosyv1.Workload) { w.RuntimeConfig, w.Configs["x"] = "{{x}}{{x}}", "large" }, "Failed to render field 'runtimeConfig': '"},
		"too much in all": {func(w *argosyv1.Workload) {
			w.Configs["x"] = "large"
			for range 6 {
				w.Files = append(w.Files, &argosyv1.File{MountPoint: "/f", Content: &argosyv1.File_Data{Data: "{{x}}"}})
			}
		}, "Failed to render field 'files[4].data': '"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &argosyv1.Workload{Name: "w", Agent: "a", Runtime: "podman", RuntimeConfig: "c", Configs: map[string]string{"x": "node"}}
			c.change(w)
			have, err := rendered(w)
			if have != nil || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("rendered to %v, error is %v, want %q", have, err, c.want)
			}
		})
	}
}

// aliases makes a workload that knows configs by so many names.
func aliases(n int, key func(int) string) *argosyv1.Workload {
	w := &argosyv1.Workload{Name: "w", Agent: "a", Runtime: "podman", RuntimeConfig: "{{len a0}}", Configs: map[string]string{}}
	for i := range n {
		w.Configs[fmt.Sprint("a", i)] = key(i)
	}
	return w
}

func TestAConfigCostsOnceHoweverManyNamesItHas(t *testing.T) {
	many := listItem(strings.Split(strings.Repeat("x,", 60_000), ",")...)
	lookup := func(string) (*argosyv1.ConfigItem, bool) { return many, true }
	cost := func(w *argosyv1.Workload) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := Render(w, lookup); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	same := func(int) string { return "many" }
	if one, all := cost(aliases(1, same)), cost(aliases(MaxConfigAliases, same)); all > 2*one {
		t.Errorf("one name costs %d bytes, %d names cost %d", one, MaxConfigAliases, all)
	}
}

func TestTheConfigsOfOneWorkloadAreBoundedTogether(t *testing.T) {
	large := textItem(strings.Repeat("x", MaxConfigSize-100))
	asked := 0
	lookup := func(string) (*argosyv1.ConfigItem, bool) {
		asked++
		return large, true
	}
	other := func(i int) string { return fmt.Sprint("k", i) }
	most := MaxConfigsSize / MaxConfigSize
	if _, err := Render(aliases(most, other), lookup); err != nil {
		t.Error(err)
	}
	asked = 0
	_, err := Render(aliases(MaxConfigAliases, other), lookup)
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), fmt.Sprintf("the configs that it uses are larger than %d bytes together", MaxConfigsSize)) {
		t.Errorf("the error is %v", err)
	}
	if asked > most+1 {
		t.Errorf("%d configs were asked for", asked)
	}
}

func BenchmarkRender(b *testing.B) {
	w := &argosyv1.Workload{
		Name: "w", Agent: "{{n}}", Runtime: "podman",
		RuntimeConfig: "image: {{w.image}}\ncommandOptions: [{{#each p}}\"-p={{this}}\",{{/each}}]\n",
		Configs:       map[string]string{"n": "node", "w": "web", "p": "ports"},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rendered(w); err != nil {
			b.Fatal(err)
		}
	}
}
