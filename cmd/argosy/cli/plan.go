package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Words for what a write does.
var (
	kindWords = map[argosyv1.ChangeKind]string{
		argosyv1.ChangeKind_CHANGE_KIND_CREATED:   "created",
		argosyv1.ChangeKind_CHANGE_KIND_UPDATED:   "changed",
		argosyv1.ChangeKind_CHANGE_KIND_UNCHANGED: "unchanged",
		argosyv1.ChangeKind_CHANGE_KIND_DELETED:   "deleted",
		argosyv1.ChangeKind_CHANGE_KIND_MISSING:   "not there",
	}
	effectWords = map[argosyv1.Effect]string{
		argosyv1.Effect_EFFECT_START:   "start",
		argosyv1.Effect_EFFECT_STOP:    "stop",
		argosyv1.Effect_EFFECT_RESTART: "restart",
	}
)

// printPlan shows what a dry run found.
func (a *app) printPlan(response *argosyv1.WriteResponse) {
	result := response.GetResult()
	if rows := planRows(result); len(rows) > 0 {
		t := table{header: []string{"WORKLOAD NAME", "CHANGE", "EFFECT", "AGENT", "WHY"}, rows: rows}
		t.print(a.out)
		fmt.Fprintln(a.out)
	}
	if configs := result.GetConfigs(); len(configs) > 0 {
		t := table{header: []string{"CONFIG", "CHANGE"}}
		for _, change := range configs {
			t.add(change.GetKey(), kindWords[change.GetKind()])
		}
		t.print(a.out)
		fmt.Fprintln(a.out)
	}
	fmt.Fprintf(a.out, "dry run at revision %d, nothing was changed: %s\n", response.GetHeader().GetRevision(), planSummary(result))
}

// planRows are the lines of the table of workloads.
func planRows(result *argosyv1.WriteResult) [][]string {
	var rows [][]string
	for _, change := range result.GetChanges() {
		rows = append(rows, planRow(change, strings.Join(change.GetChangedFields(), ", ")))
	}
	for _, change := range result.GetRendered() {
		rows = append(rows, planRow(change, "its configs change "+strings.Join(change.GetChangedFields(), ", ")))
	}
	return rows
}

func planRow(change *argosyv1.WorkloadChange, why string) []string {
	agent := change.GetAgent()
	if previous := change.GetPreviousAgent(); previous != "" {
		agent = previous + " -> " + cmp.Or(agent, "none")
	}
	if why == "" && change.GetKind() == argosyv1.ChangeKind_CHANGE_KIND_UPDATED {
		why = "written in another way, rendered to the same"
	}
	return []string{change.GetName(), kindWords[change.GetKind()], cmp.Or(effectWords[change.GetEffect()], "none"), agent, why}
}

func planSummary(result *argosyv1.WriteResult) string {
	counts := map[argosyv1.Effect]int{}
	for _, change := range slices.Concat(result.GetChanges(), result.GetRendered()) {
		counts[change.GetEffect()]++
	}
	return fmt.Sprintf("%s would start, %d stop, %d restart", plural(counts[argosyv1.Effect_EFFECT_START], "workload"),
		counts[argosyv1.Effect_EFFECT_STOP], counts[argosyv1.Effect_EFFECT_RESTART])
}
