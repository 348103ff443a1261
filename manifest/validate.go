package manifest

import (
	"errors"
	"fmt"
	"strings"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Limits of what a workload may be.
const (
	// MaxNameLength is the longest name of a workload or an agent, in
	// characters.
	MaxNameLength = 63
	// MaxRuntimeConfig is the longest runtime configuration, in bytes. It keeps
	// one workload well below what one log entry may carry.
	MaxRuntimeConfig = 1 << 20
	// MaxTags is the greatest number of tags of one workload.
	MaxTags = 256
	// MaxTagLength is the longest key or value of a tag, in bytes.
	MaxTagLength = 4096
)

const nameConstraint = "Only a-z, A-Z, 0-9 chars, underscore (_), and hyphen (-) allowed. Maximum length is 63 characters."

// ErrInvalid is returned (wrapped) for everything that a user wrote wrongly.
var ErrInvalid = errors.New("invalid manifest")

// FieldError says which field of which workload is wrong.
type FieldError struct {
	// Workload is its name as it was written.
	Workload string
	// Field is the key in the manifest; empty when the name itself is wrong.
	Field string
	// Reason is the text for people.
	Reason string
}

func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return fmt.Sprintf("workload '%s', field '%s': %s", e.Workload, e.Field, e.Reason)
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
	if name == "" || len(name) > MaxNameLength || !validChars(name) {
		return &FieldError{Reason: fmt.Sprintf("Unsupported agent name '%s'. %s", shorten(name), nameConstraint)}
	}
	return nil
}

// Validate checks a workload: everything that can be known without the rest of
// the cluster. A runtime that no agent offers is not an error here: which
// runtimes there are is the agent's to know.
func Validate(w *argosyv1.Workload) error {
	if err := ValidateWorkloadName(w.GetName()); err != nil {
		return err
	}
	wrong := func(field, format string, args ...any) error {
		return &FieldError{Workload: w.GetName(), Field: field, Reason: fmt.Sprintf(format, args...)}
	}
	if agent := w.GetAgent(); agent != "" {
		if err := ValidateAgentName(agent); err != nil {
			return wrong("agent", "%s", err.Error())
		}
	}
	switch {
	case w.GetRuntime() == "":
		return wrong("runtime", "is missing: name the runtime, such as podman or process")
	case len(w.GetRuntime()) > MaxNameLength || !validChars(w.GetRuntime()):
		return wrong("runtime", "Unsupported runtime name '%s'. %s", shorten(w.GetRuntime()), nameConstraint)
	case strings.TrimSpace(w.GetRuntimeConfig()) == "":
		return wrong("runtimeConfig", "is missing: it tells the runtime what to start")
	case len(w.GetRuntimeConfig()) > MaxRuntimeConfig:
		return wrong("runtimeConfig", "is %d bytes long, at most %d are allowed", len(w.GetRuntimeConfig()), MaxRuntimeConfig)
	case len(w.GetTags()) > MaxTags:
		return wrong("tags", "has %d entries, at most %d are allowed", len(w.GetTags()), MaxTags)
	}
	if field := notYetSupported(w); field != "" {
		return wrong(field, "is not supported by this version yet: remove it")
	}
	if _, ok := argosyv1.RestartPolicy_name[int32(w.GetRestartPolicy())]; !ok {
		return wrong("restartPolicy", "%d is not a restart policy: use NEVER, ON_FAILURE or ALWAYS", w.GetRestartPolicy())
	}
	for key, value := range w.GetTags() {
		if key == "" || len(key) > MaxTagLength || len(value) > MaxTagLength {
			return wrong("tags", "'%s' is empty or longer than %d bytes", shorten(key), MaxTagLength)
		}
	}
	return nil
}

// notYetSupported returns a field that has a meaning which this version does not
// carry out: a workload that silently lost it would be worse than an error.
func notYetSupported(w *argosyv1.Workload) string {
	switch {
	case len(w.GetDependencies()) > 0:
		return "dependencies"
	case len(w.GetConfigs()) > 0:
		return "configs"
	case len(w.GetFiles()) > 0:
		return "files"
	case w.GetControlInterfaceAccess() != nil:
		return "controlInterfaceAccess"
	}
	return ""
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
