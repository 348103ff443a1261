package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAFullDiskSaysWhatTakesItsRoom(t *testing.T) {
	dir := t.TempDir()
	full := fmt.Errorf("open high-water mark: %w", syscall.ENOSPC)
	if err := sayWhatTakesRoom(full, dir); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "make room on the disk of "+dir) {
		t.Errorf("a full disk: %v", err)
	}
	quarantine := filepath.Join(dir, "quarantine")
	if err := os.Mkdir(quarantine, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := sayWhatTakesRoom(full, dir); !strings.Contains(err.Error(), quarantine+" is data that was found damaged") {
		t.Errorf("a disk that is full of what was given up: %v", err)
	}
	other := errors.New("other")
	if err := sayWhatTakesRoom(other, dir); err != other {
		t.Errorf("another error became %v", err)
	}
}
