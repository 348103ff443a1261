package lab_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/chaos/lab"
)

// Numbers of packets that say that all others were sent, and that no other one
// arrives behind.
const (
	allSent    = 1 << 31
	allArrived = allSent + 1
)

// flow sends so many numbered packets of a size from one host to another, as the
// link says, and returns the numbers of those that arrive, by their order.
func flow(t *testing.T, l *lab.Lab, from, to *lab.Host, how lab.Link, n, size int) []int {
	t.Helper()
	near, far := listenUDP(t, from), listenUDP(t, to)
	// The receiver loses nothing itself.
	raw, err := far.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20) }))
	must(t, err)
	must(t, l.Shape(from, to, how))
	transmit := func(number, size int) {
		text := make([]byte, size)
		binary.BigEndian.PutUint32(text, uint32(number))
		_, err := near.WriteTo(text, far.LocalAddr())
		must(t, err)
	}
	for i := range n {
		transmit(i, size)
	}
	sent, arrived := make(chan struct{}, 1), make(chan []int)
	go func() {
		var numbers []int
		defer func() { arrived <- numbers }()
		text := make([]byte, 1<<16)
		for {
			if _, err := far.Read(text); err != nil {
				return
			}
			switch number := binary.BigEndian.Uint32(text); number {
			case allSent:
				select {
				case sent <- struct{}{}:
				default:
				}
			case allArrived:
				return
			default:
				numbers = append(numbers, int(number))
			}
		}
	}()
	// It may be lost as others are.
	for waiting := true; waiting; {
		transmit(allSent, 4)
		select {
		case <-sent:
			waiting = false
		case <-time.After(20 * time.Millisecond):
		}
	}
	// What is held back has been seen by the switch, and goes before this.
	must(t, l.Shape(from, to, lab.Link{Delay: 100 * time.Millisecond}))
	transmit(allArrived, 4)
	numbers := <-arrived
	must(t, l.Shape(from, to, lab.Link{}))
	return numbers
}

func TestShapedLinksDoWhatTheySay(t *testing.T) {
	t.Parallel()
	l := mustLab(t, lab.Shaped(1))
	a, b := mustHost(t, l, "a"), mustHost(t, l, "b")
	const n = 2000
	different := func(numbers []int) int { return len(slices.Compact(slices.Sorted(slices.Values(numbers)))) }
	for _, tc := range []struct {
		name string
		how  lab.Link
		size int
		ok   func(numbers []int) bool
	}{
		{"nothing", lab.Link{}, 100, func(numbers []int) bool { return len(numbers) == n && slices.IsSorted(numbers) }},
		{"delay and jitter", lab.Link{Delay: 5 * time.Millisecond, Jitter: 5 * time.Millisecond}, 100, func(numbers []int) bool {
			return len(numbers) == n && slices.IsSorted(numbers)
		}},
		{"loss", lab.Link{Loss: 0.3}, 100, func(numbers []int) bool {
			return len(numbers) > n*6/10 && len(numbers) < n*8/10 && slices.IsSorted(numbers)
		}},
		{"duplicates", lab.Link{Duplicate: 0.3}, 100, func(numbers []int) bool {
			return len(numbers) > n*12/10 && len(numbers) < n*14/10 && different(numbers) == n
		}},
		{"reordering", lab.Link{Reorder: 0.1}, 100, func(numbers []int) bool {
			return len(numbers) == n && different(numbers) == n && !slices.IsSorted(numbers)
		}},
		{"a queue that overflows", lab.Link{Rate: 100_000}, 1000, func(numbers []int) bool {
			return len(numbers) >= 90 && len(numbers) < n/2 && slices.IsSorted(numbers)
		}},
		{"a black hole, what passes", lab.Link{MaxSize: 500}, 400, func(numbers []int) bool { return len(numbers) == n }},
		{"a black hole, what does not", lab.Link{MaxSize: 500}, 600, func(numbers []int) bool { return len(numbers) == 0 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if numbers := flow(t, l, a, b, tc.how, n, tc.size); !tc.ok(numbers) {
				t.Errorf("%d of %d arrived, %d different ones, in order: %v", len(numbers), n, different(numbers), slices.IsSorted(numbers))
			}
			if numbers := flow(t, l, b, a, lab.Link{}, n, 100); len(numbers) != n || !slices.IsSorted(numbers) {
				t.Errorf("%d of %d arrived the other way", len(numbers), n)
			}
		})
	}
	if err := l.Shape(a, b, lab.Link{Loss: 2}); err == nil {
		t.Error("a loss of 200 % was taken")
	}
}

