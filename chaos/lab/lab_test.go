package lab_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/wait/waittest"
)

// patience bounds what a test waits for that fails.
const patience = 90 * time.Second

func mustLab(t *testing.T, options ...lab.Option) *lab.Lab {
	t.Helper()
	l, err := lab.New(t.TempDir(), options...)
	if errors.Is(err, lab.ErrUnable) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustHost(t *testing.T, l *lab.Lab, name string) *lab.Host {
	t.Helper()
	host, err := l.Host(name)
	must(t, err)
	return host
}

func mustDisk(t *testing.T, l *lab.Lab, name string) *lab.Disk {
	t.Helper()
	disk, err := l.Disk(name, 32<<20)
	must(t, err)
	return disk
}

// eventually waits for a condition.
var eventually = waittest.Eventually(patience)

// listenUDP opens a socket on a host.
func listenUDP(t *testing.T, host *lab.Host) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	must(t, lab.Within(host, func() error {
		var err error
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(host.Address)})
		return err
	}))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func send(t *testing.T, from, to *net.UDPConn, text string) {
	t.Helper()
	_, err := from.WriteTo([]byte(text), to.LocalAddr())
	must(t, err)
}

func mustReceive(t *testing.T, at *net.UDPConn, want string) {
	t.Helper()
	must(t, at.SetReadDeadline(time.Now().Add(patience)))
	buffer := make([]byte, 100)
	n, _, err := at.ReadFrom(buffer)
	must(t, err)
	if got := string(buffer[:n]); got != want {
		t.Errorf("received %q, want %q", got, want)
	}
}

func TestWhatIsCutDoesNotArriveAndWhatIsHealedDoes(t *testing.T) {
	t.Parallel()
	onEachFabric(t, cutsAndHeals)
}

func cutsAndHeals(t *testing.T, l *lab.Lab) {
	a, b, c := mustHost(t, l, "a"), mustHost(t, l, "b"), mustHost(t, l, "c")
	at, bt, ct := listenUDP(t, a), listenUDP(t, b), listenUDP(t, c)
	exchange := func(text string) {
		send(t, at, bt, "a to b, "+text)
		send(t, bt, at, "b to a, "+text)
		send(t, at, ct, "a to c, "+text)
	}
	exchange("whole")
	mustReceive(t, bt, "a to b, whole")
	mustReceive(t, at, "b to a, whole")
	mustReceive(t, ct, "a to c, whole")

	must(t, l.CutOneWay(a, b))
	must(t, l.CutOneWay(a, b))
	exchange("one way")
	mustReceive(t, at, "b to a, one way")
	mustReceive(t, ct, "a to c, one way")

	must(t, l.Cut(a, b))
	exchange("both ways")
	mustReceive(t, ct, "a to c, both ways")

	must(t, l.HealOneWay(a, b))
	must(t, l.HealOneWay(a, c))
	exchange("the other way")
	mustReceive(t, bt, "a to b, the other way")
	mustReceive(t, ct, "a to c, the other way")
	must(t, l.CutOneWay(a, b))

	must(t, l.Isolate(a))
	exchange("alone")
	must(t, l.Heal(b))
	exchange("healed with b")
	mustReceive(t, bt, "a to b, healed with b")
	mustReceive(t, at, "b to a, healed with b")

	must(t, l.Heal())
	exchange("healed")
	mustReceive(t, ct, "a to c, healed")
}

func TestHostsConnectAndRefuse(t *testing.T) {
	t.Parallel()
	onEachFabric(t, connectsAndRefuses)
}

func connectsAndRefuses(t *testing.T, l *lab.Lab) {
	a, b := mustHost(t, l, "a"), mustHost(t, l, "b")
	var listener net.Listener
	must(t, lab.Within(b, func() error {
		var err error
		listener, err = net.Listen("tcp4", net.JoinHostPort(b.Address, "1234"))
		return err
	}))
	conn, err := a.Dial(t.Context(), listener.Addr().String())
	must(t, err)
	if from := conn.LocalAddr().(*net.TCPAddr).IP.String(); from != a.Address {
		t.Errorf("connected from %s, want %s", from, a.Address)
	}
	must(t, conn.Close())
	must(t, listener.Close())
	// Not that of the listener: a program that is being started elsewhere may have
	// it open for a moment.
	if _, err := a.Dial(t.Context(), net.JoinHostPort(b.Address, "1235")); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a port that nobody listens on: %v", err)
	}
	// Programs are where they were started.
	cmd := exec.Command("cat", "/proc/net/fib_trie")
	var text bytes.Buffer
	cmd.Stdout = &text
	must(t, b.Start(cmd))
	must(t, cmd.Wait())
	if !strings.Contains(text.String(), b.Address) || strings.Contains(text.String(), a.Address) {
		t.Errorf("a program on b has the addresses %s", &text)
	}
}

