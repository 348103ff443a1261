package manifest

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Format writes workloads and configs as a manifest that Parse reads back to the
// same. Texts are quoted whenever they are more than a plain word: no library's
// own choice of quotes survives all texts. What workloads are rendered to is
// written when they are given as Workload.Effective.
func Format(workloads []*argosyv1.Workload, configs []*argosyv1.Config) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "apiVersion: %s\n", APIVersion)
	if len(workloads) == 0 {
		b.WriteString("workloads: {}\n")
	} else {
		b.WriteString("workloads:\n")
	}
	sorted := slices.SortedFunc(slices.Values(workloads), func(x, y *argosyv1.Workload) int {
		return strings.Compare(x.GetName(), y.GetName())
	})
	for _, w := range sorted {
		formatWorkload(&b, w)
	}
	if len(configs) > 0 {
		b.WriteString("configs:\n")
	}
	byKey := slices.SortedFunc(slices.Values(configs), func(x, y *argosyv1.Config) int {
		return strings.Compare(x.GetKey(), y.GetKey())
	})
	for _, c := range byKey {
		fmt.Fprintf(&b, "  %s:", quote(c.GetKey()))
		formatItem(&b, c.GetValue(), "    ")
	}
	return b.Bytes()
}

func formatWorkload(b *bytes.Buffer, w *argosyv1.Workload) {
	fmt.Fprintf(b, "  %s:\n", quote(w.GetName()))
	fmt.Fprintf(b, "    agent: %s\n", quote(w.GetAgent()))
	fmt.Fprintf(b, "    runtime: %s\n", quote(w.GetRuntime()))
	fmt.Fprintf(b, "    restartPolicy: %s\n", RestartPolicyText(w.GetRestartPolicy()))
	formatTexts(b, "tags", w.GetTags())
	if len(w.GetDependencies()) > 0 {
		b.WriteString("    dependencies:\n")
	}
	for _, name := range slices.Sorted(maps.Keys(w.GetDependencies())) {
		fmt.Fprintf(b, "      %s: %s\n", quote(name), ConditionText(w.GetDependencies()[name]))
	}
	formatTexts(b, "configs", w.GetConfigs())
	fmt.Fprintf(b, "    runtimeConfig: %s\n", block(w.GetRuntimeConfig(), "      "))
	formatFiles(b, w.GetFiles())
	access := w.GetControlInterfaceAccess()
	if len(access.GetAllowRules())+len(access.GetDenyRules()) > 0 {
		b.WriteString("    controlInterfaceAccess:\n")
		formatRules(b, "allowRules", access.GetAllowRules())
		formatRules(b, "denyRules", access.GetDenyRules())
	}
}

func formatTexts(b *bytes.Buffer, name string, texts map[string]string) {
	if len(texts) > 0 {
		fmt.Fprintf(b, "    %s:\n", name)
	}
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		fmt.Fprintf(b, "      %s: %s\n", quote(key), quote(texts[key]))
	}
}

func formatFiles(b *bytes.Buffer, files []*argosyv1.File) {
	if len(files) > 0 {
		b.WriteString("    files:\n")
	}
	for _, file := range files {
		fmt.Fprintf(b, "      - mountPoint: %s\n", quote(file.GetMountPoint()))
		switch content := file.GetContent().(type) {
		case *argosyv1.File_Data:
			fmt.Fprintf(b, "        data: %s\n", block(content.Data, "          "))
		case *argosyv1.File_BinaryData:
			fmt.Fprintf(b, "        binaryData: %s\n", block(content.BinaryData, "          "))
		}
	}
}

func formatRules(b *bytes.Buffer, name string, rules []*argosyv1.AccessRule) {
	if len(rules) > 0 {
		fmt.Fprintf(b, "      %s:\n", name)
	}
	for _, rule := range rules {
		switch kind := rule.GetKind().(type) {
		case *argosyv1.AccessRule_State:
			fmt.Fprintf(b, "        - type: %s\n", ruleOfState)
			fmt.Fprintf(b, "          operation: %s\n", OperationText(kind.State.GetOperation()))
			fmt.Fprintf(b, "          filterMasks: [%s]\n", quoteAll(kind.State.GetFilterMasks()))
		case *argosyv1.AccessRule_Log:
			fmt.Fprintf(b, "        - type: %s\n", ruleOfLogs)
			fmt.Fprintf(b, "          workloadNames: [%s]\n", quoteAll(kind.Log.GetWorkloadNames()))
		}
	}
}

// formatItem writes a config behind its key or its "-".
func formatItem(b *bytes.Buffer, item *argosyv1.ConfigItem, indent string) {
	switch kind := item.GetKind().(type) {
	case *argosyv1.ConfigItem_Text:
		fmt.Fprintf(b, " %s\n", block(kind.Text, indent))
	case *argosyv1.ConfigItem_List:
		if len(kind.List.GetItems()) == 0 {
			b.WriteString(" []\n")
			return
		}
		b.WriteByte('\n')
		for _, one := range kind.List.GetItems() {
			b.WriteString(indent + "-")
			formatItem(b, one, indent+"  ")
		}
	case *argosyv1.ConfigItem_Map:
		if len(kind.Map.GetItems()) == 0 {
			b.WriteString(" {}\n")
			return
		}
		b.WriteByte('\n')
		for _, key := range slices.Sorted(maps.Keys(kind.Map.GetItems())) {
			b.WriteString(indent + quote(key) + ":")
			formatItem(b, kind.Map.GetItems()[key], indent+"  ")
		}
	}
}

var plainWord = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_/-]*$`)

var reservedWords = map[string]bool{"true": true, "false": true, "null": true, "yes": true, "no": true, "on": true, "off": true, "y": true, "n": true}

// quote writes a text on one line.
func quote(text string) string {
	if plainWord.MatchString(text) && !reservedWords[strings.ToLower(text)] {
		return text
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func quoteAll(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = quote(text)
	}
	return strings.Join(quoted, ", ")
}

// block writes a text of several lines as a literal block where YAML keeps it
// as it is, otherwise on one line.
func block(text, indent string) string {
	body, ended := strings.CutSuffix(text, "\n")
	lines := strings.Split(body, "\n")
	if len(lines) < 2 {
		return quote(text)
	}
	for i, line := range lines {
		plain := !strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) })
		edge := i == 0 || i == len(lines)-1
		if !plain || strings.TrimRight(line, " ") != line || (edge && strings.TrimSpace(line) == "") || (i == 0 && line[0] == ' ') {
			return quote(text)
		}
	}
	head := "|"
	if !ended {
		head = "|-"
	}
	var b strings.Builder
	b.WriteString(head)
	for _, line := range lines {
		b.WriteByte('\n')
		if line != "" {
			b.WriteString(indent + line)
		}
	}
	return b.String()
}
