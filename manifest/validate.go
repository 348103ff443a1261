package manifest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Limits of what a workload may be. Together they keep one workload, with what it
// is rendered to, below what one write may carry.
const (
	// MaxNameLength is the longest name of a workload or an agent, in
	// characters.
	MaxNameLength = 63
	// MaxAgentTemplate is the longest template of the name of an agent, in bytes.
	MaxAgentTemplate = 4096
	// MaxRuntimeConfig is the longest runtime configuration, in bytes.
	MaxRuntimeConfig = 1 << 20
	// MaxTags is the greatest number of tags of one workload.
	MaxTags = 256
	// MaxTagLength is the longest key or value of a tag, in bytes.
	MaxTagLength = 4096
	// MaxDependencies is the greatest number of workloads that one depends on.
	MaxDependencies = 256
	// MaxConfigAliases is the greatest number of configs that one workload uses.
	MaxConfigAliases = 256
	// MaxConfigsSize is how large the configs may be in all that one workload uses,
	// in bytes, each counted once and as MaxConfigSize counts.
	MaxConfigsSize = 4 << 20
)

const nameConstraint = "Only a-z, A-Z, 0-9 chars, underscore (_), and hyphen (-) allowed. Maximum length is 63 characters."

// ErrInvalid is returned (wrapped) for everything that a user wrote wrongly.
var ErrInvalid = errors.New("invalid manifest")

// FieldError says which field of which workload, or which config, is wrong.
type FieldError struct {
	// Workload is its name as it was written; empty for a config.
	Workload string
	// Config is its key; empty for a workload.
	Config string
	// Field is the path in the manifest, such as files[0].mountPoint; empty when
	// the name itself is wrong.
	Field string
	// Reason is the text for people.
	Reason string
}

func (e *FieldError) Error() string {
	switch {
	case e.Config != "":
		return fmt.Sprintf("config '%s': %s", e.Config, e.Reason)
	case e.Field == "":
		return e.Reason
	}
	return fmt.Sprintf("workload '%s', field '%s': %s", shorten(e.Workload), shorten(e.Field), e.Reason)
}

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (e *FieldError) Unwrap() error { return ErrInvalid }

// ValidateWorkloadName checks the name of a workload.
func ValidateWorkloadName(name string) error {
	reason := ""
	switch {
	case name == "":
		reason = "Is empty."
	case len(name) > MaxNameLength:
		reason = fmt.Sprintf("Length %d exceeds the maximum limit of %d characters.", len(name), MaxNameLength)
	case !validChars(name):
		reason = "Expected to have characters in [a-zA-Z0-9_-]."
	default:
		return nil
	}
	return &FieldError{Workload: name, Reason: fmt.Sprintf("Unsupported workload name '%s'. %s", shorten(name), reason)}
}

// ValidateAgentName checks the name of an agent; the empty name is refused.
func ValidateAgentName(name string) error {
	if !validKey(name) {
		return &FieldError{Reason: fmt.Sprintf("Unsupported agent name '%s'. %s", shorten(name), nameConstraint)}
	}
	return nil
}

// Validate checks a workload: everything that can be known without the rest of
// the cluster. A runtime that no agent offers is not an error here: which
// runtimes there are is the agent's to know. Of a workload with configs, what is
// a template is checked only once it is rendered: Validate(w.Effective()).
func Validate(w *argosyv1.Workload) error {
	if err := ValidateWorkloadName(w.GetName()); err != nil {
		return err
	}
	for _, check := range []func(*argosyv1.Workload) *FieldError{
		validateAgent, validateRuntime, validateTags, validateDependencies, validateConfigAliases, validateFiles, validateAccess,
	} {
		if err := check(w); err != nil {
			err.Workload = w.GetName()
			return err
		}
	}
	return nil
}

