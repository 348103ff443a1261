package writer

import (
	"fmt"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"google.golang.org/protobuf/proto"
)

// RequestIDLength is the length in bytes of a request id.
const RequestIDLength = 16

// Validator says what is wrong with one workload by itself.
type Validator func(*argosyv1.Workload) error

// prepared is what can be told of a request without the state. It is worked out
// by the goroutine that submits, so that the writer's own does as little as
// possible for each request.
type prepared struct {
	requestID [RequestIDLength]byte
	puts      []put
	size      int
}

// put is one workload of an Apply, ready to become part of an entry.
type put struct {
	name     string
	agent    string
	instance string
	// record is the whole encoded field of Entry.
	record []byte
	// value is the part of record that is the workload.
	value []byte
}

func (r *Request) prepare(check Validator, cfg *Config) error {
	if r.Change != nil {
		return nil
	}
	id := r.id()
	if len(id) != RequestIDLength {
		return invalid("check request: request_id has %d bytes, want %d (a UUID chosen by the client)", len(id), RequestIDLength)
	}
	r.requestID = [RequestIDLength]byte(id)
	if r.Delete != nil {
		return r.prepareDelete(cfg)
	}
	return r.prepareApply(check, cfg)
}

func (r *Request) prepareApply(check Validator, cfg *Config) error {
	given := r.Apply.GetWorkloads()
	if err := checkCount("apply", len(given), cfg); err != nil {
		return err
	}
	if a := r.Apply; len(a.GetConfigs())+len(a.GetDeleteWorkloads())+len(a.GetDeleteConfigs())+len(a.GetAgentTags())+len(a.GetExpected()) > 0 || a.GetDryRun() || a.GetOnBehalfOf() != nil {
		return invalid("apply workloads: the request asks for more than workloads, which this server does not do yet; upgrade the servers before the clients")
	}
	total := 0
	workloads := make([]*argosyv1.Workload, len(given))
	sizes := make([]int, len(given))
	for i, w := range given {
		if w == nil {
			return invalid("apply workloads: the workload at position %d is empty", i)
		}
		if len(w.ProtoReflect().GetUnknown()) > 0 {
			return invalid("apply workload %q: it has fields that this server does not know; upgrade the servers before the clients", w.GetName())
		}
		if err := check(w); err != nil {
			return invalid("apply workloads: %v", err)
		}
		workloads[i] = userPart(w)
		sizes[i] = proto.Size(workloads[i])
		if total += sizes[i]; total > cfg.MaxApplyBytes {
			return invalid("apply workloads: together larger than %d bytes; apply them in several requests", cfg.MaxApplyBytes)
		}
	}
	if name, twice := firstRepeated(workloads); twice {
		return invalid("apply workload %q: named twice in one request", name)
	}
	r.puts = make([]put, len(workloads))
	for i, w := range workloads {
		record, value, err := encodePut(w, sizes[i])
		if err != nil {
			return invalid("apply workload %q: encode: %v", w.GetName(), err)
		}
		r.puts[i] = put{
			name:     w.GetName(),
			agent:    w.GetAgent(),
			instance: argosyv1.InstanceID(w.GetRuntimeConfig()),
			record:   record,
			value:    value,
		}
		r.size += len(record)
	}
	return nil
}

func (r *Request) prepareDelete(cfg *Config) error {
	if len(r.Delete.GetConfigs()) > 0 || r.Delete.GetDryRun() {
		return invalid("delete workloads: the request asks for more than that, which this server does not do yet; upgrade the servers before the clients")
	}
	names := r.Delete.GetNames()
	if err := checkCount("delete", len(names), cfg); err != nil {
		return err
	}
	seen := make(map[string]struct{}, len(names))
	for _, name := range names {
		if _, twice := seen[name]; twice {
			return invalid("delete workload %q: named twice in one request", name)
		}
		seen[name] = struct{}{}
		r.size += len(name) + recordOverhead
	}
	return nil
}

func checkCount(verb string, n int, cfg *Config) error {
	switch {
	case n == 0:
		return invalid("%s workloads: the request names none", verb)
	case n > cfg.MaxWorkloads:
		return invalid("%s workloads: %d in one request, at most %d are allowed; split it", verb, n, cfg.MaxWorkloads)
	}
	return nil
}

// userPart returns the workload without the fields that only the server fills
// in. The request's own message is left as it is.
func userPart(w *argosyv1.Workload) *argosyv1.Workload {
	if w.GetCreatedRevision() == 0 && w.GetRevision() == 0 && w.GetRendered() == nil && !w.GetDisplacing() {
		return w
	}
	return &argosyv1.Workload{
		Name:          w.GetName(),
		Agent:         w.GetAgent(),
		Runtime:       w.GetRuntime(),
		RuntimeConfig: w.GetRuntimeConfig(),
		RestartPolicy: w.GetRestartPolicy(),
		Tags:          w.GetTags(),
	}
}

func firstRepeated(workloads []*argosyv1.Workload) (string, bool) {
	if len(workloads) < 2 {
		return "", false
	}
	seen := make(map[string]struct{}, len(workloads))
	for _, w := range workloads {
		if _, twice := seen[w.GetName()]; twice {
			return w.GetName(), true
		}
		seen[w.GetName()] = struct{}{}
	}
	return "", false
}

func invalid(format string, args ...any) error {
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "%s", fmt.Sprintf(format, args...))
}
