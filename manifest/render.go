package manifest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/argosy-cluster/argosy/manifest/template"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Render renders the texts of a workload that may be templates (its agent, its
// runtime configuration and the contents of its files) with the values of the
// configs that it names, and checks what comes of them as Validate does. lookup
// returns the value of a config by its key, false when there is none. Of a
// workload without configs it returns nil: nothing of it is a template. Errors
// wrap ErrInvalid.
func Render(w *argosyv1.Workload, lookup func(key string) (*argosyv1.ConfigItem, bool)) (*argosyv1.Rendered, error) {
	if len(w.GetConfigs()) == 0 {
		return nil, nil
	}
	r := &renderer{workload: w.GetName(), values: make(template.Map, len(w.GetConfigs())), left: maxRendered}
	if err := r.gather(w.GetConfigs(), lookup); err != nil {
		return nil, err
	}
	rendered := &argosyv1.Rendered{
		Agent:         r.text("agent", w.GetAgent()),
		RuntimeConfig: r.text("runtimeConfig", w.GetRuntimeConfig()),
	}
	for i, file := range w.GetFiles() {
		rendered.Files = append(rendered.Files, r.file(i, file))
	}
	if r.err != nil {
		return nil, r.err
	}
	effective := argosyv1.Shallow(w, "configs")
	effective.Rendered = rendered
	if err := Validate(effective.Effective()); err != nil {
		return nil, err
	}
	return rendered, nil
}

// maxRendered is how large the texts of one workload may be in all once they are
// rendered, in bytes: about what they may be that are not.
const maxRendered = 5 << 20

// renderer renders one workload.
type renderer struct {
	workload string
	values   template.Map
	// left is how many bytes there may still be.
	left int
	// err is the first error.
	err error
}

func (r *renderer) fail(format string, args ...any) error {
	return &FieldError{Workload: r.workload, Reason: fmt.Sprintf(format, args...)}
}

// gather makes the values that the templates know of the configs. A config that has
// several names is made once: it may be large, and there may be many names.
func (r *renderer) gather(configs map[string]string, lookup func(key string) (*argosyv1.ConfigItem, bool)) error {
	made, size := make(map[string]template.Value, len(configs)), 0
	for _, alias := range slices.Sorted(maps.Keys(configs)) {
		key := configs[alias]
		if value, ok := made[key]; ok {
			r.values[alias] = value
			continue
		}
		item, ok := lookup(key)
		if !ok {
			return r.fail("Workload references config key '%s' that does not exist: write it into the same manifest, or apply it before", shorten(key))
		}
		if size += configSize(item); size > MaxConfigsSize {
			return r.fail("the configs that it uses are larger than %d bytes together: use fewer, or divide them so that it uses what it needs", MaxConfigsSize)
		}
		made[key] = valueOf(item)
		r.values[alias] = made[key]
	}
	return nil
}

func (r *renderer) file(i int, file *argosyv1.File) *argosyv1.File {
	field := fmt.Sprintf("files[%d]", i)
	switch content := file.GetContent().(type) {
	case *argosyv1.File_Data:
		return &argosyv1.File{MountPoint: file.GetMountPoint(), Content: &argosyv1.File_Data{Data: r.text(field+".data", content.Data)}}
	case *argosyv1.File_BinaryData:
		return &argosyv1.File{MountPoint: file.GetMountPoint(), Content: &argosyv1.File_BinaryData{BinaryData: r.text(field+".binaryData", content.BinaryData)}}
	}
	return file
}

// text renders one field; the first error ends it for all.
func (r *renderer) text(field, text string) string {
	if r.err != nil {
		return ""
	}
	parsed, err := template.Parse(text)
	if err == nil {
		text, err = parsed.RenderWithin(r.values, min(r.left, MaxRuntimeConfig))
	}
	if err != nil {
		r.err = r.fail("Failed to render field '%s': '%v'", field, err)
	}
	r.left -= len(text)
	return text
}

// valueOf is a config as templates know it.
func valueOf(item *argosyv1.ConfigItem) template.Value {
	switch kind := item.GetKind().(type) {
	case *argosyv1.ConfigItem_Text:
		return template.Text(kind.Text)
	case *argosyv1.ConfigItem_List:
		list := make(template.List, len(kind.List.GetItems()))
		for i, one := range kind.List.GetItems() {
			list[i] = valueOf(one)
		}
		return list
	case *argosyv1.ConfigItem_Map:
		values := make(template.Map, len(kind.Map.GetItems()))
		for key, one := range kind.Map.GetItems() {
			values[key] = valueOf(one)
		}
		return values
	}
	return nil
}
