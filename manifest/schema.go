package manifest

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
)

// Schema returns the JSON schema (draft-07) of a manifest of the current version,
// for editors and for whoever makes manifests by program. It knows each field
// that Parse knows; of the rules between fields (a file within a file, cycles) it
// knows none.
func Schema() []byte {
	root := schemaOf(table)
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = "Argosy manifest"
	root["definitions"] = object{"configItem": object{
		"description": "A text, a list of items or a mapping of items.",
		"oneOf": []object{
			{"type": "string"},
			{"type": "array", "items": refToItem},
			{"type": "object", "propertyNames": schemaName, "additionalProperties": refToItem},
		},
	}}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	// Maps, lists and texts always encode.
	_ = encoder.Encode(root)
	return b.Bytes()
}

var refToItem = object{"$ref": "#/definitions/configItem"}

func schemaOf(s *spec) object {
	var schema object
	switch s.kind {
	case kindText:
		schema = object{"type": "string"}
	case kindLabel:
		schema = object{"type": []string{"string", "number", "boolean"}}
	case kindChoice:
		words := make([]string, len(s.choices))
		for i, c := range s.choices {
			words[i] = c.word
		}
		schema = object{"enum": words}
	case kindObject:
		schema = schemaOfObject(s)
	case kindMap:
		schema = object{"type": []string{"object", "null"}, "propertyNames": s.keys, "additionalProperties": schemaOf(s.element)}
	case kindList:
		schema = object{"type": []string{"array", "null"}, "items": schemaOf(s.element)}
	case kindItem:
		schema = maps.Clone(refToItem)
	}
	maps.Copy(schema, s.schema)
	if s.doc != "" {
		schema["description"] = oneLine(s.doc)
	}
	if s.example != "" {
		schema["examples"] = []string{strings.TrimSpace(s.example)}
	}
	return schema
}

func schemaOfObject(s *spec) object {
	properties := object{}
	var required []string
	for _, f := range s.fields {
		properties[f.name] = schemaOf(f)
		if f.alias != "" {
			properties[f.alias] = schemaOf(f)
		}
		if f.required {
			required = append(required, f.name)
		}
	}
	schema := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
