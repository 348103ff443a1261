package writer

import (
	"crypto/sha256"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/argosy-cluster/argosy/fsm"
	"github.com/argosy-cluster/argosy/manifest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// RequestIDLength is the length in bytes of a request id.
const RequestIDLength = 16

// Validator says what is wrong with one workload by itself.
type Validator func(*argosyv1.Workload) error

// ConfigValidator says what is wrong with one config by itself, its depth
// included.
type ConfigValidator func(key string, value *argosyv1.ConfigItem) error

// Renderer renders a workload that has configs. lookup returns the value of a
// config by its key, false when there is none.
type Renderer func(w *argosyv1.Workload, lookup func(key string) (*argosyv1.ConfigItem, bool)) (*argosyv1.Rendered, error)

// prepared is what can be told of a request without the state. It is worked out
// by the goroutine that submits, so that the writer's own does as little as
// possible for each request.
type prepared struct {
	requestID [RequestIDLength]byte
	// level is the feature level that it needs.
	level   uint32
	puts    []workloadPut
	configs []configPut
	// depends tells that one of its workloads depends on another, or on itself.
	depends bool
	size    int
}

// put is one object of an Apply, ready to become part of an entry.
type put struct {
	name  string
	group string
	// record is the whole encoded field of Entry.
	record []byte
	// value is the part of record that is the object.
	value []byte
}

// workloadPut is a workload of an Apply. One that has configs is encoded when it
// is rendered.
type workloadPut struct {
	put
	instance string
	message  *argosyv1.Workload
}

func (p *workloadPut) templated() bool { return len(p.message.GetConfigs()) > 0 }

// configPut is a config of an Apply.
type configPut struct {
	put
	message *argosyv1.Config
}

// size is what the row counts in the size of the state.
func (p *put) size() int { return fsm.RowSize(p.name, p.group, len(p.value)) }

func (w *Writer) prepare(r *Request) error {
	if r.Change != nil {
		return nil
	}
	id := r.id()
	if len(id) != RequestIDLength {
		return invalid("check request: request_id has %d bytes, want %d (a UUID chosen by the client)", len(id), RequestIDLength)
	}
	r.requestID = [RequestIDLength]byte(id)
	if r.Delete != nil {
		r.level = r.Delete.NeedsLevel()
		return w.prepareDelete(r)
	}
	if r.Remove != nil {
		if r.Remove.GetName() == "" {
			return invalid("remove agent: the request names none")
		}
		return checkLength("remove agent", r.Remove.GetName())
	}
	r.level = r.Apply.NeedsLevel()
	return w.prepareApply(r)
}

func (w *Writer) prepareApply(r *Request) error {
	a := r.Apply
	count := len(a.GetWorkloads()) + len(a.GetConfigs()) + len(a.GetDeleteWorkloads()) + len(a.GetDeleteConfigs()) + len(a.GetAgentTags())
	if err := w.checkCount("apply", count); err != nil {
		return err
	}
	bytes := 0
	if err := w.prepareWorkloads(r, &bytes); err != nil {
		return err
	}
	if err := w.prepareConfigs(r, &bytes); err != nil {
		return err
	}
	if err := w.prepareTags(r, &bytes); err != nil {
		return err
	}
	if err := w.checkExpected(a.GetExpected()); err != nil {
		return err
	}
	if i := a.GetOnBehalfOf(); i != nil {
		if err := checkLength("apply on behalf of", i.GetWorkload(), i.GetAgent(), i.GetId()); err != nil {
			return err
		}
	}
	return checkNames(r)
}

func (w *Writer) prepareWorkloads(r *Request, bytes *int) error {
	given := r.Apply.GetWorkloads()
	r.puts = make([]workloadPut, len(given))
	for i, g := range given {
		if g == nil {
			return invalid("apply workloads: the workload at position %d is empty", i)
		}
		if unknown(g.ProtoReflect(), len(g.GetFiles()) > 0 || g.GetControlInterfaceAccess() != nil) {
			return invalid("apply workload %q: it has fields that this server does not know; upgrade the servers before the clients", g.GetName())
		}
		if err := w.check(g); err != nil {
			return invalid("apply workloads: %v", err)
		}
		p := &r.puts[i]
		p.message = g.UserPart()
		p.name, p.group = g.GetName(), g.GetAgent()
		r.depends = r.depends || len(g.GetDependencies()) > 0
		size := proto.Size(p.message)
		if err := w.addBytes(bytes, size); err != nil {
			return err
		}
		r.size += size + recordOverhead
		if p.templated() {
			continue
		}
		var err error
		if p.record, p.value, err = encodePut(p.message, size); err != nil {
			return invalid("apply workload %q: encode: %v", p.name, err)
		}
		p.instance = argosyv1.InstanceID(g.GetRuntimeConfig())
	}
	return nil
}

func (w *Writer) prepareConfigs(r *Request, bytes *int) error {
	given := r.Apply.GetConfigs()
	if len(given) == 0 {
		return nil
	}
	r.configs = make([]configPut, len(given))
	for i, g := range given {
		if g == nil {
			return invalid("apply configs: the config at position %d is empty", i)
		}
		if err := w.checkConfig(g.GetKey(), g.GetValue()); err != nil {
			return invalid("apply configs: %v", err)
		}
		if unknown(g.ProtoReflect(), true) {
			return invalid("apply config %q: it has fields that this server does not know; upgrade the servers before the clients", g.GetKey())
		}
		p := &r.configs[i]
		p.message, p.name = g.UserPart(), g.GetKey()
		size := proto.Size(p.message)
		if err := w.addBytes(bytes, size); err != nil {
			return err
		}
		r.size += size + recordOverhead
		var err error
		if p.record, p.value, err = encodePutMessage(kindConfig, p.name, "", p.message, size); err != nil {
			return invalid("apply config %q: encode: %v", p.name, err)
		}
	}
	return nil
}

func (w *Writer) addBytes(bytes *int, size int) error {
	if *bytes += size; *bytes > w.cfg.MaxApplyBytes {
		return invalid("apply workloads: together larger than %d bytes; apply them in several requests", w.cfg.MaxApplyBytes)
	}
	return nil
}

func (w *Writer) prepareDelete(r *Request) error {
	if err := w.checkCount("delete", len(r.Delete.GetNames())+len(r.Delete.GetConfigs())); err != nil {
		return err
	}
	return checkNames(r)
}

func (w *Writer) checkCount(verb string, n int) error {
	switch {
	case n == 0:
		return invalid("%s workloads: the request names none", verb)
	case n > w.cfg.MaxWorkloads:
		return invalid("%s workloads: %d objects in one request, at most %d are allowed; split it", verb, n, w.cfg.MaxWorkloads)
	}
	return nil
}

// checkNames refuses a request that names an object twice: what it wants is not
// clear.
func checkNames(r *Request) error {
	workloads, configs := r.deletes()
	if len(r.puts) < 2 && len(r.configs) < 2 && len(workloads)+len(configs) == 0 {
		return nil
	}
	seen := make(map[rowKey]string, len(r.puts)+len(r.configs)+len(workloads)+len(configs))
	note := func(key rowKey, verb string) error {
		before, twice := seen[key]
		seen[key] = verb
		switch {
		case !twice:
			return nil
		case before != verb:
			return invalid("apply %s: the request asks to apply it and to delete it", objectName(key))
		}
		return invalid("%s %s: named twice in one request", verb, objectName(key))
	}
	for i := range r.puts {
		if err := note(rowKey{kindWorkload, r.puts[i].name}, "apply"); err != nil {
			return err
		}
	}
	for i := range r.configs {
		if err := note(rowKey{kindConfig, r.configs[i].name}, "apply"); err != nil {
			return err
		}
	}
	for _, name := range workloads {
		if err := checkLength("delete workload", name); err != nil {
			return err
		}
		r.size += len(name) + recordOverhead
		if err := note(rowKey{kindWorkload, name}, "delete"); err != nil {
			return err
		}
	}
	for _, key := range configs {
		if err := checkLength("delete config", key); err != nil {
			return err
		}
		r.size += len(key) + recordOverhead
		if err := note(rowKey{kindConfig, key}, "delete"); err != nil {
			return err
		}
	}
	return nil
}

// deletes returns which workloads and configs the request deletes.
func (r *Request) deletes() (workloads, configs []string) {
	if r.Apply != nil {
		return r.Apply.GetDeleteWorkloads(), r.Apply.GetDeleteConfigs()
	}
	return r.Delete.GetNames(), r.Delete.GetConfigs()
}

func (w *Writer) prepareTags(r *Request, bytes *int) error {
	all := r.Apply.GetAgentTags()
	if len(all) == 0 {
		return nil
	}
	seen := make(map[string]struct{}, len(all))
	for _, a := range all {
		if err := checkLength("apply tags of agent", a.GetAgent()); err != nil {
			return err
		}
		if _, twice := seen[a.GetAgent()]; twice {
			return invalid("apply tags of agent %q: named twice in one request", a.GetAgent())
		}
		seen[a.GetAgent()] = struct{}{}
		tags := a.GetTags().GetTags()
		if len(tags) > manifest.MaxTags {
			return invalid("apply tags of agent %q: %d tags, at most %d are allowed", a.GetAgent(), len(tags), manifest.MaxTags)
		}
		for key, value := range tags {
			if key == "" || len(key) > manifest.MaxTagLength || len(value) > manifest.MaxTagLength {
				return invalid("apply tags of agent %q: a key is empty, or a key or value longer than %d bytes; shorten it", a.GetAgent(), manifest.MaxTagLength)
			}
		}
		size := proto.Size(a)
		if err := w.addBytes(bytes, size); err != nil {
			return err
		}
		r.size += size + recordOverhead
	}
	return nil
}

func (w *Writer) checkExpected(all []*argosyv1.ExpectedRevision) error {
	if len(all) > w.cfg.MaxWorkloads {
		return invalid("apply workloads: %d conditions in one request, at most %d are allowed; split it", len(all), w.cfg.MaxWorkloads)
	}
	for _, e := range all {
		if err := checkLength("apply workloads: a condition", e.GetName()); err != nil {
			return err
		}
		if _, ok := rowKindOf(e.GetKind()); !ok {
			return invalid("apply workloads: a condition on %q is for a kind of object (%d) that this server does not know; upgrade the servers before the clients", e.GetName(), e.GetKind())
		}
	}
	return nil
}

// rowKindOf returns which rows are objects of a kind.
func rowKindOf(kind argosyv1.ObjectKind) (argosyv1.RowKind, bool) {
	switch kind {
	case argosyv1.ObjectKind_OBJECT_KIND_WORKLOAD:
		return kindWorkload, true
	case argosyv1.ObjectKind_OBJECT_KIND_CONFIG:
		return kindConfig, true
	case argosyv1.ObjectKind_OBJECT_KIND_AGENT:
		return kindAgent, true
	}
	return 0, false
}

// longestName is the longest that names an object or an instance, in bytes: a
// SHA-256 in hexadecimal.
const longestName = max(manifest.MaxNameLength, 2*sha256.Size)

// checkLength refuses names that nothing can have. Refusals repeat names, and are
// remembered.
func checkLength(verb string, names ...string) error {
	for _, name := range names {
		if len(name) > longestName {
			return invalid("%s %q...: the name has %d bytes, and no name has more than %d; correct it", verb, name[:longestName], len(name), longestName)
		}
	}
	return nil
}

// objectName is what errors call an object.
func objectName(key rowKey) string {
	switch key.kind {
	case kindConfig:
		return fmt.Sprintf("config %q", key.key)
	case kindAgent:
		return fmt.Sprintf("agent %q", key.key)
	}
	return fmt.Sprintf("workload %q", key.key)
}

// unknown tells whether a message has fields that this binary does not know; deep
// tells whether it has messages in it that may, too.
func unknown(m protoreflect.Message, deep bool) (found bool) {
	if len(m.GetUnknown()) > 0 {
		return true
	}
	if !deep {
		return false
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap() && field.MapValue().Message() != nil:
			value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				found = found || unknown(v.Message(), true)
				return !found
			})
		case field.IsMap() || field.Message() == nil:
		case field.IsList():
			for i := 0; i < value.List().Len() && !found; i++ {
				found = unknown(value.List().Get(i).Message(), true)
			}
		default:
			found = unknown(value.Message(), true)
		}
		return !found
	})
	return found
}

func invalid(format string, args ...any) error {
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "%s", fmt.Sprintf(format, args...))
}
