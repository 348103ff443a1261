package manifest

import (
	"go.yaml.in/yaml/v4"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func (r *reader) config(e entry) {
	if err := validateConfigKey(e.key); err != nil {
		r.fail(e.at.fail("%s", err.Error()))
		return
	}
	c := &configReader{document: r.doc}
	item, err := c.item(e.value, 1)
	if err == nil {
		err = ValidateConfig(e.key, item)
	}
	if err != nil {
		r.fail(err)
		return
	}
	r.manifest.Configs = append(r.manifest.Configs, &argosyv1.Config{Key: e.key, Value: item})
}

// configReader reads one config. What ValidateConfig asks of it is looked at
// part by part, before more is read: aliases can make much of little.
type configReader struct {
	*document
	size int
}

func (r *configReader) item(node *yaml.Node, depth int) (*argosyv1.ConfigItem, error) {
	resolved, err := r.resolve(node)
	if err != nil {
		return nil, err
	}
	if depth > MaxConfigDepth {
		return nil, r.fail(node, "a config may be nested at most %d levels deep", MaxConfigDepth)
	}
	if r.size += configItemSize + len(resolved.Value); r.size > MaxConfigSize {
		return nil, r.fail(node, "a config may be at most %d bytes large", MaxConfigSize)
	}
	switch resolved.Kind {
	case yaml.SequenceNode:
		return r.items(resolved, depth)
	case yaml.MappingNode:
		return r.fields(resolved, depth)
	}
	switch kind := kindOf(resolved); kind {
	case "nothing":
		return nil, r.fail(node, "a config must be a text, a list or a mapping, found nothing: write \"\" for an empty text")
	case "a text":
		return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Text{Text: resolved.Value}}, nil
	default:
		return nil, r.fail(node, "a config must be a text, a list or a mapping, found %s: put it in quotes: \"%s\"", kind, shorten(resolved.Value))
	}
}

func (r *configReader) items(list *yaml.Node, depth int) (*argosyv1.ConfigItem, error) {
	items := &argosyv1.ConfigList{}
	for _, one := range list.Content {
		item, err := r.item(one, depth+1)
		if err != nil {
			return nil, err
		}
		items.Items = append(items.Items, item)
	}
	return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_List{List: items}}, nil
}

func (r *configReader) fields(mapping *yaml.Node, depth int) (*argosyv1.ConfigItem, error) {
	entries, err := r.mapping(mapping, "a config")
	if err != nil {
		return nil, err
	}
	items := &argosyv1.ConfigMap{Items: make(map[string]*argosyv1.ConfigItem, len(entries))}
	for _, e := range entries {
		if err := validateConfigKey(e.key); err != nil {
			return nil, e.at.fail("%s", err.Error())
		}
		r.size += len(e.key)
		item, err := r.item(e.value, depth+1)
		if err != nil {
			return nil, err
		}
		items.Items[e.key] = item
	}
	return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Map{Map: items}}, nil
}
