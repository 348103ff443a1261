package keeper

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/agent/runtime/process/logfile"
)

type printer struct {
	t         *testing.T
	collector *collector
	log       *instanceLog
	files     [2]*os.File
}

func newPrinter(t *testing.T, dir string) *printer {
	t.Helper()
	c, err := newCollector(1<<20, 1<<20, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	log, err := c.open(dir)
	if err != nil {
		t.Fatal(err)
	}
	files, err := log.outputs()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeFiles(files) })
	c.attach(log)
	return &printer{t: t, collector: c, log: log, files: files}
}

func (p *printer) print(stream int, text string) {
	p.t.Helper()
	if _, err := p.files[stream].WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

func (p *printer) lines() []string {
	p.t.Helper()
	reader, err := logfile.OpenReader(p.log.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	defer reader.Close()
	var lines []string
	for {
		record, err := reader.Next()
		if err != nil {
			p.t.Fatal(err)
		}
		if record == nil {
			return lines
		}
		lines = append(lines, string(record.Line))
	}
}

func (p *printer) mustHave(want ...string) {
	p.t.Helper()
	if got := p.lines(); !slices.Equal(got, want) {
		p.t.Fatalf("lines are %.300q, want %q", got, want)
	}
}

func TestALineIsCopiedWhenItHasEnded(t *testing.T) {
	p := newPrinter(t, t.TempDir())
	p.print(0, "one\ntw")
	p.print(1, "err")
	p.collector.catchUp(p.log)
	p.mustHave("one")
	p.print(0, "o\n")
	p.collector.catchUp(p.log)
	p.mustHave("one", "two")
	p.collector.detach(p.log)
	p.mustHave("one", "two", "err")
}

func TestANewCollectorGoesOnWhereTheLastOneStopped(t *testing.T) {
	dir := t.TempDir()
	first := newPrinter(t, dir)
	first.print(0, "one\nbegun")
	first.print(1, "err\n")
	first.collector.catchUp(first.log)
	first.collector.close()
	first.print(0, " and ended\nlast\n")
	second := newPrinter(t, dir)
	second.collector.catchUp(second.log)
	second.mustHave("one", "err", "begun and ended", "last")
}

func TestWhatComesTooFastIsLeftOutAndSaidSo(t *testing.T) {
	p := newPrinter(t, t.TempDir())
	line := strings.Repeat("x", 1023) + "\n"
	p.print(0, strings.Repeat(line, 3<<10))
	p.collector.catchUp(p.log)
	lines := p.lines()
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "2097152 bytes were left out") }) {
		t.Fatalf("none of %d lines says what was left out", len(lines))
	}
}

func TestOutputsWithoutAWatchAreLookedAt(t *testing.T) {
	p := newPrinter(t, t.TempDir())
	p.collector.mu.Lock()
	p.collector.unwatched[p.log] = struct{}{}
	p.collector.mu.Unlock()
	p.print(1, "one\n")
	p.collector.sweep()
	p.mustHave("one")
}

func TestFollowersAreToldOfGrowthAndEnd(t *testing.T) {
	p := newPrinter(t, t.TempDir())
	grown, stop := p.collector.follow(p.log)
	defer stop()
	running := make(chan struct{})
	go func() {
		defer close(running)
		p.collector.run()
	}()
	p.print(0, "one\n")
	<-grown
	p.mustHave("one")
	p.collector.detach(p.log)
	<-grown
	if !p.collector.ended(p.log) {
		t.Fatal("the log has not ended")
	}
	p.collector.close()
	<-running
}

func TestSpaceOfCopiedOutputIsGivenBack(t *testing.T) {
	p := newPrinter(t, t.TempDir())
	for range 16 {
		p.print(0, strings.Repeat("line\n", 50_000))
		p.collector.catchUp(p.log)
	}
	data, err := os.ReadFile(filepath.Join(p.log.dir, outputFiles[0]))
	if err != nil {
		t.Fatal(err)
	}
	if zeros := bytes.Count(data, []byte{0}); zeros < len(data)-2*punchStep && zeros != 0 {
		t.Fatalf("%d of %d bytes were given back", zeros, len(data))
	}
	for _, line := range p.lines() {
		if line != "line" {
			t.Fatalf("line is %.80q", line)
		}
	}
}
