package process

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/process/logfile"
	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
)

// mustRead reads a log as Logs does.
func mustRead(t *testing.T, dir string, options runtime.LogOptions) ([]runtime.LogLine, error) {
	t.Helper()
	reader, err := logfile.OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	var lines []runtime.LogLine
	stream := &logStream{options: options, reader: reader, emit: func(line runtime.LogLine) error {
		line.Line = slices.Clone(line.Line)
		lines = append(lines, line)
		return nil
	}}
	defer stream.close()
	err = stream.read(true)
	return lines, err
}

func TestALogIsReadOnAfterALine(t *testing.T) {
	dir := t.TempDir()
	const limit = 4 << 10
	writer, err := logfile.OpenWriter(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	add := func(line string) {
		// All of one moment: it is the place that tells lines apart.
		record := logfile.Record{Line: []byte(line), Time: time.Unix(1, 0)}
		if err := writer.Append(record.Append(nil), record); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 30 {
		add(fmt.Sprint("line ", i))
	}
	all, err := mustRead(t, dir, runtime.LogOptions{Tail: -1})
	if err != nil || len(all) != 30 {
		t.Fatalf("%d lines, %v", len(all), err)
	}
	after := func(line runtime.LogLine) runtime.LogOptions {
		return runtime.LogOptions{Tail: 1, Since: time.Unix(2, 0), After: runtime.LogPlace{Position: line.Position, Time: line.Time}}
	}
	for i, line := range all {
		rest, err := mustRead(t, dir, after(line))
		if err != nil || len(rest) != len(all)-i-1 || len(rest) > 0 && string(rest[0].Line) != fmt.Sprint("line ", i+1) {
			t.Fatalf("after line %d: %d lines, %v", i, len(rest), err)
		}
	}
	// Another line at this place, as in the log of a later instance of the name.
	other := all[10]
	other.Time = other.Time.Add(1)
	if rest, err := mustRead(t, dir, after(other)); !errors.Is(err, runtime.ErrPlaceGone) || len(rest) > 0 {
		t.Fatalf("after another line: %d lines, %v", len(rest), err)
	}
	// The line was dropped meanwhile, and others after it.
	for i := range 1000 {
		add(fmt.Sprint("more ", i))
	}
	if rest, err := mustRead(t, dir, after(all[10])); !errors.Is(err, runtime.ErrPlaceGone) || len(rest) > 0 {
		t.Fatalf("after a line that is gone: %d lines, %v", len(rest), err)
	}
}

func TestFollowingEndsWhenAnInstanceWasMadeAnewWhileTheKeeperWasLost(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	dir := filepath.Join(cfg.Dir, "log")
	mustWrite := func(line string) {
		t.Helper()
		record := logfile.Record{Line: []byte(line), Time: time.Unix(1, 0)}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		writer, err := logfile.OpenWriter(dir, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Append(record.Append(nil), record); err != nil {
			t.Fatal(err)
		}
	}
	var lines []string
	stream := &logStream{runtime: &Runtime{cfg: cfg}, options: runtime.LogOptions{Tail: -1, Follow: true}, emit: func(line runtime.LogLine) error {
		lines = append(lines, string(line.Line))
		return nil
	}}
	defer stream.close()
	// follow reads until the keeper is lost.
	follow := func() error {
		ours, theirs := net.Pipe()
		go func() {
			_ = wire.Write(theirs, wire.Response{LogDir: "log"})
			_ = theirs.Close()
		}()
		defer ours.Close()
		return stream.run(ours)
	}
	mustWrite("of the first")
	if err := follow(); !errors.Is(err, errEnded) {
		t.Fatalf("the keeper is lost: %v", err)
	}
	mustWrite("its last")
	if err := os.Rename(dir, dir+".removed"); err != nil {
		t.Fatal(err)
	}
	mustWrite("of the second")
	if err := follow(); err != nil {
		t.Errorf("following goes on: %v", err)
	}
	if want := []string{"of the first", "its last"}; !slices.Equal(lines, want) {
		t.Errorf("read %q, want %q", lines, want)
	}
}
