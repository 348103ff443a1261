//go:build planted

package planted

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tests names for each bug a test of the product that has to fail with it. None
// of them knows of the bug.
var tests = map[Bug]struct{ dir, test string }{
	NoFlush:         {"server/consensus/storage", "TestMarkFollowsALogThatIsNotClosed"},
	EarlyAnswer:     {"server/writer", "TestNothingIsAnsweredBeforeItIsCommitted"},
	StaleRead:       {"server/reader", "TestAReadWaitsForTheLeadersIndexAndItsObservations"},
	LeaseRead:       {"server/consensus", "TestDeposedLeaderServesNoRead"},
	NoMemory:        {"server/writer", "TestARepeatIsAnsweredAsTheFirstWas"},
	LateCompare:     {"server/writer", "TestWritesAreJudgedAgainstWhatIsInFlight"},
	LostChange:      {"server/api", "TestAWatchAfterARevisionOfTheFutureWaitsForIt"},
	RepeatedChange:  {"server/api", "TestAWatchAfterARevisionOfTheFutureWaitsForIt"},
	ForgottenVote:   {"server/consensus/storage", "TestTermAndVoteSurviveARestart"},
	FlippedBit:      {"server/consensus/storage", "TestFlippedBitIsNoticedOnRead"},
	LostRow:         {"fsm", "TestRebasedStateIsRestoredAndGoesOn"},
	ShortSnapshot:   {"fsm", "TestABeaconChangesNothingButTheRevision"},
	SealedTwice:     {"server/consensus/storage", "TestWhatIsStoredIsNotChangedForWhoSendsIt"},
	OlderSnapshot:   {"fsm", "TestSnapshotShowsTheStateItWasTakenOf"},
	OwnAuthority:    {"server/reader", "TestReadsThatCannotBeAnsweredSayWhy"},
	DeafLeader:      {"server/consensus", "TestLeaderWithAStalledDiskIsReplaced"},
	LoneAccuser:     {"server/consensus", "TestServerThatIsCutOffAloneDisturbsNobody"},
	EarlyMove:       {"server/sessions", "TestAWorkloadThatMovesStartsWhenTheOldAgentHasRemovedIt"},
	EmptyMemory:     {"server/sessions", "TestTheOldAgentMayBeBackAfterTheLeaderStoppedWaiting"},
	HastyHeir:       {"server/sessions", "TestWhenAMovedWorkloadMayStart"},
	EarlyStart:      {"agent/reconcile", "TestAnUpdateRemovesTheOldCompletelyBeforeItStartsTheNew"},
	NewBroom:        {"agent/reconcile", "TestBeingToldTheSameAgainTouchesNothing"},
	Abandon:         {"agent/session", "TestAssignmentsAreHandedOnAndNamedInTheNextHello"},
	Orphan:          {"agent/reconcile", "TestAThousandWorkloads"},
	TakenForCurrent: {"server/sessions", "TestAnAgentThatMissedChangesIsToldEverythingAgain"},
	LeftBehind:      {"server/reader", "TestReadsThatCannotBeAnsweredSayWhy"},
	FalseAlarm:      {"server/sessions", "TestHoldingAWorkloadBackIsNoError"},
	EarlyBird:       {"agent/reconcile", "TestAWorkloadStartsWhenWhatItDependsOnIsSo"},
	EarlyEnd:        {"agent/reconcile", "TestAWorkloadStopsAfterThoseThatDependOnIt"},
	OldConfigs:      {"server/writer", "TestAChangeOfAConfigRendersThoseThatUseIt"},
	LostEvent:       {"manifest/complete", "TestWhatChangedBeforeAWatchStartedAgainIsTold"},
	HastyLevel:      {"server", "TestTheLevelIsWhatAllServersKnow"},
	OldOrders:       {"agent/assignments", "TestOnlyTheLeaderOfTheOwnClusterAndOfTheHighestTermIsListenedTo"},
	RepeatedLine:    {"agent/runtime/process", "TestKilledWhileCopyingLogs"},
	RashAgent:       {"agent/asks", "TestAnUpdateTellsWhatIsNewAndWhatIsGone"},
	LostSession:     {"agent/control", "TestTheAgentStartsAgain"},
}

// Each bug is one, where it was planted: a test of the product fails with it,
// and holds without.
func TestEveryBugIsABug(t *testing.T) {
	programs, home := map[string]string{}, t.TempDir()
	for _, bug := range All() {
		t.Run(string(bug), func(t *testing.T) {
			of, ok := tests[bug]
			if !ok {
				t.Fatal("no test of the product is named that fails with it")
			}
			program, built := programs[of.dir]
			if !built {
				program = build(t, home, of.dir)
				programs[of.dir] = program
			}
			if text, err := run(program, of.dir, of.test, ""); err != nil || !strings.Contains(text, "--- PASS: "+of.test) {
				t.Fatalf("without it %s ends with %v:\n%s", of.test, err, text)
			}
			text, err := run(program, of.dir, of.test, bug)
			if err == nil || !strings.Contains(text, "--- FAIL: "+of.test) && !strings.Contains(text, "panic: ") {
				t.Errorf("with it %s ends with %v:\n%s", of.test, err, text)
			}
		})
	}
}

// build makes the test program of a package, as this one was built.
func build(t *testing.T, home, dir string) string {
	t.Helper()
	program := filepath.Join(home, strings.ReplaceAll(dir, "/", "-"))
	cmd := exec.Command("go", "test", "-c", "-tags", tags(), "-o", program, "./"+dir)
	cmd.Dir = ".."
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build tests of %s: %v\n%s", dir, err, text)
	}
	return program
}

// tags are those that go is told by its environment, and the one of this room.
func tags() string {
	for _, flag := range strings.Fields(os.Getenv("GOFLAGS")) {
		if list, ok := strings.CutPrefix(flag, "-tags="); ok {
			return list + ",planted"
		}
	}
	return "planted"
}

func run(program, dir, test string, bug Bug) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	patience := "-test.timeout=90s"
	if bug != "" {
		patience = "-test.timeout=20s"
	}
	cmd := exec.CommandContext(ctx, program, "-test.v", patience, "-test.run", "^"+test+"$")
	cmd.Dir = filepath.Join("..", dir)
	cmd.Env = append(os.Environ(), Variable+"="+string(bug))
	text, err := cmd.CombinedOutput()
	return string(text), err
}

func TestABugIsOnUntilItIsDugOut(t *testing.T) {
	dig := Plant(StaleRead)
	if !On(StaleRead) || On(NoFlush) {
		t.Error("another bug is on than the one that was planted")
	}
	if dig(); On(StaleRead) {
		t.Error("it is on after it was dug out")
	}
}

// A name that is none must not pass for a bug that nobody finds.
func TestABugThatDoesNotExistEndsTheProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := run(self, "planted", "TestABugIsOnUntilItIsDugOut", "no-such-bug")
	if err == nil || !strings.Contains(text, `no such bug`) {
		t.Errorf("it ends with %v:\n%s", err, text)
	}
}
