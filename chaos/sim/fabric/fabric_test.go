package fabric

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/network"
)

var (
	here  = netip.MustParseAddr("127.0.0.1")
	there = netip.MustParseAddr("127.0.0.2")
)

const delay = 10 * time.Millisecond

// scene is two hosts with a connection between them.
type scene struct {
	*Fabric
	a, b         *Host
	mine, theirs net.Conn
}

func stage(t *testing.T, link Link, play func(t *testing.T, s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := New(rand.New(rand.NewPCG(1, 2)), link)
		s := &scene{Fabric: f, a: f.Boot(here), b: f.Boot(there)}
		listener, err := s.b.Listen(t.Context(), "127.0.0.2:1000")
		if err != nil {
			t.Fatal(err)
		}
		if s.mine, err = s.a.Dial(t.Context(), "127.0.0.2:1000"); err != nil {
			t.Fatal(err)
		}
		if s.theirs, err = listener.Accept(); err != nil {
			t.Fatal(err)
		}
		play(t, s)
		s.a.Die(false)
		s.b.Die(false)
	})
}

func mustWrite(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// mustRead reads a text, which may take so long and no longer.
func mustRead(t *testing.T, c net.Conn, text string, least, most time.Duration) {
	t.Helper()
	began := time.Now()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("read %q, %v, want %q", got, err, text)
	}
	if took := time.Since(began); took < least || took > most {
		t.Errorf("%q took %v, want %v to %v", text, took, least, most)
	}
}

func TestBytesComeInOrderAfterTheirTime(t *testing.T) {
	stage(t, Link{Delay: delay, Jitter: delay, Loss: 0.2}, func(t *testing.T, s *scene) {
		var sent bytes.Buffer
		for i := range 200 {
			text := fmt.Sprintf("%d,", i)
			sent.WriteString(text)
			mustWrite(t, s.mine, text)
		}
		mustRead(t, s.theirs, sent.String(), delay, 2*delay+Retransmit)
		if err := s.mine.Close(); err != nil {
			t.Fatal(err)
		}
		if n, err := s.theirs.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after the end: %d, %v", n, err)
		}
	})
}

func TestACutHoldsWhatIsSentUntilItIsHealed(t *testing.T) {
	stage(t, Link{Delay: delay}, func(t *testing.T, s *scene) {
		first, second := s.Cut(here, there), s.Cut(here, there)
		mustWrite(t, s.mine, "late")
		mustWrite(t, s.theirs, "back")
		mustRead(t, s.mine, "back", delay, delay) // one way only
		first()
		first()
		if err := s.theirs.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.theirs.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read through a cut: %v", err)
		}
		if err := s.theirs.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		second()
		mustRead(t, s.theirs, "late", 0, delay+Retransmit)
	})
}

func TestNobodyIsReachedThroughACut(t *testing.T) {
	stage(t, Link{Delay: delay}, func(t *testing.T, s *scene) {
		heal := s.Cut(there, here)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := s.a.Dial(ctx, "127.0.0.2:1000"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("dialled through a cut: %v", err)
		}
		heal()
		if _, err := s.a.Dial(t.Context(), "127.0.0.2:1001"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dialled where nobody listens: %v", err)
		}
	})
}

func TestTheEndOfAProcessIsToldAndTheEndOfAMachineIsNot(t *testing.T) {
	stage(t, Link{Delay: delay}, func(t *testing.T, s *scene) {
		s.b.Die(false)
		began := time.Now()
		if _, err := s.mine.Read(make([]byte, 1)); err != io.EOF || time.Since(began) != delay {
			t.Errorf("after the end of the process: %v after %v", err, time.Since(began))
		}
	})
	stage(t, Link{Delay: delay}, func(t *testing.T, s *scene) {
		s.b.Die(true)
		mustWrite(t, s.mine, "is anybody there?")
		if err := s.mine.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.mine.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a machine without power answers: %v", err)
		}
		s.b = s.Boot(there)
		mustWrite(t, s.mine, "hello?")
		if err := s.mine.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := s.mine.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) || time.Since(began) != 2*delay {
			t.Errorf("a machine that has forgotten the connection: %v after %v", err, time.Since(began))
		}
	})
}

func TestALinkLetsNothingLargeThrough(t *testing.T) {
	stage(t, Link{Delay: delay}, func(t *testing.T, s *scene) {
		s.Shape(here, there, Link{Delay: delay, Largest: 100})
		mustWrite(t, s.mine, "small")
		mustRead(t, s.theirs, "small", delay, delay)
		large := string(make([]byte, 101))
		mustWrite(t, s.mine, large)
		mustWrite(t, s.mine, "small")
		if err := s.theirs.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.theirs.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("something came through: %v", err)
		}
		if err := s.theirs.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		s.Unshape(here, there)
		mustRead(t, s.theirs, large+"small", 0, delay+Retransmit)
	})
}

func TestDatagramsAreLostRepeatedAndOvertaken(t *testing.T) {
	stage(t, Link{Delay: delay, Jitter: delay, Loss: 0.25, Duplicate: 0.25, Reorder: 0.1}, func(t *testing.T, s *scene) {
		from, to := mustListenPacket(t, s.a), mustListenPacket(t, s.b)
		const sent = 500
		for i := range sent {
			if _, err := from.WriteToUDPAddrPort([]byte{byte(i), byte(i >> 8)}, netip.AddrPortFrom(there, 2000)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		time.AfterFunc(time.Minute, func() { _ = to.Close() })
		seen := map[int]int{}
		overtaken, last := 0, -1
		for {
			b := make([]byte, 16)
			n, addr, err := to.ReadFromUDPAddrPort(b)
			if errors.Is(err, net.ErrClosed) {
				break
			}
			if err != nil || n != 2 || addr.Addr() != here {
				t.Fatalf("%d bytes from %v: %v", n, addr, err)
			}
			i := int(b[0]) + int(b[1])<<8
			seen[i]++
			if i < last {
				overtaken++
			}
			last = i
		}
		twice := 0
		for _, n := range seen {
			if n > 1 {
				twice++
			}
		}
		if lost := sent - len(seen); lost < sent/8 || lost > sent/2 || twice < sent/10 || overtaken < sent/50 {
			t.Errorf("of %d were %d lost, %d came twice, and %d after a later one", sent, lost, twice, overtaken)
		}
	})
}

func mustListenPacket(t *testing.T, h *Host) network.PacketConn {
	t.Helper()
	conn, err := h.ListenPacket(t.Context(), netip.AddrPortFrom(h.Addr(), 2000))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestAWriterWaitsForAReader(t *testing.T) {
	stage(t, Link{}, func(t *testing.T, s *scene) {
		written := make(chan error, 1)
		go func() {
			var err error
			for range 3 {
				if _, err = s.mine.Write(make([]byte, room)); err != nil {
					break
				}
			}
			written <- err
		}()
		synctest.Wait()
		select {
		case err := <-written:
			t.Fatalf("nobody reads, and everything was written: %v", err)
		default:
		}
		if _, err := io.CopyN(io.Discard, s.theirs, 3*room); err != nil {
			t.Fatal(err)
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
	})
}
