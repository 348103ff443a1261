package probe_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/control"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/traffic/probe"
	"github.com/argosy-cluster/argosy/proto/ankaios"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const asked = "config-asker-0"

// memory has one config, and answers for it as an agent does.
type memory struct {
	mu      sync.Mutex
	value   string
	changed chan struct{}
	updates int
	events  int
	logs    int
}

func newMemory() *memory { return &memory{changed: make(chan struct{})} }

func (m *memory) Handle(ctx context.Context, _ *argosyv1.InstanceName, r *ankaios.Request, reply func(*ankaios.Response) error) error {
	if update := r.GetUpdateStateRequest(); update != nil {
		m.set(update.GetNewState().GetDesiredState().GetConfigs().GetConfigs()[asked].GetString_())
		return reply(&ankaios.Response{ResponseContent: &ankaios.Response_UpdateStateSuccess{UpdateStateSuccess: &ankaios.UpdateStateSuccess{}}})
	}
	if logs := r.GetLogsRequest(); logs != nil {
		return m.log(ctx, logs, reply)
	}
	value, changed := m.get()
	if err := reply(state(value, nil)); err != nil || !r.GetCompleteStateRequest().GetSubscribeForEvents() {
		return err
	}
	for {
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if value, changed = m.get(); value == "" {
			continue
		}
		if err := reply(state(value, &ankaios.AlteredFields{UpdatedFields: []string{"desiredState.configs." + asked}})); err != nil {
			return err
		}
		m.mu.Lock()
		m.events++
		m.mu.Unlock()
	}
}

// log tells of two lines, and of one that no probe prints.
func (m *memory) log(ctx context.Context, r *ankaios.LogsRequest, reply func(*ankaios.Response) error) error {
	names := r.GetWorkloadNames()
	entries := &ankaios.LogEntriesResponse{}
	for _, text := range []string{probe.Line{Number: 1, PID: 9, Value: "a-1"}.String(), probe.Line{Number: 2, PID: 9, Value: "a-1"}.String(), "hello"} {
		entries.LogEntries = append(entries.LogEntries, &ankaios.LogEntry{WorkloadName: names[0], Message: text})
	}
	err := reply(&ankaios.Response{ResponseContent: &ankaios.Response_LogsRequestAccepted{LogsRequestAccepted: &ankaios.LogsRequestAccepted{WorkloadNames: names}}})
	if err == nil {
		err = reply(&ankaios.Response{ResponseContent: &ankaios.Response_LogEntriesResponse{LogEntriesResponse: entries}})
	}
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.logs++
	m.mu.Unlock()
	<-ctx.Done()
	return context.Cause(ctx)
}

func (m *memory) set(value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.value, m.updates = value, m.updates+1
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *memory) get() (string, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.value, m.changed
}

func (m *memory) counts() (updates, events, logs int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.updates, m.events, m.logs
}

func state(value string, altered *ankaios.AlteredFields) *ankaios.Response {
	configs := map[string]*ankaios.ConfigItem{}
	if value != "" {
		configs[asked] = &ankaios.ConfigItem{ConfigItemEnum: &ankaios.ConfigItem_String_{String_: value}}
	}
	return &ankaios.Response{ResponseContent: &ankaios.Response_CompleteStateResponse{CompleteStateResponse: &ankaios.CompleteStateResponse{
		CompleteState: &ankaios.CompleteState{DesiredState: &ankaios.State{Configs: &ankaios.ConfigMap{Configs: configs}}}, AlteredFields: altered,
	}}}
}

// mustServe serves the control interface of the asker, until end is called.
func mustServe(t *testing.T, dir string, handler control.Handler) (folder string, end func()) {
	t.Helper()
	config := control.DefaultConfig()
	config.Dir, config.Agent, config.Handler = dir, "agent-1", handler
	manager, err := control.New(config)
	must(t, err)
	folder, err = manager.Open(&argosyv1.InstanceName{Workload: "asker-0", Agent: "agent-1", Id: "1"})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- manager.Run(ctx) }()
	end = sync.OnceFunc(func() {
		cancel()
		must(t, <-ended)
	})
	t.Cleanup(end)
	return folder, end
}

func mustAsker(t *testing.T, r *history.Recorder, folder, value string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], probe.Name, "--workload", "asker-0", "--agent", "agent-1", "--value", value, "--dir", r.BeatsDir(),
		"--object", asked, "--messages", r.MessagesDir())
	cmd.Env = append(os.Environ(), "ARGOSY_CONTROL_INTERFACE="+folder)
	cmd.Stderr = t.Output()
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// await waits for something that has no event.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !is() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// mustTalk waits until the handler was asked for so much more.
func mustTalk(t *testing.T, m *memory, more int) {
	t.Helper()
	updates, events, logs := m.counts()
	await(t, "updates, events and a log", func() bool {
		u, e, l := m.counts()
		return u >= updates+more && e >= events+more && l > logs
	})
}