// An attempt to connect may outlive the one who asked for it.
func TestALabMayBeClosedWhileAHostConnects(t *testing.T) {
	t.Parallel()
	l := mustLab(t)
	host := mustHost(t, l, "a")
	began, refused := make(chan struct{}), make(chan error)
	go func() {
		for first := true; ; first = false {
			_, err := host.Dial(t.Context(), net.JoinHostPort(host.Address, "1"))
			if first {
				close(began)
			}
			if !errors.Is(err, unix.ECONNREFUSED) {
				refused <- err
				return
			}
		}
	}()
	<-began
	must(t, l.Close())
	if err := <-refused; err == nil {
		t.Error("a host of a lab that is closed connects")
	}
}

func TestPowerLossLosesWhatWasNotFlushed(t *testing.T) {
	t.Parallel()
	disk := mustDisk(t, mustLab(t), "disk")
	write(t, disk, "flushed", true)
	write(t, disk, "fleeting", false)
	must(t, disk.PowerOff())
	if err := os.WriteFile(filepath.Join(disk.Outside(), "late"), nil, 0o600); err == nil {
		t.Error("a disk without power took a file")
	}
	must(t, disk.PowerOn())
	text, err := os.ReadFile(filepath.Join(disk.Outside(), "flushed"))
	must(t, err)
	if string(text) != "flushed" {
		t.Errorf("what was flushed reads %q", text)
	}
	if text, err := os.ReadFile(filepath.Join(disk.Outside(), "fleeting")); err == nil && len(text) > 0 {
		t.Errorf("what was not flushed is there: %q", text)
	}
}

// write writes a file with its name in it; only when it is flushed does it last.
func write(t *testing.T, disk *lab.Disk, name string, flushed bool) {
	t.Helper()
	file, err := os.Create(filepath.Join(disk.Outside(), name))
	must(t, err)
	_, err = file.WriteString(name)
	must(t, err)
	if flushed {
		must(t, file.Sync())
	}
	must(t, file.Close())
}

func TestAStalledDiskWaitsUntilItGoesOn(t *testing.T) {
	t.Parallel()
	disk := mustDisk(t, mustLab(t), "disk")
	must(t, disk.Stall())
	thread, done := make(chan int, 1), make(chan error, 1)
	go func() {
		// A thread of its own is seen waiting.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		done <- os.WriteFile(filepath.Join(disk.Outside(), "late"), []byte("late"), 0o600)
	}()
	stat := fmt.Sprintf("/proc/self/task/%d/stat", <-thread)
	eventually(t, "the writer to wait for the disk", func() error {
		text, err := os.ReadFile(stat)
		if err == nil && !strings.Contains(string(text), ") D ") {
			err = errors.New(string(text))
		}
		return err
	})
	select {
	case err := <-done:
		t.Fatalf("a stalled disk took a file: %v", err)
	default:
	}
	must(t, disk.Resume())
	must(t, <-done)
	must(t, disk.Resume())
}

func TestAFullDiskTakesNothing(t *testing.T) {
	t.Parallel()
	disk := mustDisk(t, mustLab(t), "disk")
	must(t, disk.Fill())
	if err := os.WriteFile(filepath.Join(disk.Outside(), "more"), make([]byte, 1<<16), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a full disk answered %v", err)
	}
	must(t, disk.Empty())
	must(t, os.WriteFile(filepath.Join(disk.Outside(), "more"), make([]byte, 1<<16), 0o600))
	// It stays empty when it loses power right after.
	must(t, disk.Fill())
	folder, err := os.Open(disk.Outside())
	must(t, err)
	must(t, errors.Join(folder.Sync(), folder.Close())) // that it was full is on the disk
	must(t, disk.Empty())
	must(t, disk.PowerOff())
	must(t, disk.PowerOn())
	must(t, os.WriteFile(filepath.Join(disk.Outside(), "much"), make([]byte, 1<<20), 0o600))
}

func TestBurnersEndByTheirLimit(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"stopped": true, "over": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := lab.Burn(1, 0)
			must(t, err)
			if want {
				must(t, b.Stop())
				must(t, b.Stop())
				return
			}
			pid := lab.PIDs(b)[0]
			eventually(t, "the end of its CPU time", func() error {
				text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
				if err == nil && !strings.Contains(string(text), ") Z ") {
					err = errors.New(string(text))
				}
				return err
			})
			if err := b.Stop(); err == nil {
				t.Error("nobody said that it had ended before")
			}
		})
	}
}

// onEachFabric runs a test on hosts that are joined in each way.
func onEachFabric(t *testing.T, test func(*testing.T, *lab.Lab)) {
	t.Run("router", func(t *testing.T) { test(t, mustLab(t)) })
	t.Run("switch", func(t *testing.T) { test(t, mustLab(t, lab.Shaped(1))) })
}
