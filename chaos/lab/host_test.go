package lab_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/chaos/lab"
)

// listenTCP opens a listener on a host.
func listenTCP(t *testing.T, host *lab.Host) net.Listener {
	t.Helper()
	var listener net.Listener
	must(t, lab.Within(host, func() error {
		var err error
		listener, err = net.Listen("tcp4", net.JoinHostPort(host.Address, "0"))
		return err
	}))
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// mustConnect connects two hosts, and returns both ends.
func mustConnect(t *testing.T, from *lab.Host, to net.Listener) (net.Conn, net.Conn) {
	t.Helper()
	near, err := from.Dial(t.Context(), to.Addr().String())
	must(t, err)
	t.Cleanup(func() { _ = near.Close() })
	far, err := to.Accept()
	must(t, err)
	t.Cleanup(func() { _ = far.Close() })
	return near, far
}

func TestACutHealsByItself(t *testing.T) {
	t.Parallel()
	onEachFabric(t, func(t *testing.T, l *lab.Lab) {
		a, b := mustHost(t, l, "a"), mustHost(t, l, "b")
		at, bt := listenUDP(t, a), listenUDP(t, b)
		must(t, l.Cut(a, b))
		must(t, l.HealOneWay(a, b))
		must(t, l.HealOneWay(a, b))
		send(t, bt, at, "into the cut")
		send(t, at, bt, "where it healed")
		mustReceive(t, bt, "where it healed")
		must(t, l.HealOneWay(b, a))
		send(t, bt, at, "back")
		mustReceive(t, at, "back")
	})
}

func TestAnUnpluggedHostIsToldAndOthersHearNothing(t *testing.T) {
	t.Parallel()
	onEachFabric(t, func(t *testing.T, l *lab.Lab) {
		a, b := mustHost(t, l, "a"), mustHost(t, l, "b")
		at, bt := listenUDP(t, a), listenUDP(t, b)
		send(t, at, bt, "before")
		mustReceive(t, bt, "before")
		must(t, a.Unplug())
		must(t, a.Unplug())
		if _, err := at.WriteTo([]byte("out"), bt.LocalAddr()); !errors.Is(err, unix.ENETUNREACH) {
			t.Errorf("sent without a cable: %v", err)
		}
		send(t, bt, at, "in")
		// Of two reasons for silence one is left.
		must(t, a.PowerOff())
		must(t, a.Plug())
		send(t, bt, at, "still dark")
		must(t, a.PowerOn())
		send(t, bt, at, "after")
		mustReceive(t, at, "after")
		send(t, at, bt, "and back")
		mustReceive(t, bt, "and back")
	})
}

func TestACutAndASilentHostHealEachByItself(t *testing.T) {
	t.Parallel()
	onEachFabric(t, func(t *testing.T, l *lab.Lab) {
		a, b, c := mustHost(t, l, "a"), mustHost(t, l, "b"), mustHost(t, l, "c")
		at, bt, ct := listenUDP(t, a), listenUDP(t, b), listenUDP(t, c)
		must(t, l.Cut(a, b))
		must(t, a.PowerOff())
		must(t, b.PowerOff())
		must(t, a.PowerOn())
		must(t, b.PowerOn())
		send(t, at, bt, "into the cut")
		send(t, at, ct, "a to c")
		mustReceive(t, ct, "a to c")
		send(t, bt, ct, "b to c")
		mustReceive(t, ct, "b to c")
		must(t, a.PowerOff())
		must(t, l.Heal())
		send(t, bt, at, "into the dark")
		must(t, a.PowerOn())
		send(t, bt, at, "b to a")
		mustReceive(t, at, "b to a")
		send(t, at, bt, "a to b")
		mustReceive(t, bt, "a to b")
	})
}

func TestResetConnectionsBreaksThemAndLeavesListeners(t *testing.T) {
	t.Parallel()
	onEachFabric(t, resetsConnections)
}

func resetsConnections(t *testing.T, l *lab.Lab) {
	a, b, c := mustHost(t, l, "a"), mustHost(t, l, "b"), mustHost(t, l, "c")
	listener := listenTCP(t, a)
	var ends []net.Conn
	for range 3 {
		near, far := mustConnect(t, b, listener)
		ends = append(ends, near, far)
	}
	elsewhere, _ := mustConnect(t, b, listenTCP(t, c))
	n, err := a.ResetConnections()
	must(t, err)
	if n != 3 {
		t.Errorf("broke %d connections, want 3", n)
	}
	for _, end := range ends {
		if _, err := end.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("a connection that was reset reads %v", err)
		}
	}
	_, err = elsewhere.Write([]byte("x"))
	must(t, err)
	mustConnect(t, b, listener)
}

func TestKillAllEndsWhatOutlivedItsParent(t *testing.T) {
	t.Parallel()
	l := mustLab(t)
	a, b := mustHost(t, l, "a"), mustHost(t, l, "b")
	orphan, other := mustOrphan(t, a), mustOrphan(t, b)
	pids, err := a.Processes()
	must(t, err)
	if len(pids) != 1 || pids[0] != orphan {
		t.Errorf("processes on a: %v, want %d", pids, orphan)
	}
	must(t, a.KillAll())
	if lives(orphan) {
		t.Error("an orphan lives on")
	}
	if !lives(other) {
		t.Error("one of another host died")
	}
	must(t, l.Close())
	if lives(other) {
		t.Error("an orphan outlived the lab")
	}
}

// mustOrphan starts a process that outlives the one that started it, and returns
// its id.
func mustOrphan(t *testing.T, host *lab.Host) int {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", orphan)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, host.Start(cmd))
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	must(t, cmd.Wait())
	var pid int
	_, err = fmt.Sscan(line, &pid)
	must(t, err)
	return pid
}

// orphan is a script that leaves a process behind, and prints its id.
const orphan = `setsid sleep 1000 >/dev/null 2>&1 & echo $!`

// lives tells whether a process is there that has not ended.
func lives(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
