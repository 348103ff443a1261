package probe

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// transcript is the file of what an asker said and was told. Each line is written at
// once: it is whole or not there, whenever the process is killed.
type transcript struct {
	of    history.Message
	clock history.Clock

	mu     sync.Mutex
	file   *os.File
	failed error
}

func newTranscript(config Config, instance string) (*transcript, error) {
	file, err := os.OpenFile(filepath.Join(config.Messages, fmt.Sprintf("%s-%d.jsonl", config.Workload, os.Getpid())), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("run probe: %w", err)
	}
	return &transcript{
		of:    history.Message{Workload: config.Workload, Instance: instance, Agent: config.Agent, Value: config.Value, PID: os.Getpid()},
		clock: config.Clock, file: file,
	}, nil
}

// write writes a message down.
func (t *transcript) write(m history.Message) {
	t.say(m, func() error { return nil })
}

// say says something to the agent and writes it down, with the time before, unless it
// could not be said. What the agent answers is written after it.
func (t *transcript) say(m history.Message, say func() error) (said bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m.At = t.clock()
	if say() != nil {
		return false
	}
	t.of.N++
	m.Workload, m.Instance, m.Agent, m.Value, m.PID, m.N = t.of.Workload, t.of.Instance, t.of.Agent, t.of.Value, t.of.PID, t.of.N
	line, err := json.Marshal(m)
	if err == nil {
		_, err = t.file.Write(append(line, '\n'))
	}
	if err != nil && t.failed == nil {
		t.failed = fmt.Errorf("run probe: write down a message: %w", err)
	}
	return true
}

// close returns why something could not be written.
func (t *transcript) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	// There is nothing left to lose.
	_ = t.file.Close()
	return t.failed
}
