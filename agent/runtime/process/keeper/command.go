package keeper

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
)

func newRun() string {
	var random [12]byte
	_, _ = rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:])
}

// findCommand returns the path of a command and checks the working directory,
// for which the kernel has the same error.
func findCommand(request *wire.Start) (string, error) {
	info, err := os.Stat(request.Dir)
	if err != nil {
		return "", fmt.Errorf("enter working directory: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("enter working directory: %s is no directory", request.Dir)
	}
	command := request.Args[0]
	if strings.Contains(command, "/") {
		return command, nil
	}
	var path string
	for _, variable := range request.Env {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			path = value
		}
	}
	for _, dir := range filepath.SplitList(path) {
		candidate := filepath.Join(dir, command)
		if !filepath.IsAbs(candidate) {
			continue
		}
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() && unix.Access(candidate, unix.X_OK) == nil {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("find command %q in PATH %q: no such executable file", command, path)
}