// TestAnAskerWritesDownWhatPasses has the agent end and begin again, the asker killed
// and started again, and told to rest.
func TestAnAskerWritesDownWhatPasses(t *testing.T) {
	r := mustRecord(t)
	dir, m := t.TempDir(), newMemory()
	folder, end := mustServe(t, dir, m)
	first := mustAsker(t, r, folder, "a-1")
	mustTalk(t, m, 3)
	for range 3 {
		end()
		_, end = mustServe(t, dir, m)
		mustTalk(t, m, 3)
	}
	must(t, first.Process.Kill())
	_ = first.Wait()
	second := mustAsker(t, r, folder, "a-2")
	mustTalk(t, m, 2)
	if probe.Rests(r.MessagesDir(), "asker-0") {
		t.Error("it rests before it was told to")
	}
	must(t, probe.Calm(r.MessagesDir()))
	await(t, "the asker rests", func() bool { return probe.Rests(r.MessagesDir(), "asker-0") })
	last, _ := m.get()
	updates, _, _ := m.counts()
	must(t, second.Process.Signal(syscall.SIGTERM))
	must(t, second.Wait())
	end()
	if _, err := r.Close(); err != nil {
		t.Fatal(err)
	}
	h, err := history.Read(r.Dir())
	must(t, err)
	judgeTranscript(t, r, h, last, updates)
}

// judgeTranscript looks for what must be in the record.
func judgeTranscript(t *testing.T, r *history.Recorder, h *history.History, last string, updates int) {
	t.Helper()
	maker := probe.Askers("", os.Args[0], r.BeatsDir(), r.MessagesDir())
	what := map[string]int{}
	sent, answers := map[string]history.Message{}, map[string]int{}
	asks := map[string]bool{}
	var shown []history.Shown
	sets := 0
	var read history.Message
	for i, m := range h.Messages {
		what[m.Value+" "+m.What]++
		if m.Workload != "asker-0" || m.Agent != "agent-1" || m.PID == 0 || m.Instance == "" || m.At == 0 {
			t.Fatalf("message %+v", m)
		}
		switch m.What {
		case history.MessageAsked:
			if m.Request == "" || m.Action == "" || m.Object != asked || m.Instance != argosyv1.InstanceID(maker("asker-0", "agent-1", m.Value, asked).GetRuntimeConfig()) {
				t.Fatalf("asked %+v", m)
			}
			sent[m.Request+string(m.Action)], asks[m.Request] = m, true
			if m.Action == history.Apply {
				sets++
			}
		case history.MessageUnsent:
			delete(sent, m.Request+string(history.Apply))
		case history.MessageAnswer:
			answers[m.Request]++
			if m.Outcome != history.Done || !asks[m.Request] {
				t.Errorf("answer %+v to what was not asked", m)
			}
			if len(m.Shown) > 0 {
				shown = m.Shown
			}
			if sent[m.Request+string(history.Get)].Request != "" {
				read = m
			}
		case history.MessageRest:
			if m.Value != "a-2" || i != len(h.Messages)-1 {
				t.Errorf("rests before message %+v", h.Messages[len(h.Messages)-1])
			}
		}
	}
	for _, of := range []string{"a-1 hello", "a-1 accepted", "a-1 asked", "a-1 answer", "a-1 end", "a-2 hello", "a-2 accepted", "a-2 asked", "a-2 answer", "a-2 rest"} {
		if what[of] == 0 {
			t.Errorf("no %s: there are %v", of, what)
		}
	}
	if what["a-1 end"] > 3 || what["a-1 closed"]+what["a-2 closed"]+what["a-2 end"] != 0 {
		t.Errorf("the agent ended three times, and closed no connection: there are %v", what)
	}
	if sets < updates {
		t.Errorf("%d updates were asked for, and %d were carried out", sets, updates)
	}
	if want := []history.Shown{{Value: "a-1", PID: 9, From: 1, To: 2}, {Foreign: "hello"}}; !slices.Equal(shown, want) {
		t.Errorf("it was shown %+v, want %+v", shown, want)
	}
	if len(read.Found) != 1 || read.Found[0] != (history.Object{Name: asked, Value: last}) {
		t.Errorf("the last read is %+v, the config is %s", read, last)
	}
	if len(answers) < 10 {
		t.Errorf("%d requests were answered", len(answers))
	}
}
