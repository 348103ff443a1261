package access

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/argosy-cluster/argosy/manifest/mask"
)

// Limits of the rules of one workload.
const (
	// MaxRules is the greatest number of rules.
	MaxRules = 1024
	// MaxEntries is the greatest number of masks and patterns in all rules.
	MaxEntries = 1024
	// MaxNameLength is the longest name of a workload in a log rule, in characters.
	MaxNameLength = 63
	// MaxPatternLength is the longest pattern with a wildcard in a log rule, in
	// characters.
	MaxPatternLength = 64
)

// ErrInvalid is returned (wrapped) for rules that are written wrongly.
var ErrInvalid = errors.New("invalid access rules")

// Operation is what a state rule is about.
type Operation uint8

// Operations. A rule for ReadWrite is one for both.
const (
	Nothing Operation = iota
	Read
	Write
	ReadWrite
)

func (o Operation) reads() bool  { return o == Read || o == ReadWrite }
func (o Operation) writes() bool { return o == Write || o == ReadWrite }

// StateRule is about parts of the state.
type StateRule struct {
	// Operation is what is allowed or denied.
	Operation Operation
	// Masks are the parts, as the user wrote them. A rule without any is about
	// nothing.
	Masks []string
}

// LogRule is about the logs of workloads.
type LogRule struct {
	// Workloads are names, or patterns in which one "*" stands for any text.
	Workloads []string
}

// List is all that is allowed, or all that is denied.
type List struct {
	State []StateRule
	Logs  []LogRule
}

// Rules judge requests. They never change, and may be used by several goroutines.
type Rules struct {
	grants                                    bool
	readable, unreadable, writable, protected *mask.Set
	logs, noLogs                              []pattern
}

// Compile checks rules and makes them ready. Errors wrap ErrInvalid and have the
// texts that users of the reference know.
func Compile(allow, deny List) (*Rules, error) {
	if err := checkSize(allow, deny); err != nil {
		return nil, err
	}
	allowed, err := parseState(allow.State)
	if err != nil {
		return nil, err
	}
	denied, err := parseState(deny.State)
	if err != nil {
		return nil, err
	}
	r := &Rules{
		grants:     len(allow.State)+len(allow.Logs) > 0,
		readable:   gather(allowed, Operation.reads, upward),
		writable:   gather(allowed, Operation.writes, upward),
		unreadable: gather(denied, Operation.reads, effective),
		protected:  gather(denied, Operation.writes, effective),
	}
	if r.logs, err = parsePatterns(allow.Logs); err != nil {
		return nil, err
	}
	if r.noLogs, err = parsePatterns(deny.Logs); err != nil {
		return nil, err
	}
	return r, nil
}

// Grants tells whether there is any allow rule: a workload without one has no
// control interface.
func (r *Rules) Grants() bool { return r.grants }

// MayRead tells whether the state may be read, and its changes be told, by these
// masks. Masks of a request come from mask.ParseSet.
func (r *Rules) MayRead(masks *mask.Set) bool {
	for _, m := range masks.Masks() {
		if !r.readable.Covers(m) || r.unreadable.Overlaps(m) {
			return false
		}
		if pair, ok := m.Pair(); ok && r.unreadable.Overlaps(pair) {
			return false
		}
	}
	return true
}

// MayWrite tells whether the state may be updated by these masks. Masks of a
// request come from mask.ParseSet.
func (r *Rules) MayWrite(masks *mask.Set) bool {
	for _, m := range masks.Masks() {
		if !r.writable.Covers(m) || r.protected.Overlaps(m) {
			return false
		}
	}
	return true
}

// MayTouch tells whether anything at all of what a mask selects may be updated:
// for those who do not know which part of it shall be.
func (r *Rules) MayTouch(m mask.Mask) bool {
	return r.writable.Overlaps(m) && !r.protected.Covers(m)
}

// MayReadLogs tells whether the logs of a workload may be read. A request for
// several must be asked for each.
func (r *Rules) MayReadLogs(workload string) bool {
	return matches(r.logs, workload) && !matches(r.noLogs, workload)
}

func checkSize(allow, deny List) error {
	rules, entries := 0, 0
	for _, list := range []List{allow, deny} {
		rules += len(list.State) + len(list.Logs)
		for _, rule := range list.State {
			entries += len(rule.Masks)
		}
		for _, rule := range list.Logs {
			entries += len(rule.Workloads)
		}
	}
	if rules > MaxRules || entries > MaxEntries {
		return fmt.Errorf("%w: a workload has %d rules with %d masks and workload names, at most %d and %d are allowed: use wildcards", ErrInvalid, rules, entries, MaxRules, MaxEntries)
	}
	return nil
}

// parsed is a mask of a rule.
type parsed struct {
	operation Operation
	mask      mask.Mask
}

func parseState(rules []StateRule) ([]parsed, error) {
	var all []parsed
	for _, rule := range rules {
		if rule.Operation > ReadWrite {
			return nil, fmt.Errorf("%w: %d is not an operation: use Nothing, Read, Write or ReadWrite", ErrInvalid, rule.Operation)
		}
		for _, text := range rule.Masks {
			m, err := parseMask(text)
			if err != nil {
				return nil, err
			}
			all = append(all, parsed{rule.Operation, m})
		}
	}
	return all, nil
}

var ruleMask = regexp.MustCompile(`^(?:\*|[a-zA-Z0-9_-]+)(?:\.(?:\*|[a-zA-Z0-9_-]+))*$`)

func parseMask(text string) (mask.Mask, error) {
	switch {
	case text == "":
		return nil, invalidf("Empty filter masks are not allowed in Control Interface access rules")
	case !ruleMask.MatchString(text):
		return nil, invalidf("Unsupported filter mask '%s'. Only \".\" separated sequences allowed where each part is either a wildcard \"*\" or chars in [a-zA-Z0-9_-]", shorten(text))
	}
	m, err := mask.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return m, nil
}

// gather returns the masks of the rules that an operation is subject to.
func gather(rules []parsed, subject func(Operation) bool, meant func(mask.Mask) []mask.Mask) *mask.Set {
	var all []mask.Mask
	for _, rule := range rules {
		if subject(rule.operation) {
			all = append(all, meant(rule.mask)...)
		}
	}
	return mask.NewSet(all...)
}

// upward returns what an allow rule covers: without the wildcards at its end when
// it begins with one.
func upward(m mask.Mask) []mask.Mask {
	if m[0] == mask.Any {
		for len(m) > 0 && m[len(m)-1] == mask.Any {
			m = m[:len(m)-1]
		}
	}
	return []mask.Mask{m}
}

// effective returns what a deny rule names: what is rendered of something that is
// desired, too.
func effective(m mask.Mask) []mask.Mask {
	if m[0] != "desiredState" {
		return []mask.Mask{m}
	}
	return []mask.Mask{m, append(mask.Mask{"effectiveState"}, m[1:]...)}
}

// invalid has a text that users of the reference know.
type invalid string

func invalidf(format string, args ...any) error { return invalid(fmt.Sprintf(format, args...)) }

func (e invalid) Error() string { return string(e) }

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (e invalid) Unwrap() error { return ErrInvalid }

// shorten keeps a wrong text from flooding an error message.
func shorten(s string) string {
	const longest = 80
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "..."
}
