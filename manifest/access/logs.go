package access

import (
	"regexp"
	"slices"
	"strings"
)

// pattern is a name, or what is before and after a wildcard.
type pattern struct {
	prefix, suffix string
	wild           bool
}

func (p pattern) matches(name string) bool {
	if !p.wild {
		return name == p.prefix
	}
	return len(name) >= len(p.prefix)+len(p.suffix) && strings.HasPrefix(name, p.prefix) && strings.HasSuffix(name, p.suffix)
}

func matches(patterns []pattern, name string) bool {
	return slices.ContainsFunc(patterns, func(p pattern) bool { return p.matches(name) })
}

func parsePatterns(rules []LogRule) ([]pattern, error) {
	var all []pattern
	for _, rule := range rules {
		for _, text := range rule.Workloads {
			p, err := parsePattern(text)
			if err != nil {
				return nil, err
			}
			all = append(all, p)
		}
	}
	return all, nil
}

var nameChars = regexp.MustCompile(`^[a-zA-Z0-9_-]*$`)

func parsePattern(text string) (pattern, error) {
	const wrong = "Log rule validation filed: "
	prefix, suffix, wild := strings.Cut(text, "*")
	if strings.Contains(suffix, "*") {
		return pattern{}, invalidf(wrong + "Expected at most one '*' symbol.")
	}
	what, longest := "workload name", MaxNameLength
	if wild {
		what, longest = "workload name filter with wildcard", MaxPatternLength
	}
	switch {
	case text == "":
		return pattern{}, invalidf(wrong+"Unsupported %s '%s'. Is empty.", what, text)
	case !nameChars.MatchString(prefix + suffix):
		return pattern{}, invalidf(wrong+"Unsupported %s '%s'. Expected to have characters in [a-zA-Z0-9_-].", what, shorten(text))
	case len(text) > longest:
		return pattern{}, invalidf(wrong+"Unsupported %s '%s'. Length %d exceeds the maximum limit of %d characters.", what, shorten(text), len(text), longest)
	}
	return pattern{prefix: prefix, suffix: suffix, wild: wild}, nil
}
