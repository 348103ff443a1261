// Package runtimetest is the conformance suite of the runtimes: what the agent
// relies on, said once and run against every runtime. It protects one
// invariant: the agent may treat all runtimes alike. The suite waits for events
// and log lines, never for time, so that it also proves that a runtime tells
// what it must by itself.
package runtimetest

import (
	"syscall"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
)

// Script is a small shell program that an instance of the suite runs. Only what
// busybox and every other POSIX shell have is used.
type Script struct {
	// Body is the program, to be run as `sh -c BODY`.
	Body string
	// StopTimeout is how long a stop waits before it kills, in whole seconds.
	// Default: a second, since one that is told before it listens ends no earlier.
	StopTimeout time.Duration
}

// Harness tells the suite how to reach a runtime and how to speak its
// configuration.
type Harness struct {
	// Runtime is the runtime's name, as Info tells it and workloads ask for it.
	Runtime string
	// Open makes a client of the runtime for an agent of this name. A second
	// client of the same agent finds what the first one started. The returned
	// function closes the client, not what runs; no goroutine of the client may
	// be left after it.
	Open func(t *testing.T, agent string) (client runtime.Runtime, closeClient func())
	// Config writes the runtime configuration that runs a script. The same
	// script gives the same text.
	Config func(script Script) string
	// Kill sends a signal to the first process of a running instance, behind the
	// runtime's back.
	Kill func(t *testing.T, instance runtime.Instance, signal syscall.Signal)
	// Invalid are configurations that can never work, each with a text that the
	// error must contain.
	Invalid map[string]string
	// Failing is a configuration that is well formed and whose start fails, but
	// may work another day: its command does not exist, for example.
	Failing string
	// Many is how many instances are started at once. Default: 20.
	Many int
	// ReuseKeepsID says that an instance started again with Reuse keeps its
	// RuntimeID.
	ReuseKeepsID bool
	// NeverReuses says that an ended instance is made anew also with Reuse.
	NeverReuses bool
	// Creates says that the runtime is a Creator.
	Creates bool
	// Mounts says that the runtime shows an instance what StartOptions.Mounts say:
	// by mounts, or by variables that are set to where it is.
	Mounts bool
	// LogsVanish says that the last lines of an instance may be lost to a
	// follower when the instance is removed.
	LogsVanish bool
}

// Run runs the suite. Each test uses an agent name of its own, so that runs of
// several suites may share one runtime as long as agents of the harness differ.
func Run(t *testing.T, harness Harness) {
	t.Helper()
	if harness.Many == 0 {
		harness.Many = 20
	}
	for _, test := range []struct {
		name string
		run  func(*scene)
	}{
		{"info names the runtime and no problem", testInfo},
		{"start runs the instance", testStart},
		{"start leaves a running instance alone", testStartTwice},
		{"instances of one workload with other configurations are apart", testTwoConfigs},
		{"remove stops and removes", testRemove},
		{"remove of an unknown instance does nothing", testRemoveUnknown},
		{"remove lets the instance end by itself", testRemoveGraceful},
		{"remove kills what does not end", testRemoveStubborn},
		{"remove of an ended instance removes it", testRemoveEnded},
		{"exit codes are kept", testExitCodes},
		{"an end by signal is 128 and the signal", testKilled},
		{"reuse starts an ended instance again", testReuse},
		{"without reuse an ended instance is made anew", testRecreate},
		{"create creates and does not start", testCreate},
		{"what was created is removed", testCreateRemoved},
		{"create leaves a running instance alone", testCreateRunning},
		{"what another client has created is started once", testCreatedByAnother},
		{"what was created is shown other files when it is started with others", testCreateMounts},
		{"invalid configurations are refused for good", testInvalid},
		{"a start that fails may be tried again", testFailing},
		{"files and pipes of the host are shown", testMounts},
		{"an instance that is started again is shown what is there then", testMountsAgain},
		{"an instance that is made anew is shown other files", testMountsAnew},
		{"watch begins with resync and tells every change", testWatch},
		{"watch ends with its context", testWatchEnds},
		{"two watchers see the same", testTwoWatchers},
		{"a second client adopts what the first started", testAdoption},
		{"agents do not see each other's instances", testAgentsApart},
		{"logs come in order and apart by stream", testLogs},
		{"logs of a running instance end at what was printed", testLogsRunning},
		{"logs tail the last lines", testLogsTail},
		{"logs are limited by time", testLogsTime},
		{"logs follow until the instance ends", testLogsFollow},
		{"logs follow ends with its context", testLogsFollowCancelled},
		{"logs follow ends when the instance is removed", testLogsFollowRemoved},
		{"logs keep long lines and a last line without end", testLogsLines},
		{"logs end with the error of their reader", testLogsError},
		{"logs of an unknown instance are not found", testLogsUnknown},
		{"logs outlive the client", testLogsOutlive},
		{"many instances start at once", testMany},
		{"one name started at once runs once", testSameAtOnce},
		{"remove while starting leaves nothing", testRemoveWhileStarting},
		{"a context that has ended ends a call", testCancelled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(newScene(t, harness)) })
	}
}
