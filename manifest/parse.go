package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// API versions of a manifest.
const (
	// APIVersion is the current one.
	APIVersion = "v1"
	// APIVersionDeprecated is accepted as input with a warning.
	APIVersionDeprecated = "v0.1"
)

// MaxSize is the largest manifest that is read, in bytes: what one write may
// carry, and some room for what YAML adds.
const MaxSize = 32 << 20

// Options tell how strictly a manifest is read.
type Options struct {
	// Strict makes an unknown field an error; without it, it is a warning.
	Strict bool
}

// Manifest is what a user wrote.
type Manifest struct {
	// Workloads, sorted by name.
	Workloads []*argosyv1.Workload
	// Warnings are texts for people, in the order of the text.
	Warnings []string
}

// Parse reads a manifest: one YAML document, or several whose workloads are
// taken together. What it returns has passed Validate. All errors wrap
// ErrInvalid and say where they are; several are joined.
func Parse(text []byte, options Options) (*Manifest, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("%w: it is %d bytes long, at most %d are read: split it into several", ErrInvalid, len(text), MaxSize)
	}
	docs, err := parseDocuments(text)
	if err != nil {
		return nil, err
	}
	if len(docs) == 0 {
		return nil, fmt.Errorf("%w: it is empty: write 'apiVersion: %s' and workloads", ErrInvalid, APIVersion)
	}
	r := &reader{options: options, manifest: &Manifest{}, names: map[string]*token.Token{}}
	for _, doc := range docs {
		r.doc = doc
		r.root()
	}
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	slices.SortFunc(r.manifest.Workloads, func(a, b *argosyv1.Workload) int { return strings.Compare(a.GetName(), b.GetName()) })
	return r.manifest, nil
}

// maxErrors bounds how many errors one parse reports.
const maxErrors = 10

type reader struct {
	options    Options
	doc        *document
	deprecated bool
	manifest   *Manifest
	names      map[string]*token.Token
	errs       []error
}

func (r *reader) fail(err error) {
	if len(r.errs) < maxErrors {
		r.errs = append(r.errs, err)
	}
}

func (r *reader) root() {
	fields, err := r.doc.mapping(r.doc.body, "a manifest")
	if err != nil {
		r.fail(err)
		return
	}
	if !r.version(fields) {
		return
	}
	for _, f := range fields {
		switch f.key {
		case "apiVersion":
		case "workloads":
			r.workloads(f)
		case "configs":
			r.notYet(f)
		default:
			r.unknown(f, "at the top level; known are apiVersion, workloads and configs")
		}
	}
}

func (r *reader) version(fields []field) bool {
	for _, f := range fields {
		if f.key != "apiVersion" {
			continue
		}
		version, err := r.doc.scalar(f.value, "apiVersion")
		switch {
		case err != nil:
			r.fail(err)
			return false
		case version == APIVersion:
			r.deprecated = false
			return true
		case version == APIVersionDeprecated:
			r.deprecated = true
			r.warn(f.token, "apiVersion '%s' is deprecated: use '%s'", version, APIVersion)
			return true
		default:
			r.fail(errorAt(f.value.GetToken(), "Unsupported API version. Received '%s', expected '%s'", shorten(version), APIVersion))
			return false
		}
	}
	r.fail(errorAt(r.doc.body.GetToken(), "Unsupported API version. Received '', expected '%s': add the line 'apiVersion: %s'", APIVersion, APIVersion))
	return false
}

func (r *reader) workloads(f field) {
	entries, err := r.doc.mapping(f.value, "workloads")
	if err != nil {
		r.fail(err)
		return
	}
	for _, entry := range entries {
		if first, ok := r.names[entry.key]; ok {
			r.fail(errorAt(entry.token, "Multiple workloads with the same name '%s' found: the first is in line %d", shorten(entry.key), first.Position.Line))
			continue
		}
		r.names[entry.key] = entry.token
		r.workload(entry)
	}
}

func (r *reader) workload(entry field) {
	fields, err := r.doc.mapping(entry.value, "workload '"+shorten(entry.key)+"'")
	if err != nil {
		r.fail(err)
		return
	}
	w := &argosyv1.Workload{Name: entry.key}
	at := map[string]*token.Token{"": entry.token}
	failed := false
	for _, f := range fields {
		at[f.key] = f.token
		if f.value != nil && f.value.GetToken() != nil {
			at[f.key] = f.value.GetToken()
		}
		if err := r.workloadField(w, f); err != nil {
			r.fail(err)
			failed = true
		}
	}
	if failed {
		return
	}
	if err := Validate(w); err != nil {
		var wrong *FieldError
		if !errors.As(err, &wrong) {
			r.fail(err)
			return
		}
		tok, ok := at[wrong.Field]
		if !ok {
			tok = entry.token
		}
		r.fail(errorAt(tok, "%s", wrong.Error()))
		return
	}
	r.manifest.Workloads = append(r.manifest.Workloads, w)
}

