package lab

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// arrivals is the end of a path that notes what arrives and when.
type arrivals struct {
	mu      sync.Mutex
	begin   time.Time
	numbers []uint32
	times   []time.Duration
}

func (a *arrivals) Write(packet []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.numbers = append(a.numbers, binary.BigEndian.Uint32(packet))
	a.times = append(a.times, time.Since(a.begin))
	return len(packet), nil
}

func packet(number, size int) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(number)), make([]byte, size-4)...)
}

// travel sends packets of a size over a link, one every so often, and returns
// what arrives. Time is virtual.
func travel(t *testing.T, link Link, n, size int, every time.Duration) *arrivals {
	t.Helper()
	a := &arrivals{}
	synctest.Test(t, func(t *testing.T) {
		a.begin = time.Now()
		courier := newCourier()
		defer courier.close()
		p := &path{from: &socket{}, to: &socket{out: a}}
		shape := newShaper(link, 1, 1)
		for i := range n {
			at, copies := shape.decide(time.Now(), size)
			for range copies {
				courier.send(p, at, packet(i, size))
			}
			time.Sleep(every)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
	})
	return a
}

func TestADelayedPacketArrivesJustThen(t *testing.T) {
	a := travel(t, Link{Delay: 50 * time.Millisecond}, 100, 100, time.Millisecond)
	if len(a.numbers) != 100 {
		t.Fatalf("%d of 100 arrived", len(a.numbers))
	}
	for i, number := range a.numbers {
		if want := time.Duration(i+50) * time.Millisecond; int(number) != i || a.times[i] != want {
			t.Fatalf("packet %d arrived as number %d after %v, want %v", number, i, a.times[i], want)
		}
	}
}

func TestJitterDelaysAndKeepsTheOrder(t *testing.T) {
	a := travel(t, Link{Delay: 10 * time.Millisecond, Jitter: 30 * time.Millisecond}, 1000, 100, time.Millisecond)
	if len(a.numbers) != 1000 || !slices.IsSorted(a.numbers) {
		t.Errorf("%d of 1000 arrived, in order: %v", len(a.numbers), slices.IsSorted(a.numbers))
	}
	different := map[time.Duration]bool{}
	for i, at := range a.times {
		late := at - time.Duration(a.numbers[i])*time.Millisecond
		if late < 10*time.Millisecond || late > 40*time.Millisecond {
			t.Errorf("packet %d was %v late", i, late)
		}
		different[late] = true
	}
	if len(different) < 10 {
		t.Errorf("packets were late by %d different times only", len(different))
	}
}

func TestReorderedPacketsAreOvertakenAndArrive(t *testing.T) {
	a := travel(t, Link{Reorder: 0.1}, 1000, 100, 100*time.Microsecond)
	sorted := slices.Sorted(slices.Values(a.numbers))
	if len(slices.Compact(sorted)) != 1000 || len(a.numbers) != 1000 {
		t.Errorf("%d of 1000 arrived", len(a.numbers))
	}
	overtaken := 0
	for i := 1; i < len(a.numbers); i++ {
		if a.numbers[i] < a.numbers[i-1] {
			overtaken++
		}
	}
	if overtaken < 50 || overtaken > 200 {
		t.Errorf("%d of 1000 were overtaken, want about 100", overtaken)
	}
}

func TestLossAndDuplicatesAreTheShareThatWasAskedFor(t *testing.T) {
	lost := travel(t, Link{Loss: 0.3}, 10000, 100, 0)
	if n := len(lost.numbers); n < 6700 || n > 7300 {
		t.Errorf("%d of 10000 arrived, want about 7000", n)
	}
	twice := travel(t, Link{Duplicate: 0.3}, 10000, 100, 0)
	if n := len(twice.numbers); n < 12700 || n > 13300 {
		t.Errorf("%d packets arrived of 10000, want about 13000", n)
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(twice.numbers)))); n != 10000 {
		t.Errorf("%d different packets arrived, want 10000", n)
	}
	all := travel(t, Link{Loss: 1}, 100, 100, 0)
	if n := len(all.numbers); n != 0 {
		t.Errorf("%d packets arrived of which all are lost", n)
	}
}

func TestARateLetsPacketsWaitAndDropsWhatWaitsTooLong(t *testing.T) {
	// A packet every 10 ms.
	a := travel(t, Link{Rate: 100_000}, 200, 1000, 0)
	if n := len(a.numbers); n < 100 || n > 102 {
		t.Errorf("%d arrived, want those of a second, 100", n)
	}
	for i, at := range a.times {
		if want := time.Duration(i+1) * 10 * time.Millisecond; at != want {
			t.Fatalf("packet %d arrived after %v, want %v", i, at, want)
		}
	}
	// Those that come more slowly than that do not wait.
	slow := travel(t, Link{Rate: 100_000}, 200, 1000, 20*time.Millisecond)
	if n := len(slow.numbers); n != 200 || slow.times[199] != 199*20*time.Millisecond+10*time.Millisecond {
		t.Errorf("%d arrived, the last after %v", n, slow.times[len(slow.times)-1])
	}
}

