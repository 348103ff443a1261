package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

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
// carry, and some room for what YAML adds. Of several that are read together it
// bounds the sum.
const MaxSize = 32 << 20

// Options tell how a manifest is read.
type Options struct {
	// Strict makes an unknown field an error; without it, it is a warning.
	Strict bool
	// RequireAgent makes a workload without the field agent an error; without
	// it, such a workload is not scheduled. One with an empty agent is not
	// scheduled either way.
	RequireAgent bool
}

// Source is a text to read.
type Source struct {
	// Name is that of the file, for errors and warnings; may be empty.
	Name string
	// Text is YAML: one document or several.
	Text []byte
}

// Manifest is what a user wrote.
type Manifest struct {
	// Workloads, sorted by name.
	Workloads []*argosyv1.Workload
	// Configs, sorted by key.
	Configs []*argosyv1.Config
	// Warnings are texts for people, in the order of the text.
	Warnings []string
}

// Parse reads a manifest: one YAML document, or several whose workloads and
// configs are taken together. What it returns has passed Validate and
// ValidateConfig. All errors wrap ErrInvalid and say where they are; several are
// joined.
func Parse(text []byte, options Options) (*Manifest, error) {
	return ParseAll([]Source{{Text: text}}, options)
}

// ParseAll reads several manifests and takes them together, as Parse does with
// the documents of one.
func ParseAll(sources []Source, options Options) (*Manifest, error) {
	total, budget := 0, maxAliased
	for _, source := range sources {
		total += len(source.Text)
	}
	if len(sources) > 1 && total > MaxSize {
		return nil, fmt.Errorf("%w: the manifests are %d bytes long together, at most %d are read: read them in several steps", ErrInvalid, total, MaxSize)
	}
	r := &reader{options: options, manifest: &Manifest{}, workloadAt: map[string]place{}, configAt: map[string]place{}}
	for _, source := range sources {
		t := &text{name: source.Name, bytes: source.Text}
		docs, err := t.documents(&budget)
		if err != nil {
			return nil, err
		}
		if len(docs) == 0 {
			return nil, fmt.Errorf("%w: %sit is empty: write 'apiVersion: %s' and workloads", ErrInvalid, t.prefix(), APIVersion)
		}
		for _, doc := range docs {
			r.doc = doc
			r.root()
		}
	}
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	if r.more > 0 {
		r.manifest.Warnings = append(r.manifest.Warnings, fmt.Sprintf("and %d more", r.more))
	}
	slices.SortFunc(r.manifest.Workloads, func(a, b *argosyv1.Workload) int { return strings.Compare(a.GetName(), b.GetName()) })
	slices.SortFunc(r.manifest.Configs, func(a, b *argosyv1.Config) int { return strings.Compare(a.GetKey(), b.GetKey()) })
	return r.manifest, nil
}

// How much one parse reports.
const (
	maxErrors   = 10
	maxWarnings = 50
)

type reader struct {
	options    Options
	doc        *document
	deprecated bool
	manifest   *Manifest
	workloadAt map[string]place
	configAt   map[string]place
	errs       []error
	// more counts warnings beyond those that are reported.
	more int
}

func (r *reader) fail(err error) {
	if len(r.errs) < maxErrors {
		r.errs = append(r.errs, err)
	}
}

func (r *reader) warn(at place, format string, args ...any) {
	if len(r.manifest.Warnings) >= maxWarnings {
		r.more++
		return
	}
	text := fmt.Sprintf("%sline %d: ", at.text.prefix(), at.line) + fmt.Sprintf(format, args...)
	r.manifest.Warnings = append(r.manifest.Warnings, text)
}

func (r *reader) root() {
	entries, err := r.doc.mapping(r.doc.body, "a manifest")
	if err != nil {
		r.fail(err)
		return
	}
	if !r.version(entries) {
		return
	}
	for _, e := range entries {
		switch r.known(table, e, "at the top level") {
		case "workloads":
			r.named(e, r.workloadAt, "workloads", r.workload)
		case "configs":
			r.named(e, r.configAt, "configs", r.config)
		}
	}
}