func (r *reader) workloadField(w *argosyv1.Workload, f field) (err error) {
	switch f.key {
	case "agent":
		w.Agent, err = r.doc.scalar(f.value, "agent")
	case "runtime":
		w.Runtime, err = r.doc.scalar(f.value, "runtime")
	case "runtimeConfig":
		w.RuntimeConfig, err = r.doc.scalar(f.value, "runtimeConfig")
	case "restartPolicy":
		w.RestartPolicy, err = r.restartPolicy(f)
	case "tags":
		w.Tags, err = r.tags(w.GetName(), f)
	case "dependencies", "configs", "files", "controlInterfaceAccess":
		r.notYet(f)
	default:
		r.unknown(f, "in workload '"+shorten(w.GetName())+"'")
	}
	return err
}

var restartPolicies = map[string]argosyv1.RestartPolicy{
	"":           argosyv1.RestartPolicy_RESTART_POLICY_NEVER,
	"NEVER":      argosyv1.RestartPolicy_RESTART_POLICY_NEVER,
	"ON_FAILURE": argosyv1.RestartPolicy_RESTART_POLICY_ON_FAILURE,
	"ALWAYS":     argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS,
}

func (r *reader) restartPolicy(f field) (argosyv1.RestartPolicy, error) {
	text, err := r.doc.scalar(f.value, "restartPolicy")
	if err != nil {
		return 0, err
	}
	policy, ok := restartPolicies[text]
	if !ok {
		return 0, errorAt(f.value.GetToken(), "'%s' is not a restart policy: use NEVER, ON_FAILURE or ALWAYS", shorten(text))
	}
	return policy, nil
}

func (r *reader) tags(workload string, f field) (map[string]string, error) {
	node, err := r.doc.resolve(f.value)
	if err != nil {
		return nil, err
	}
	list, isList := node.(*ast.SequenceNode)
	if !isList {
		fields, err := r.doc.mapping(node, "tags")
		if err != nil {
			return nil, err
		}
		if r.deprecated && len(fields) > 0 {
			return nil, errorAt(f.token, "For API version 'v0.1', tags must be specified as a sequence (list of key-value entries). Found tags as mapping for workload '%s'.", shorten(workload))
		}
		return r.texts(fields, "a tag")
	}
	if !r.deprecated {
		return nil, errorAt(f.token, "For API version 'v1', tags must be specified as a mapping (key-value pairs). Found tags as sequence for workload '%s'.", shorten(workload))
	}
	tags := map[string]string{}
	for _, item := range list.Values {
		pair, err := r.doc.mapping(item, "a tag")
		if err != nil {
			return nil, err
		}
		texts, err := r.texts(pair, "a tag")
		if err != nil {
			return nil, err
		}
		key, ok := texts["key"]
		if !ok {
			return nil, errorAt(item.GetToken(), "a tag needs a key and a value")
		}
		tags[key] = texts["value"]
	}
	return tags, nil
}

func (r *reader) texts(fields []field, what string) (map[string]string, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	texts := make(map[string]string, len(fields))
	for _, f := range fields {
		text, err := r.doc.scalar(f.value, what)
		if err != nil {
			return nil, err
		}
		texts[f.key] = text
	}
	return texts, nil
}

// notYet refuses a field that has a meaning which this version does not carry
// out: a workload that silently lost its dependencies would be worse than an
// error. An empty one is accepted.
func (r *reader) notYet(f field) {
	node, err := r.doc.resolve(f.value)
	if err != nil {
		r.fail(err)
		return
	}
	switch n := node.(type) {
	case *ast.NullNode, nil:
		return
	case *ast.MappingNode:
		if len(n.Values) == 0 {
			return
		}
	case *ast.SequenceNode:
		if len(n.Values) == 0 {
			return
		}
	}
	r.fail(errorAt(f.token, "'%s' is not supported by this version yet: remove it", f.key))
}

func (r *reader) unknown(f field, where string) {
	if r.options.Strict {
		r.fail(errorAt(f.token, "unknown field '%s' %s", shorten(f.key), where))
		return
	}
	r.warn(f.token, "unknown field '%s' %s is ignored", shorten(f.key), where)
}

func (r *reader) warn(tok *token.Token, format string, args ...any) {
	r.manifest.Warnings = append(r.manifest.Warnings, fmt.Sprintf("line %d: ", tok.Position.Line)+fmt.Sprintf(format, args...))
}