func TestABlackHoleDropsWhatIsLarge(t *testing.T) {
	hole := Link{MaxSize: 500}
	if n := len(travel(t, hole, 10, 500, 0).numbers); n != 10 {
		t.Errorf("%d of 10 small packets arrived", n)
	}
	if n := len(travel(t, hole, 10, 501, 0).numbers); n != 0 {
		t.Errorf("%d large packets arrived", n)
	}
}

func TestWhatIsUnderWayIsLostInACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &arrivals{begin: time.Now()}
		courier := newCourier()
		defer courier.close()
		p := &path{from: &socket{}, to: &socket{out: a}}
		courier.send(p, time.Now().Add(time.Second), packet(1, 4))
		courier.send(p, time.Now().Add(3*time.Second), packet(2, 4))
		p.cut.Store(true)
		time.Sleep(2 * time.Second)
		p.cut.Store(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !slices.Equal(a.numbers, []uint32{2}) {
			t.Errorf("arrived: %v, want the second packet only", a.numbers)
		}
	})
}

func TestAFullNetworkDropsWhatComesLate(t *testing.T) {
	a := travel(t, Link{Delay: time.Second}, maxParcels+100, 4, 0)
	if len(a.numbers) != maxParcels || !slices.IsSorted(a.numbers) {
		t.Errorf("%d arrived, want the first %d", len(a.numbers), maxParcels)
	}
}

func TestPacketsAreTakenByTimeThenByNumber(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var c courier
	begin := time.Now()
	for range 10 {
		for range 1000 {
			c.sent++
			c.push(parcel{at: begin.Add(time.Duration(random.IntN(100))), number: c.sent})
		}
		due, _ := c.take(nil, begin.Add(time.Duration(random.IntN(100))))
		more, wait := c.take(due, begin.Add(100))
		if wait != time.Hour || len(more) != 1000 {
			t.Fatalf("took %d, the next after %v", len(more), wait)
		}
		for i := 1; i < len(more); i++ {
			if !more[i-1].before(&more[i]) {
				t.Fatalf("parcel %d came before its time", i)
			}
		}
	}
}

func TestForwardingAllocatesNothing(t *testing.T) {
	a := &arrivals{numbers: make([]uint32, 0, 1<<16), times: make([]time.Duration, 0, 1<<16)}
	from, to := &socket{}, &socket{out: a}
	c := &crossbar{courier: &courier{sooner: make(chan struct{}, 1)}}
	c.sockets[2].Store(to)
	bytes := make([]byte, 100)
	bytes[0] = 4 << 4
	copy(bytes[16:], []byte{10, 99, 2, 2})
	if n := testing.AllocsPerRun(1000, func() { c.forward(from, bytes) }); n != 0 {
		t.Errorf("%v allocations for a packet that passes at once", n)
	}
	from.path(2, to).shape.Store(newShaper(Link{Duplicate: 0.5, Jitter: 1}, 1, 1))
	var due []parcel
	if n := testing.AllocsPerRun(1000, func() {
		c.forward(from, bytes)
		due, _ = c.courier.take(due[:0], time.Now().Add(time.Second))
		for i := range due {
			due[i].path.deliver(due[i].packet)
		}
		c.courier.giveBack(due)
	}); n != 0 {
		t.Errorf("%v allocations for a packet that is shaped", n)
	}
	if len(a.numbers) < 2000 {
		t.Errorf("%d packets arrived", len(a.numbers))
	}
}

func TestALinkThatCannotBeIsRefused(t *testing.T) {
	for _, link := range []Link{
		{Loss: -0.1}, {Loss: 1.1}, {Duplicate: math.NaN()}, {Reorder: 2}, {Delay: -1}, {Jitter: -1}, {Rate: -1}, {MaxSize: -1},
	} {
		if link.Validate() == nil {
			t.Errorf("%+v is taken", link)
		}
	}
	if err := (Link{Delay: time.Second, Jitter: time.Second, Loss: 1, Duplicate: 1, Reorder: 1, Rate: 1, MaxSize: 1}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoPacketToAHostIsDropped(t *testing.T) {
	to := func(address ...byte) []byte { return append(append([]byte{4 << 4}, make([]byte, 15)...), address...) }
	for _, tc := range []struct {
		packet []byte
		number int
	}{
		{to(10, 99, 7, 2), 7},
		{to(10, 99, 7, 3), 0},
		{to(10, 98, 7, 2), 0},
		{to(10, 99, 255, 2), 0},
		{to(10, 99, 7), 0},
		{append([]byte{6 << 4}, make([]byte, 39)...), 0},
		{nil, 0},
	} {
		number, ok := receiver(tc.packet)
		if ok != (tc.number > 0) || ok && number != tc.number {
			t.Errorf("%v is for %d, %v; want %d", tc.packet, number, ok, tc.number)
		}
	}
}
