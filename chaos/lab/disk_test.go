package lab_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/chaos/lab"
)

func TestAReadOnlyDiskTakesNothingAndKeepsWhatWasFlushed(t *testing.T) {
	t.Parallel()
	disk := mustDisk(t, mustLab(t), "disk")
	write(t, disk, "flushed", true)
	open, err := os.OpenFile(filepath.Join(disk.Outside(), "open"), os.O_CREATE|os.O_WRONLY, 0o600)
	must(t, err)
	must(t, disk.ReadOnly())
	if err := os.WriteFile(filepath.Join(disk.Outside(), "late"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("a read-only disk took a file: %v", err)
	}
	if _, err := open.WriteString("late"); err == nil {
		err = open.Sync()
		if err == nil {
			t.Error("a read-only disk took what was written to an open file")
		}
	}
	must(t, open.Close())
	must(t, disk.Writable())
	text, err := os.ReadFile(filepath.Join(disk.Outside(), "flushed"))
	must(t, err)
	if string(text) != "flushed" {
		t.Errorf("what was flushed reads %q", text)
	}
	write(t, disk, "again", true)
}

func TestASlowDiskDoesSoManyWritesASecond(t *testing.T) {
	t.Parallel()
	disk := mustDisk(t, mustLab(t), "disk")
	if err := disk.Slow(0); err == nil {
		t.Error("a disk may do no write at all")
	}
	if err := disk.Slow(10); errors.Is(err, lab.ErrUnable) {
		t.Skip(err)
	} else {
		must(t, err)
	}
	// A machine that is slow itself makes this longer, never shorter.
	begin := time.Now()
	for range 5 {
		write(t, disk, "flushed", true)
	}
	if took := time.Since(begin); took < 500*time.Millisecond {
		t.Errorf("5 flushes of at least 2 writes each took %v at 10 writes a second", took)
	}
	must(t, disk.Fast())
	must(t, disk.Fast())
	text, err := os.ReadFile(lab.ThrottlePath())
	if err == nil && strings.Contains("\n"+string(text), "\n"+lab.Device(disk)+" ") {
		t.Errorf("the bound is left: %s", text)
	}
}

func TestAStalledDiskLosesPower(t *testing.T) {
	t.Parallel()
	disk := mustDisk(t, mustLab(t), "disk")
	must(t, disk.Stall())
	waits := make(chan error, 1)
	go func() { waits <- os.WriteFile(filepath.Join(disk.Outside(), "late"), []byte("late"), 0o600) }()
	must(t, disk.PowerOff())
	// It may have been too early for the stall, not for the loss of power.
	if <-waits == nil {
		t.Error("a disk without power took a file")
	}
	must(t, disk.Resume())
	must(t, disk.PowerOn())
	write(t, disk, "again", true)
}

func TestADiskThatHasNoRoomSaysSo(t *testing.T) {
	t.Parallel()
	// The lab is on a disk of another one, which is seen from outside.
	outer := mustDisk(t, mustLab(t), "outer")
	l, err := lab.New(filepath.Join(outer.Outside(), "inner"))
	must(t, err)
	defer func() { must(t, l.Close()) }()
	_, err = l.Disk("disk", 64<<20)
	if !errors.Is(err, lab.ErrFull) {
		t.Fatalf("a disk of 64 MiB on one of 32 MiB: %v", err)
	}
	for _, want := range []string{"make disk disk", "64 MiB", "smaller disks"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(outer.Outside(), "inner")); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}
