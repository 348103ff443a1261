package fsm_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

var update = flag.Bool("update", false, "write what the scenarios show now into testdata")

// TestScenarios runs testdata/*.txt. A line that begins with "> " is a command,
// indented lines after it are its input, and the rest up to the next command is
// what it must show.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("find scenarios: %d, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScenario(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s shows otherwise:\n%s", file, firstDifference(string(want), got))
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("want %d lines, got %d", len(w), len(g))
}

func runScenario(t *testing.T, text string) string {
	s := &scenario{t: t, machine: mustNew(t)}
	var out strings.Builder
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); {
		line := lines[i]
		i++
		if !strings.HasPrefix(line, "> ") {
			if strings.HasPrefix(line, "#") {
				out.WriteString(line + "\n")
			}
			continue
		}
		var input []string
		out.WriteString("\n" + line + "\n")
		for i < len(lines) && strings.HasPrefix(lines[i], "  ") {
			input = append(input, strings.TrimSpace(lines[i]))
			out.WriteString(lines[i] + "\n")
			i++
		}
		out.WriteString(s.run(strings.Fields(line[2:]), input))
	}
	return out.String()
}

type scenario struct {
	t       *testing.T
	machine *fsm.Machine
	kept    []byte
	view    *fsm.View
}

func (s *scenario) run(command, input []string) string {
	var out bytes.Buffer
	say := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	view := s.machine.View()
	switch command[0] {
	case "apply": // apply INDEX [TIME], mutations and outcomes indented
		e := &argosyv1.Entry{}
		if len(command) > 2 {
			e.ProposedUnixNanos = int64(s.number(command[2]))
		}
		for _, line := range input {
			s.add(e, strings.Fields(line))
		}
		s.apply(say, s.number(command[1]), mustEncode(s.t, e))
	case "raw": // raw INDEX HEX
		data, err := hex.DecodeString(strings.Join(command[2:], ""))
		if err != nil {
			s.t.Fatal(err)
		}
		s.apply(say, s.number(command[1]), data)
	case "config": // config INDEX
		s.machine.StoreConfiguration(s.number(command[1]), raft.Configuration{})
	case "state":
		out.WriteString(dump(view))
		mustBeWhole(s.t, view)
	case "group": // group NAME
		name := ""
		if len(command) > 1 {
			name = command[1]
		}
		for row := range view.WorkloadsOf(name) {
			say("%s", describe(row))
		}
	case "counts":
		say("workloads %d, agents %d, cluster %d", view.Count(workload), view.Count(agent), view.Count(cluster))
	case "outcome": // outcome ID [of the kept view]
		if len(command) > 2 {
			view = s.view
		}
		ref, ok := view.Outcome([]byte(command[1]))
		say("%v revision %d principal %q result %q", ok, ref.Revision, ref.Principal, ref.Result)
	case "oldest":
		count, _, revision, proposed := view.OutcomeStats()
		say("%d outcomes, oldest of %d at %d", count, revision, proposed)
	case "keep": // keep the view
		s.view = view
	case "kept":
		out.WriteString(dump(s.view))
		mustBeWhole(s.t, s.view)
	case "feed": // feed AFTER
		s.feed(say, s.number(command[1]))
	case "snapshot":
		s.kept = mustSnapshot(s.t, s.machine)
	case "reborn": // go on with a new machine made from the snapshot
		s.machine = mustNew(s.t)
		mustRestore(s.t, s.machine, s.kept)
	case "status":
		say("applied %d, feed after %d", s.machine.Applied(), s.machine.FeedFloor())
		say("failed: %v", s.machine.Failed())
	default:
		s.t.Fatalf("unknown command %q", command)
	}
	return out.String()
}

func (s *scenario) number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *scenario) apply(say func(string, ...any), index uint64, data []byte) {
	if err := apply(s.machine, index, data); err != nil {
		say("error: %v", err)
	}
}

func (s *scenario) feed(say func(string, ...any), after uint64) {
	if after >= s.machine.Applied() {
		say("nothing new")
		return
	}
	subscription, err := s.machine.Subscribe(after)
	if err != nil {
		say("error: %v", err)
		return
	}
	batches, err := subscription.Next(context.Background())
	if err != nil {
		say("error: %v", err)
	}
	for _, batch := range batches {
		say("revision %d at %d", batch.Revision, batch.ProposedAt)
		for _, change := range batch.Changes {
			say("- before: %s", describe(change.Before))
			say("  after:  %s", describe(change.After))
		}
	}
}

var kindNames = map[string]argosyv1.RowKind{"workload": workload, "agent": agent, "cluster": cluster, "nothing": 0, "future": 77}

func (s *scenario) add(e *argosyv1.Entry, words []string) {
	word := func(i int) string {
		if i < len(words) && words[i] != "-" {
			return words[i]
		}
		return ""
	}
	switch words[0] {
	case "put": // put KIND KEY GROUP VALUE
		e.Mutations = append(e.Mutations, put(kindNames[word(1)], word(2), word(3), word(4)))
	case "delete": // delete KIND KEY
		e.Mutations = append(e.Mutations, remove(kindNames[word(1)], word(2)))
	case "expire": // expire REVISION
		e.Mutations = append(e.Mutations, expire(s.number(word(1))))
	case "empty": // a mutation in which nothing is set
		e.Mutations = append(e.Mutations, &argosyv1.Mutation{})
	case "answer": // answer ID PRINCIPAL RESULT
		e.Outcomes = append(e.Outcomes, answer(word(1), word(2), word(3)))
	default:
		s.t.Fatalf("unknown input %q", words)
	}
}