func TestConnectionsSurviveABadLinkAndStallInABlackHole(t *testing.T) {
	t.Parallel()
	l := mustLab(t, lab.Shaped(1))
	a, b := mustHost(t, l, "a"), mustHost(t, l, "b")
	near, far := mustConnect(t, a, listenTCP(t, b))
	bad := lab.Link{Delay: time.Millisecond, Jitter: time.Millisecond, Loss: 0.05, Duplicate: 0.05, Reorder: 0.05}
	must(t, l.Shape(a, b, bad))
	must(t, l.Shape(b, a, bad))
	sent := make([]byte, 1<<18)
	for i := range sent {
		sent[i] = byte(i * 7)
	}
	got := make([]byte, len(sent))
	exchange := func() error {
		wrote := make(chan error, 1)
		go func() {
			_, err := near.Write(sent)
			wrote <- err
		}()
		_, err := io.ReadFull(far, got)
		return errors.Join(err, <-wrote)
	}
	must(t, exchange())
	if !slices.Equal(got, sent) {
		t.Error("what arrived is not what was sent")
	}
	// What is small passes the hole, what is large does not, until it is healed.
	must(t, l.Shape(a, b, lab.Link{MaxSize: 500}))
	must(t, l.Shape(b, a, lab.Link{}))
	_, err := near.Write([]byte("small"))
	must(t, err)
	_, err = io.ReadFull(far, got[:5])
	must(t, err)
	_, err = near.Write(sent[:1400])
	must(t, err)
	must(t, far.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
	if n, err := far.Read(got); !isTimeout(err) {
		t.Errorf("%d bytes came through the hole: %v", n, err)
	}
	must(t, l.Heal(a))
	must(t, far.SetReadDeadline(time.Time{}))
	_, err = io.ReadFull(far, got[:1400])
	must(t, err)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestACutThatHealsLeavesTheShapeOfTheLink(t *testing.T) {
	t.Parallel()
	l := mustLab(t, lab.Shaped(1))
	a, b := mustHost(t, l, "a"), mustHost(t, l, "b")
	at, bt := listenUDP(t, a), listenUDP(t, b)
	must(t, l.Shape(a, b, lab.Link{MaxSize: 100}))
	must(t, l.CutOneWay(a, b))
	must(t, l.HealOneWay(a, b))
	send(t, at, bt, strings.Repeat("large", 20))
	send(t, at, bt, "small")
	mustReceive(t, bt, "small")
	must(t, l.CutOneWay(a, b))
	must(t, l.Shape(a, b, lab.Link{}))
	send(t, at, bt, "into the cut")
	must(t, l.HealOneWay(a, b))
	send(t, at, bt, strings.Repeat("large", 20))
	mustReceive(t, bt, strings.Repeat("large", 20))
	must(t, l.Shape(a, b, lab.Link{Loss: 1}))
	must(t, l.CutOneWay(a, b))
	must(t, l.Heal())
	send(t, at, bt, "healed")
	mustReceive(t, bt, "healed")
}

func TestARouterShapesNothingAndSaysSo(t *testing.T) {
	t.Parallel()
	l := mustLab(t)
	a, b := mustHost(t, l, "a"), mustHost(t, l, "b")
	if err := l.Shape(a, b, lab.Link{Loss: 0.1}); !errors.Is(err, lab.ErrUnable) {
		t.Errorf("shape: %v", err)
	}
	must(t, l.Shape(a, b, lab.Link{}))
}
