package access_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/manifest/access"
	"github.com/argosy-cluster/argosy/manifest/mask"
)

// list makes state rules of one operation, of masks separated by blanks.
func list(operation access.Operation, masks string) access.List {
	return access.List{State: []access.StateRule{{Operation: operation, Masks: strings.Fields(masks)}}}
}

func mustCompile(t *testing.T, allow, deny access.List) *access.Rules {
	t.Helper()
	rules, err := access.Compile(allow, deny)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func request(t *testing.T, masks string) *mask.Set {
	t.Helper()
	set, err := mask.ParseSet(strings.Fields(masks))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestStateRules(t *testing.T) {
	for name, test := range map[string]struct {
		allow, deny, request string
		want                 bool
	}{
		"no rules":                         {request: "desiredState"},
		"the same":                         {allow: "desiredState.workloads", request: "desiredState.workloads", want: true},
		"below":                            {allow: "desiredState.workloads", request: "desiredState.workloads.w.agent", want: true},
		"above":                            {allow: "desiredState.workloads", request: "desiredState"},
		"beside":                           {allow: "desiredState.workloads", request: "desiredState.configs"},
		"a longer name":                    {allow: "desiredState.workloads.w", request: "desiredState.workloads.w2"},
		"a wildcard in the rule":           {allow: "desiredState.workloads.*.agent", request: "desiredState.workloads.w.agent", want: true},
		"a wildcard in the rule is needed": {allow: "desiredState.workloads.*", request: "desiredState.workloads"},
		"every mask needs a rule":          {allow: "desiredState.workloads.a", request: "desiredState.workloads.a desiredState.workloads.b"},
		"several rules":                    {allow: "desiredState.workloads.a agents", request: "desiredState.workloads.a agents.x", want: true},
		"all, for the whole state":         {allow: "*", request: "", want: true},
		"all, for a part":                  {allow: "*", request: "agents.a", want: true},
		"all, in more words":               {allow: "*.*", request: "desiredState", want: true},
		"a part is not the whole state":    {allow: "desiredState", request: ""},
		"all of a part, from the top":      {allow: "*.workloads.*", request: "desiredState.workloads", want: true},
		"a name after the wildcard is not passed by": {allow: "*.workloads", request: "desiredState"},
		"nor for the whole state":                    {allow: "*.workloads", request: ""},
		"deny the same":                              {allow: "*", deny: "desiredState.workloads", request: "desiredState.workloads"},
		"deny above":                                 {allow: "*", deny: "desiredState", request: "desiredState.workloads"},
		"deny below":                                 {allow: "*", deny: "desiredState.workloads.secret", request: "desiredState.workloads"},
		"deny beside":                                {allow: "*", deny: "desiredState.workloads.secret", request: "desiredState.workloads.w", want: true},
		"any deny rule denies the whole state":       {allow: "*", deny: "agents.a.tags.x", request: ""},
		"deny by wildcard":                           {allow: "*", deny: "desiredState.workloads.*.runtimeConfig", request: "desiredState.workloads.w.runtimeConfig"},
		"deny by wildcard, another field":            {allow: "*", deny: "desiredState.workloads.*.runtimeConfig", request: "desiredState.workloads.w.agent", want: true},
		"a wildcard does not get past a deny rule":   {allow: "desiredState.workloads", deny: "desiredState.workloads.secret", request: "desiredState.workloads.*"},
		"nor above it":                               {allow: "*", deny: "desiredState.workloads.secret", request: "*.workloads.w", want: true},
		"nor at the top":                             {allow: "*", deny: "desiredState.workloads.secret", request: "*.workloads.secret.agent"},
		"nor as any part":                            {allow: "*", deny: "desiredState.workloads.secret", request: "*.*.*.agent"},
		"a wildcard for other fields":                {allow: "*", deny: "desiredState.workloads.secret.agent", request: "desiredState.workloads.*.tags", want: true},
		"a wildcard that is allowed":                 {allow: "desiredState.workloads.*.agent", request: "desiredState.workloads.*.agent", want: true},
		"a wildcard below what is allowed":           {allow: "desiredState.workloads", request: "desiredState.workloads.*.agent", want: true},
		"a wildcard for one name that is allowed":    {allow: "desiredState.workloads.a", request: "desiredState.workloads.*"},
		"a wildcard above what is allowed":           {allow: "desiredState.workloads", request: "*.workloads"},
		"what is effective is denied too":            {allow: "*", deny: "desiredState.workloads.secret", request: "effectiveState.workloads.secret"},
		"what is effective by wildcard":              {allow: "*", deny: "desiredState.workloads.secret", request: "effectiveState.*.*.agent"},
		"what is effective is denied as a whole":     {allow: "*", deny: "desiredState.workloads.secret", request: "effectiveState"},
		"what is effective is not allowed too":       {allow: "desiredState", request: "effectiveState.workloads.w"},
		"what is desired is not denied too":          {allow: "*", deny: "effectiveState", request: "desiredState.workloads.w", want: true},
		"an item by one way of writing it":           {allow: "*", deny: "desiredState.workloads.w.files.0", request: "desiredState.workloads.w.files.*"},
	} {
		t.Run(name, func(t *testing.T) {
			set := request(t, test.request)
			if got := mustCompile(t, list(access.Read, test.allow), list(access.ReadWrite, test.deny)).MayRead(set); got != test.want {
				t.Errorf("may read: %v", got)
			}
			if got := mustCompile(t, list(access.ReadWrite, test.allow), list(access.Write, test.deny)).MayWrite(set); got != test.want {
				t.Errorf("may write: %v", got)
			}
		})
	}
}

func TestRulesAreAboutTheirOperation(t *testing.T) {
	all := request(t, "desiredState")
	for _, test := range []struct {
		allow, deny access.Operation
		read, write bool
	}{
		{access.Nothing, access.Nothing, false, false},
		{access.Read, access.Nothing, true, false},
		{access.Write, access.Nothing, false, true},
		{access.ReadWrite, access.Nothing, true, true},
		{access.ReadWrite, access.Read, false, true},
		{access.ReadWrite, access.Write, true, false},
		{access.ReadWrite, access.ReadWrite, false, false},
	} {
		rules := mustCompile(t, list(test.allow, "desiredState"), list(test.deny, "desiredState.configs"))
		if rules.MayRead(all) != test.read || rules.MayWrite(all) != test.write {
			t.Errorf("%+v: may read %v, write %v", test, rules.MayRead(all), rules.MayWrite(all))
		}
	}
}

func TestStateIsNotReadBesideADeniedSubState(t *testing.T) {
	rules := mustCompile(t, list(access.Read, "*"), list(access.Read, "workloadStates.*.secret.*.subState"))
	for masks, want := range map[string]bool{
		"workloadStates.a.secret.id.state":          false,
		"workloadStates.a.*.id.state":               false,
		"*.a.secret.id.state":                       false,
		"workloadStates.a.secret.id.additionalInfo": true,
		"workloadStates.a.w.id.state":               true,
	} {
		if got := rules.MayRead(request(t, masks)); got != want {
			t.Errorf("%s may be read: %v", masks, got)
		}
	}
}

func TestMayTouch(t *testing.T) {
	for name, test := range map[string]struct {
		allow, deny string
		want        bool
	}{
		"nothing is allowed":  {"", "", false},
		"all of it":           {"desiredState.workloads.w", "", true},
		"what it is in":       {"desiredState", "", true},
		"everything":          {"*", "", true},
		"a part of it":        {"desiredState.workloads.w.tags.x", "", true},
		"a part of any":       {"desiredState.workloads.*.tags", "", true},
		"another":             {"desiredState.workloads.v", "", false},
		"a part is denied":    {"desiredState", "desiredState.workloads.w.agent", true},
		"it is denied":        {"desiredState", "desiredState.workloads.w", false},
		"any is denied":       {"desiredState", "desiredState.workloads.*", false},
		"all of it is denied": {"desiredState.workloads.w.tags", "desiredState", false},
	} {
		rules := mustCompile(t, list(access.Write, test.allow), list(access.Write, test.deny))
		if got := rules.MayTouch(mask.Mask{"desiredState", "workloads", "w"}); got != test.want {
			t.Errorf("%s: may touch: %v", name, got)
		}
		// Who may write a part of it may touch it.
		for _, part := range []string{"desiredState", "desiredState.workloads.w", "desiredState.workloads.w.tags.x"} {
			if rules.MayWrite(request(t, part)) && !test.want {
				t.Errorf("%s: %s may be written", name, part)
			}
		}
	}
	if mustCompile(t, list(access.Read, "*"), access.List{}).MayTouch(mask.Mask{"agents", "a", "tags"}) {
		t.Error("a rule for reading lets it be touched")
	}
}

func TestGrants(t *testing.T) {
	if mustCompile(t, access.List{}, list(access.Read, "*")).Grants() {
		t.Error("a deny rule grants something")
	}
	if !mustCompile(t, list(access.Read, "*"), access.List{}).Grants() || !mustCompile(t, access.List{Logs: []access.LogRule{{}}}, access.List{}).Grants() {
		t.Error("an allow rule grants nothing")
	}
}

func logs(patterns ...string) access.List {
	return access.List{Logs: []access.LogRule{{Workloads: patterns}}}
}

func TestLogRules(t *testing.T) {
	for name, test := range map[string]struct {
		allow, deny []string
		yes, no     string
	}{
		"none":                    {no: "a"},
		"name":                    {allow: []string{"nginx"}, yes: "nginx", no: "nginx2 ngin"},
		"all":                     {allow: []string{"*"}, yes: "a b"},
		"prefix":                  {allow: []string{"app-*"}, yes: "app- app-1", no: "app ap myapp-1"},
		"suffix":                  {allow: []string{"*-db"}, yes: "-db a-db", no: "db a-db2"},
		"both":                    {allow: []string{"a*a"}, yes: "aa aba", no: "a ab"},
		"every pattern is tried":  {allow: []string{"x*", "app-*", "nginx"}, yes: "x1 app-1 nginx", no: "y"},
		"deny":                    {allow: []string{"*"}, deny: []string{"secret"}, yes: "a secret2", no: "secret"},
		"every deny is tried too": {allow: []string{"*"}, deny: []string{"x*", "*-secret", "z"}, yes: "a", no: "x1 a-secret z"},
	} {
		t.Run(name, func(t *testing.T) {
			rules := mustCompile(t, logs(test.allow...), logs(test.deny...))
			for _, workload := range strings.Fields(test.yes) {
				if !rules.MayReadLogs(workload) {
					t.Errorf("logs of %s are denied", workload)
				}
			}
			for _, workload := range strings.Fields(test.no) {
				if rules.MayReadLogs(workload) {
					t.Errorf("logs of %s are allowed", workload)
				}
			}
		})
	}
}

func TestRulesThatAreWrong(t *testing.T) {
	const unsupported = `. Only "." separated sequences allowed where each part is either a wildcard "*" or chars in [a-zA-Z0-9_-]`
	name64, name65 := strings.Repeat("a", 64), strings.Repeat("a", 65)
	for name, test := range map[string]struct {
		rules access.List
		want  string
	}{
		"empty mask":    {access.List{State: []access.StateRule{{Masks: []string{"a", ""}}}}, "Empty filter masks are not allowed in Control Interface access rules"},
		"part wildcard": {list(access.Read, "a.b*"), "Unsupported filter mask 'a.b*'" + unsupported},
		"empty part":    {list(access.Read, "a..b"), "Unsupported filter mask 'a..b'" + unsupported},
		"line break":    {access.List{State: []access.StateRule{{Masks: []string{"a\n"}}}}, "Unsupported filter mask 'a\n'" + unsupported},
		"two wildcards": {logs("a", "*a*"), "Log rule validation filed: Expected at most one '*' symbol."},
		"characters":    {logs("a.b*"), "Log rule validation filed: Unsupported workload name filter with wildcard 'a.b*'. Expected to have characters in [a-zA-Z0-9_-]."},
		"long pattern":  {logs(name64 + "*"), "Log rule validation filed: Unsupported workload name filter with wildcard '" + name64 + "*'. Length 65 exceeds the maximum limit of 64 characters."},
		"long name":     {logs(name65), "Log rule validation filed: Unsupported workload name '" + name65 + "'. Length 65 exceeds the maximum limit of 63 characters."},
		"name":          {logs("a b"), "Log rule validation filed: Unsupported workload name 'a b'. Expected to have characters in [a-zA-Z0-9_-]."},
		"empty name":    {logs(""), "Log rule validation filed: Unsupported workload name ''. Is empty."},
	} {
		t.Run(name, func(t *testing.T) {
			for _, lists := range [][2]access.List{{test.rules, {}}, {{}, test.rules}} {
				rules, err := access.Compile(lists[0], lists[1])
				if rules != nil || !errors.Is(err, access.ErrInvalid) || err.Error() != test.want {
					t.Errorf("got  %v\nwant %s", err, test.want)
				}
			}
		})
	}
	if _, err := access.Compile(logs(name64[1:], name64[1:]+"*"), access.List{}); err != nil {
		t.Error(err)
	}
}

func TestRulesAreBounded(t *testing.T) {
	for name, rules := range map[string]access.List{
		"masks":     {State: []access.StateRule{{Masks: slices.Repeat([]string{"a"}, access.MaxEntries+1)}}},
		"rules":     {Logs: make([]access.LogRule, access.MaxRules+1)},
		"patterns":  logs(slices.Repeat([]string{"a"}, access.MaxEntries+1)...),
		"length":    list(access.Read, strings.Repeat("a", mask.MaxLength+1)),
		"segments":  list(access.Read, strings.Repeat("a.", mask.MaxSegments)+"a"),
		"operation": list(access.ReadWrite+1, "a"),
	} {
		if _, err := access.Compile(rules, access.List{}); !errors.Is(err, access.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
