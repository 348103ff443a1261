package cli

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// mustListenAsSystemd returns what systemd was told, one by one.
func mustListenAsSystemd(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return socket
}

// told returns what waits to be read, within the deadline.
func told(t *testing.T, socket *net.UnixConn, until time.Time) string {
	t.Helper()
	if err := socket.SetReadDeadline(until); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 100)
	n, _ := socket.Read(text)
	return string(text[:n])
}

func TestAnAgentIsReadyWhenItHasItsDirectories(t *testing.T) {
	systemd := mustListenAsSystemd(t)
	dir := t.TempDir()
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	args := []string{
		"agent", "--name", "a1", "--data-dir", dir, "--run-folder", filepath.Join(dir, "run"), "--gossip-address", "off",
		"--server", "127.0.0.1:1", "--runtimes", "podman", "--podman-socket", "unix://" + filepath.Join(dir, "no.sock"),
	}
	var said strings.Builder
	a := &app{version: "test", out: io.Discard, err: &said}
	if code := a.execute(t.Context(), args); code == argosyv1.ExitDone || !strings.Contains(said.String(), "data directory in use") {
		t.Errorf("with a directory of another agent it ends with %d: %s", code, said.String())
	}
	if got := told(t, systemd, time.Now().Add(10*time.Millisecond)); got != "" {
		t.Errorf("with a directory of another agent it says %q", got)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	a = &app{version: "test", out: io.Discard, err: io.Discard}
	go func() { ended <- a.execute(ctx, args) }()
	if got := told(t, systemd, time.Now().Add(30*time.Second)); got != "READY=1" {
		t.Errorf("it says %q", got)
	}
	cancel()
	<-ended
}
