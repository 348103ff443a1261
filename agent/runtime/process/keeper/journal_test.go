package keeper

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
)

var quiet = slog.New(slog.DiscardHandler)

func nameOf(workload string) wire.Name {
	return wire.Name{Workload: workload, ID: "0123abcd", Agent: "agent"}
}

func mustOpenJournal(t *testing.T, dir string) (*journal, map[string]row) {
	t.Helper()
	j, rows, err := openJournal(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.file.Close() })
	return j, rows
}

func mustNote(t *testing.T, j *journal, rows ...row) {
	t.Helper()
	for _, r := range rows {
		if err := j.append(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJournalKeepsTheLastRowOfEachName(t *testing.T) {
	dir := t.TempDir()
	j, _ := mustOpenJournal(t, dir)
	want := row{Name: nameOf("a"), Phase: ended, PID: 7, ExitCode: 3, Detail: "why"}
	mustNote(t, j,
		row{Name: nameOf("a"), Phase: starting, Run: "r"},
		row{Name: nameOf("b"), Phase: started, PID: 8},
		want,
		row{Name: nameOf("b"), Phase: removed})
	for range 2 { // the second time from the rewritten file
		_, rows := mustOpenJournal(t, dir)
		if !maps.Equal(rows, map[string]row{want.Name.Key(): want}) {
			t.Fatalf("rows are %+v", rows)
		}
	}
}

func TestJournalSurvivesWhatAKilledWriterLeaves(t *testing.T) {
	line, err := encodeRow(row{Name: nameOf("torn"), Phase: started, PID: 9})
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(line) - 1 { // without its end alone, it is whole
		dir := t.TempDir()
		j, _ := mustOpenJournal(t, dir)
		mustNote(t, j, row{Name: nameOf("whole"), Phase: started, PID: 8})
		if _, err := j.file.Write(line[:cut]); err != nil {
			t.Fatal(err)
		}
		next, rows := mustOpenJournal(t, dir)
		if len(rows) != 1 || rows[nameOf("whole").Key()].PID != 8 {
			t.Fatalf("cut at %d: rows are %+v", cut, rows)
		}
		mustNote(t, next, row{Name: nameOf("later"), Phase: started, PID: 10})
		if _, rows := mustOpenJournal(t, dir); len(rows) != 2 {
			t.Fatalf("cut at %d: rows are %+v after one more", cut, rows)
		}
	}
}

func TestJournalStaysShort(t *testing.T) {
	j, _ := mustOpenJournal(t, t.TempDir())
	rows := map[string]row{nameOf("a").Key(): {Name: nameOf("a"), Phase: started}}
	rewritten := 0
	for i := range 100_000 {
		mustNote(t, j, row{Name: nameOf("a"), Phase: started, PID: i})
		if j.stale() {
			rewritten++
			if err := j.rewrite(rows); err != nil {
				t.Fatal(err)
			}
		}
	}
	if info, err := os.Stat(j.path); err != nil || info.Size() > 2*journalSlack || rewritten == 0 {
		t.Fatalf("journal has %d bytes after %d rewrites, %v", info.Size(), rewritten, err)
	}
}

func FuzzJournal(f *testing.F) {
	line, err := encodeRow(row{Name: nameOf("a"), Phase: started})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, journalFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
		j, rows := mustOpenJournal(t, dir)
		for key, r := range rows {
			if key != r.Name.Key() || r.Name.Validate() != nil {
				t.Fatalf("row of %s is %+v", key, r)
			}
		}
		mustNote(t, j, row{Name: nameOf("next"), Phase: started})
		if _, again := mustOpenJournal(t, dir); len(again) < len(rows) {
			t.Fatal(fmt.Sprint("rows were lost: ", len(rows), " before, ", len(again), " after"))
		}
	})
}

func TestAFullDiskKeepsNoKeeperFromTakingOver(t *testing.T) {
	dir := t.TempDir()
	j, _ := mustOpenJournal(t, dir)
	mustNote(t, j, row{Name: nameOf("a"), Phase: started, PID: 8})
	if _, err := j.file.WriteString("0123"); err != nil { // torn
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", j.path+".new"); err != nil {
		t.Fatal(err)
	}
	next, rows := mustOpenJournal(t, dir)
	if len(rows) != 1 {
		t.Fatalf("rows are %+v", rows)
	}
	mustNote(t, next, row{Name: nameOf("b"), Phase: started, PID: 9})
	if _, rows := mustOpenJournal(t, dir); len(rows) != 2 {
		t.Fatalf("rows are %+v after one more", rows)
	}
}

func TestWhatAFullDiskKeptOutOfTheJournalIsWrittenOnceThereIsRoom(t *testing.T) {
	dir := t.TempDir()
	j, _ := mustOpenJournal(t, dir)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	j.file.Close()
	j.file = full
	if err := j.append(row{Name: nameOf("a"), Phase: ended, PID: 8}); err == nil || !j.stale() {
		t.Fatalf("error %v, to be rewritten: %v", err, j.stale())
	}
	if err := j.rewrite(map[string]row{"a": {Name: nameOf("a"), Phase: ended, PID: 8}}); err != nil || j.stale() {
		t.Fatalf("error %v, to be rewritten: %v", err, j.stale())
	}
	if _, rows := mustOpenJournal(t, dir); len(rows) != 1 {
		t.Fatalf("rows are %+v", rows)
	}
}
