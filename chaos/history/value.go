package history

import (
	"iter"
	"slices"
	"strconv"
	"strings"
)

// valueFlag precedes the value in the runtime configuration of a workload that
// runs.
const valueFlag = "--value"

// Value extracts from a runtime configuration the value that a write of the load
// set. That of an object that nothing runs is its value; that of a probe is a
// command with "--value" and the value, however the list is written. A value may
// have the names of configs in it, each in two braces.
func Value(runtimeConfig string) string {
	_, after, command := strings.Cut(runtimeConfig, valueFlag)
	if !command {
		return strings.TrimSpace(runtimeConfig)
	}
	after = strings.TrimLeftFunc(after, func(r rune) bool { return !alphanumeric(r) })
	end := strings.IndexFunc(after, func(r rune) bool { return !alphanumeric(r) && !strings.ContainsRune("-_.{}", r) })
	if end >= 0 {
		after = after[:end]
	}
	return after
}

func alphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// Uses writes down which configs a workload uses: their keys by the names by which
// its templates know them.
func Uses(configs map[string]string) string {
	all := make([]string, 0, len(configs))
	for alias, key := range configs {
		all = append(all, alias+"="+key)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// EachUse yields what Uses has written down, alias by alias.
func EachUse(uses string) iter.Seq2[string, string] {
	return func(yield func(alias, key string) bool) {
		for each := range strings.FieldsSeq(uses) {
			if alias, key, _ := strings.Cut(each, "="); !yield(alias, key) {
				return
			}
		}
	}
}

const configPrefix = "config-"

// ConfigName is the key of config i of those that configurer n writes.
func ConfigName(n, i int) string {
	return configPrefix + strconv.Itoa(n) + "-" + strconv.Itoa(i)
}

// AskedConfig is the key of the config that asker n writes.
func AskedConfig(n int) string { return configPrefix + "asker-" + strconv.Itoa(n) }

// IsConfig tells whether an object of the load is a config; all others are
// workloads.
func IsConfig(name string) bool { return strings.HasPrefix(name, configPrefix) }

// The names of two workloads of the load of which the one, the user, depends on the
// other running.
const userPrefix, basePrefix = "user-", "base-"

// UserName is the name of the user of couple n, BaseName that of what it depends on.
func UserName(n int) string { return userPrefix + strconv.Itoa(n) }

// BaseName is the name of what the user of couple n depends on.
func BaseName(n int) string { return basePrefix + strconv.Itoa(n) }

// BaseOf returns what a workload of the load depends on; false when it depends on
// nothing.
func BaseOf(workload string) (string, bool) {
	n, found := strings.CutPrefix(workload, userPrefix)
	return basePrefix + n, found
}