func (r *reader) version(entries []entry) bool {
	at := slices.IndexFunc(entries, func(e entry) bool { return e.key == "apiVersion" })
	if at < 0 {
		r.fail(r.doc.fail(r.doc.body, "Unsupported API version. Received '', expected '%s': add the line 'apiVersion: %s'", APIVersion, APIVersion))
		return false
	}
	value := entries[at].value
	version, err := r.doc.scalar(value, "apiVersion")
	switch {
	case err != nil:
		r.fail(err)
		return false
	case version == APIVersionDeprecated:
		r.warn(entries[at].at, "apiVersion '%s' is deprecated: use '%s'", version, APIVersion)
	case version != APIVersion:
		r.fail(r.doc.fail(value, "Unsupported API version. Received '%s', expected '%s'", shorten(version), APIVersion))
		return false
	}
	r.deprecated = version == APIVersionDeprecated
	return true
}

// named reads a mapping whose keys must be unique in all that is read together.
func (r *reader) named(e entry, seen map[string]place, what string, read func(entry)) {
	entries, err := r.doc.mapping(e.value, what)
	if err != nil {
		r.fail(err)
		return
	}
	for _, one := range entries {
		if len(r.errs) >= maxErrors {
			return
		}
		if first, ok := seen[one.key]; ok {
			r.fail(one.at.fail("Multiple %s with the same name '%s' found: the first is in %s", what, shorten(one.key), first))
			continue
		}
		seen[one.key] = one.at
		read(one)
	}
}

// known returns the name of the field that an entry is, and complains of one
// that no such object has.
func (r *reader) known(s *spec, e entry, where string) string {
	if f := s.field(e.key); f != nil {
		return f.name
	}
	switch {
	case r.options.Strict && len(r.errs) >= maxErrors:
		return ""
	case !r.options.Strict && len(r.manifest.Warnings) >= maxWarnings:
		r.more++
		return ""
	}
	hint := s.nearest(e.key)
	if hint != "" {
		hint = ": did you mean '" + hint + "'?"
	}
	if r.options.Strict {
		if hint == "" {
			hint = "; known are " + s.names()
		}
		r.fail(e.at.fail("unknown field '%s' %s%s", shorten(e.key), where, hint))
		return ""
	}
	r.warn(e.at, "unknown field '%s' %s is ignored%s", shorten(e.key), where, hint)
	return ""
}

func (r *reader) workload(e entry) {
	entries, err := r.doc.mapping(e.value, "workload '"+shorten(e.key)+"'")
	if err != nil {
		r.fail(err)
		return
	}
	w := &workloadReader{reader: r, workload: &argosyv1.Workload{Name: e.key}, at: map[string]place{"": e.at}}
	failed := false
	for _, one := range entries {
		name := r.known(workloadSpec, one, "in workload '"+shorten(e.key)+"'")
		if name == "" {
			continue
		}
		w.at[name] = r.doc.placeOf(one.value)
		if err := w.read(name, one); err != nil {
			r.fail(err)
			failed = true
		}
	}
	if failed {
		return
	}
	if _, ok := w.at["agent"]; !ok && r.options.RequireAgent {
		r.fail(e.at.fail("No agent name specified -> use '--agent' option to specify! For workload '%s', which shall run nowhere yet, write 'agent: \"\"'", shorten(e.key)))
		return
	}
	if err := Validate(w.workload); err != nil {
		r.fail(locate(err, w.at))
		return
	}
	r.manifest.Workloads = append(r.manifest.Workloads, w.workload)
}

// locate says where a wrong field was written.
func locate(err error, at map[string]place) error {
	var wrong *FieldError
	if !errors.As(err, &wrong) {
		return err
	}
	for path := wrong.Field; ; path = parent(path) {
		if where, ok := at[path]; ok {
			return where.fail("%s", wrong.Error())
		}
	}
}

// parent returns the path without its last part: files[2].data is in files[2],
// which is in files.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// text reads a scalar.
func (r *reader) text(e entry) (string, error) { return r.doc.scalar(e.value, e.key) }

// choose reads one of several words.
func choose[T cmp.Ordered](r *reader, node *yaml.Node, what string, words map[string]T) (value T, err error) {
	word, err := r.doc.scalar(node, what)
	if err != nil {
		return value, err
	}
	value, ok := words[word]
	if !ok {
		return value, r.doc.fail(node, "'%s' is not %s: use %s", shorten(word), what, alternatives(words))
	}
	return value, nil
}
