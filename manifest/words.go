package manifest

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// The words of a manifest for what the model has as numbers.
var (
	restartPolicies = map[string]argosyv1.RestartPolicy{
		"NEVER":      argosyv1.RestartPolicy_RESTART_POLICY_NEVER,
		"ON_FAILURE": argosyv1.RestartPolicy_RESTART_POLICY_ON_FAILURE,
		"ALWAYS":     argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS,
	}
	conditions = map[string]argosyv1.DependencyCondition{
		"ADD_COND_RUNNING":   argosyv1.DependencyCondition_DEPENDENCY_CONDITION_RUNNING,
		"ADD_COND_SUCCEEDED": argosyv1.DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED,
		"ADD_COND_FAILED":    argosyv1.DependencyCondition_DEPENDENCY_CONDITION_FAILED,
	}
	operations = map[string]argosyv1.AccessOperation{
		"Nothing":   argosyv1.AccessOperation_ACCESS_OPERATION_NOTHING,
		"Read":      argosyv1.AccessOperation_ACCESS_OPERATION_READ,
		"Write":     argosyv1.AccessOperation_ACCESS_OPERATION_WRITE,
		"ReadWrite": argosyv1.AccessOperation_ACCESS_OPERATION_READ_WRITE,
	}
)

// Types of access rules.
const (
	ruleOfState = "StateRule"
	ruleOfLogs  = "LogRule"
)

// RestartPolicyText returns the word for a restart policy in a manifest.
func RestartPolicyText(policy argosyv1.RestartPolicy) string { return wordOf(restartPolicies, policy) }

// ConditionText returns the word for a condition of a dependency in a manifest.
func ConditionText(condition argosyv1.DependencyCondition) string {
	return wordOf(conditions, condition)
}

// OperationText returns the word for an operation of an access rule in a
// manifest.
func OperationText(operation argosyv1.AccessOperation) string { return wordOf(operations, operation) }

// wordOf returns the word for a number; an unknown number is taken for 0, the
// default.
func wordOf[T cmp.Ordered](words map[string]T, value T) string {
	var zero T
	fallback := ""
	for word, v := range words {
		switch v {
		case value:
			return word
		case zero:
			fallback = word
		}
	}
	return fallback
}

// alternatives lists words in the order of their numbers.
func alternatives[T cmp.Ordered](words map[string]T) string {
	sorted := slices.SortedFunc(maps.Keys(words), func(a, b string) int { return cmp.Compare(words[a], words[b]) })
	return orList(sorted)
}

// orList joins words: a, b or c.
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
