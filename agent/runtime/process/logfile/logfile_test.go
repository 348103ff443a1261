package logfile

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
)

func mustOpenWriter(t *testing.T, dir string, limit int64) *Writer {
	t.Helper()
	w, err := OpenWriter(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func mustAppend(t *testing.T, w *Writer, records ...Record) {
	t.Helper()
	var data []byte
	for _, record := range records {
		data = record.Append(data)
	}
	if err := w.Append(data, records[len(records)-1]); err != nil {
		t.Fatal(err)
	}
}

func mustOpenReader(t *testing.T, dir string) *Reader {
	t.Helper()
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func mustReadAll(t *testing.T, r *Reader) []string {
	t.Helper()
	var lines []string
	for {
		record, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if record == nil {
			return lines
		}
		lines = append(lines, string(record.Line))
	}
}

func at(second int64) time.Time { return time.Unix(second, 42) }

func TestReaderForgetsHalfARecordThatWasCutOff(t *testing.T) {
	dir := t.TempDir()
	w := mustOpenWriter(t, dir, 1<<20)
	mustAppend(t, w, Record{Line: []byte("one"), Time: at(1), Out: 4})
	path := filepath.Join(dir, "log.1")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := mustOpenReader(t, dir)
	// A writer that is killed leaves half of a record, its successor cuts it off.
	torn := Record{Line: []byte("never finished"), Time: at(2), Out: 19}.Append(slices.Clone(whole))
	if err := os.WriteFile(path, torn[:len(torn)-10], 0o600); err != nil {
		t.Fatal(err)
	}
	if got := mustReadAll(t, r); !slices.Equal(got, []string{"one"}) {
		t.Fatalf("read %q", got)
	}
	mustAppend(t, mustOpenWriter(t, dir, 1<<20), Record{Line: []byte("two"), Time: at(3), Out: 8})
	if got := mustReadAll(t, r); !slices.Equal(got, []string{"two"}) {
		t.Errorf("read %q after what was cut off, want two", got)
	}
}

func TestReaderGetsWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	w := mustOpenWriter(t, dir, 1<<20)
	written := []Record{
		{Line: []byte("one"), Time: at(1), Out: 4},
		{Line: []byte("two"), Stderr: true, Time: at(2), Out: 4, Err: 4},
		{Line: []byte{}, Time: at(3), Out: 5, Err: 4},
	}
	mustAppend(t, w, written...)
	r := mustOpenReader(t, dir)
	for i, want := range written {
		got, err := r.Next()
		if err != nil || got == nil {
			t.Fatalf("record %d: %v, %v", i, got, err)
		}
		if string(got.Line) != string(want.Line) || got.Stderr != want.Stderr || !got.Time.Equal(want.Time) ||
			got.Out != want.Out || got.Err != want.Err {
			t.Errorf("record %d is %+v, want %+v", i, got, want)
		}
	}
	if got, err := r.Next(); got != nil || err != nil {
		t.Fatalf("after the end: %v, %v", got, err)
	}
	mustAppend(t, w, Record{Line: []byte("later"), Time: at(4)})
	if got := mustReadAll(t, r); !slices.Equal(got, []string{"later"}) {
		t.Fatalf("read on: %q", got)
	}
}

func TestOldSegmentsAreDropped(t *testing.T) {
	dir := t.TempDir()
	const limit = 4096
	w := mustOpenWriter(t, dir, limit)
	early := mustOpenReader(t, dir)
	var all []string
	for i := range 1000 {
		line := fmt.Sprintf("line %d", i)
		all = append(all, line)
		mustAppend(t, w, Record{Line: []byte(line), Time: at(int64(i))})
		if i == 10 {
			mustReadAll(t, early)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var bytes int64
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
	}
	if len(entries) != 2 || bytes > 2*limit {
		t.Fatalf("%d files of %d bytes are kept, want two of at most %d", len(entries), bytes, limit)
	}
	kept := mustReadAll(t, mustOpenReader(t, dir))
	if len(kept) == 0 || !slices.Equal(kept, all[len(all)-len(kept):]) {
		t.Fatalf("kept lines %q are not the last ones", kept)
	}
	// A reader that fell behind goes on with the oldest that is left.
	got := mustReadAll(t, early)
	if !slices.Equal(got[len(got)-len(kept):], kept) {
		t.Fatalf("late reader got %q at its end, want %q", got[len(got)-len(kept):], kept)
	}
}

func TestReaderOutlivesTheLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "instance")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w := mustOpenWriter(t, dir, 1<<20)
	mustAppend(t, w, Record{Line: []byte("one"), Time: at(1)}, Record{Line: []byte("two"), Time: at(1)})
	r := mustOpenReader(t, dir)
	if got, err := r.Next(); err != nil || string(got.Line) != "one" {
		t.Fatalf("first line: %v, %v", got, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if got := mustReadAll(t, r); !slices.Equal(got, []string{"two"}) {
		t.Fatalf("after removal: %q", got)
	}
}

func TestPiecesBecomeOneLine(t *testing.T) {
	dir := t.TempDir()
	w := mustOpenWriter(t, dir, 1<<20)
	piece := strings.Repeat("x", MaxPiece)
	mustAppend(t, w, Record{Line: []byte(piece), Partial: true, Time: at(1)})
	mustAppend(t, w, Record{Line: []byte("other"), Stderr: true, Time: at(1)})
	mustAppend(t, w, Record{Line: []byte("end"), Time: at(1)})
	mustAppend(t, w, Record{Line: []byte("begun"), Partial: true, Time: at(1)})
	r := mustOpenReader(t, dir)
	if got := mustReadAll(t, r); !slices.Equal(got, []string{"other", piece + "end"}) {
		t.Fatalf("%d lines", len(got))
	}
	if rest := r.Rest(); len(rest) != 1 || string(rest[0].Line) != "begun" {
		t.Fatalf("rest is %+v", rest)
	}
}

func TestWriterGoesOnAfterItsPredecessorWasKilled(t *testing.T) {
	whole := Record{Line: []byte("whole"), Time: at(5), Out: 6, Err: 7}
	torn := Record{Line: []byte("torn off"), Time: at(6), Out: 15}.Append(nil)
	for cut := range torn {
		dir := t.TempDir()
		mustAppend(t, mustOpenWriter(t, dir, 1<<20), whole)
		path := filepath.Join(dir, "log.1")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(data, torn[:cut]...), 0o600); err != nil {
			t.Fatal(err)
		}
		w := mustOpenWriter(t, dir, 1<<20)
		if last := w.Last(); last.Out != 6 || last.Err != 7 || !last.Time.Equal(at(5)) {
			t.Fatalf("cut at %d: last is %+v", cut, last)
		}
		mustAppend(t, w, Record{Line: []byte("next"), Time: at(7)})
		if got := mustReadAll(t, mustOpenReader(t, dir)); !slices.Equal(got, []string{"whole", "next"}) {
			t.Fatalf("cut at %d: lines %q", cut, got)
		}
	}
}

func TestWriterFindsItsPositionBehindAnEmptySegment(t *testing.T) {
	dir := t.TempDir()
	mustAppend(t, mustOpenWriter(t, dir, 1<<20), Record{Line: []byte("x"), Time: at(5), Out: 6})
	if err := os.WriteFile(filepath.Join(dir, "log.2"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := mustOpenWriter(t, dir, 1<<20)
	if w.Last().Out != 6 {
		t.Fatalf("last is %+v", w.Last())
	}
	if got := w.Later(at(1)); !got.Equal(at(5)) {
		t.Fatalf("time went back to %v", got)
	}
}

func FuzzReaderSurvivesAnyFile(f *testing.F) {
	f.Add(Record{Line: []byte("line"), Time: at(1)}.Append(nil))
	f.Add([]byte("no log at all, but long enough for a header"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "log.1"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		r := mustOpenReader(t, dir)
		for {
			record, err := r.Next()
			if err != nil || record == nil {
				break
			}
		}
		w := mustOpenWriter(t, dir, 1<<20)
		mustAppend(t, w, Record{Line: []byte("next"), Time: at(7)})
		got := mustReadAll(t, mustOpenReader(t, dir))
		if len(got) == 0 || !strings.HasSuffix(got[len(got)-1], "next") {
			t.Fatalf("lines after recovery: %q", got)
		}
	})
}

func TestPlacesRiseOverSegmentsAndStayTheSame(t *testing.T) {
	dir := t.TempDir()
	w := mustOpenWriter(t, dir, 1<<10)
	for i := range 50 {
		mustAppend(t, w, Record{Line: fmt.Appendf(nil, "line %d", i), Stderr: i%3 == 0, Time: at(1)})
	}
	places := func() (all []uint64) {
		r := mustOpenReader(t, dir)
		for {
			record, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if record == nil {
				return all
			}
			all = append(all, record.Position)
		}
	}
	before := places()
	if len(before) < 10 || before[0] == 0 || !slices.IsSorted(before) || len(slices.Compact(slices.Clone(before))) != len(before) {
		t.Fatalf("places are %v", before)
	}
	mustAppend(t, w, Record{Line: []byte("next"), Time: at(1)})
	after := places()
	if !slices.Contains(after, before[len(before)-1]) || after[len(after)-1] <= before[len(before)-1] {
		t.Fatalf("places are %v, before %v", after, before)
	}
}

func TestLongLinesAreCutAndTheLongestEndTheLog(t *testing.T) {
	for _, test := range []struct{ length, line, size int }{
		{runtime.MaxLine, runtime.MaxLine, runtime.MaxLine},
		{runtime.MaxLine + 1, runtime.MaxLine, runtime.MaxLine + 1},
		{runtime.MaxLineRead, runtime.MaxLine, runtime.MaxLineRead},
		// Reported as soon as that is known.
		{runtime.MaxLineRead + 3*MaxPiece, runtime.MaxLine, (runtime.MaxLineRead/MaxPiece + 1) * MaxPiece},
	} {
		dir := t.TempDir()
		w := mustOpenWriter(t, dir, 1<<30)
		piece := make([]byte, MaxPiece)
		left := test.length
		for ; left > MaxPiece; left -= MaxPiece {
			mustAppend(t, w, Record{Line: piece, Partial: true, Time: at(1)})
		}
		mustAppend(t, w, Record{Line: piece[:left], Time: at(1)})
		record, err := mustOpenReader(t, dir).Next()
		if err != nil || record == nil || len(record.Line) != test.line || record.Size != test.size {
			t.Fatalf("%d bytes: %v, %v, want %d of %d", test.length, record, err, test.line, test.size)
		}
	}
}
