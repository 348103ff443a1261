package history

import "testing"

func TestTheValueOfAConfigurationIsFound(t *testing.T) {
	for _, tc := range []struct{ config, want string }{
		{"writer-1-17", "writer-1-17"},
		{" writer-1-17\n", "writer-1-17"},
		{"command: probe\nargs: [probe, --workload, probe-1, --value, mover-2-3.4, --dir, /x]\n", "mover-2-3.4"},
		{"command: probe\nargs: [\"--value=mover-2-3\"]\n", "mover-2-3"},
		{"command: probe\nargs:\n- --value\n- \"mover-2-3\"\n- --dir\n- /x\n", "mover-2-3"},
		{"args: [probe, --value, configurer-0-7_{{one}}.{{two}}, --dir, /x]\n", "configurer-0-7_{{one}}.{{two}}"},
		{"args: [--value", ""},
		{"", ""},
	} {
		if got := Value(tc.config); got != tc.want {
			t.Errorf("%q has the value %q, want %q", tc.config, got, tc.want)
		}
	}
}