func wrong(field, format string, args ...any) *FieldError {
	return &FieldError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// isTemplate tells whether a text of a workload is rendered before it is used,
// so that its rules hold only then.
func isTemplate(w *argosyv1.Workload, text string) bool {
	return len(w.GetConfigs()) > 0 && strings.Contains(text, "{{")
}

func validateAgent(w *argosyv1.Workload) *FieldError {
	agent := w.GetAgent()
	switch {
	case isTemplate(w, agent) && len(agent) > MaxAgentTemplate:
		return wrong("agent", "is %d bytes long, at most %d are allowed", len(agent), MaxAgentTemplate)
	case agent == "" || isTemplate(w, agent):
		return nil
	}
	if err := ValidateAgentName(agent); err != nil {
		return wrong("agent", "%s", err.Error())
	}
	return nil
}

func validateRuntime(w *argosyv1.Workload) *FieldError {
	switch {
	case w.GetRuntime() == "":
		return wrong("runtime", "is missing: name the runtime, such as podman, podman-kube or process")
	case len(w.GetRuntime()) > MaxNameLength || !validChars(w.GetRuntime()):
		return wrong("runtime", "Unsupported runtime name '%s'. %s", shorten(w.GetRuntime()), nameConstraint)
	case strings.TrimSpace(w.GetRuntimeConfig()) == "":
		return wrong("runtimeConfig", "is missing: it tells the runtime what to start")
	case len(w.GetRuntimeConfig()) > MaxRuntimeConfig:
		return wrong("runtimeConfig", "is %d bytes long, at most %d are allowed", len(w.GetRuntimeConfig()), MaxRuntimeConfig)
	}
	if _, ok := argosyv1.RestartPolicy_name[int32(w.GetRestartPolicy())]; !ok {
		return wrong("restartPolicy", "%d is not a restart policy: use %s", w.GetRestartPolicy(), alternatives(restartPolicies))
	}
	return nil
}

func validateTags(w *argosyv1.Workload) *FieldError {
	if n := len(w.GetTags()); n > MaxTags {
		return wrong("tags", "has %d entries, at most %d are allowed", n, MaxTags)
	}
	for _, key := range slices.Sorted(maps.Keys(w.GetTags())) {
		value := w.GetTags()[key]
		switch {
		case key == "" || len(key) > MaxTagLength:
			return wrong("tags."+key, "'%s' is empty or longer than %d bytes", shorten(key), MaxTagLength)
		case len(value) > MaxTagLength:
			return wrong("tags."+key, "the value is %d bytes long, at most %d are allowed", len(value), MaxTagLength)
		}
	}
	return nil
}

func validateDependencies(w *argosyv1.Workload) *FieldError {
	if n := len(w.GetDependencies()); n > MaxDependencies {
		return wrong("dependencies", "has %d entries, at most %d are allowed", n, MaxDependencies)
	}
	for _, name := range slices.Sorted(maps.Keys(w.GetDependencies())) {
		condition := w.GetDependencies()[name]
		path := "dependencies." + name
		if err := ValidateWorkloadName(name); err != nil {
			return wrong(path, "%s", err.Error())
		}
		if name == w.GetName() {
			return wrong(path, "workload dependency '%s' is part of a cycle.", name)
		}
		if _, ok := argosyv1.DependencyCondition_name[int32(condition)]; !ok {
			return wrong(path, "%d is not a condition of a dependency: use %s", condition, alternatives(conditions))
		}
	}
	return nil
}

func validateConfigAliases(w *argosyv1.Workload) *FieldError {
	if n := len(w.GetConfigs()); n > MaxConfigAliases {
		return wrong("configs", "has %d entries, at most %d are allowed", n, MaxConfigAliases)
	}
	for _, alias := range slices.Sorted(maps.Keys(w.GetConfigs())) {
		key := w.GetConfigs()[alias]
		path := "configs." + alias
		if !validKey(alias) {
			return wrong(path, "Unsupported config alias '%s'. %s", shorten(alias), nameConstraint)
		}
		if !validKey(key) {
			return wrong(path, "Unsupported config reference key '%s'. %s", shorten(key), nameConstraint)
		}
	}
	return nil
}

func validKey(key string) bool {
	return key != "" && len(key) <= MaxNameLength && validChars(key)
}

func validChars(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// shorten keeps a wrong name from flooding an error message.
func shorten(s string) string {
	const longest = 80
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "..."
}
