package cli

import (
	"runtime"
	"testing"
)

func TestSmallHeapsTolerateMoreGarbage(t *testing.T) {
	tests := []struct {
		live uint64
		want int
	}{
		{0, 400}, {4 << 20, 400}, {24 << 20, 400}, {64 << 20, 250}, {80 << 20, 200}, {160 << 20, 100}, {1 << 30, 100},
	}
	for _, test := range tests {
		if got := garbagePercent(test.live); got != test.want {
			t.Errorf("%d bytes alive: %d %%, want %d %%", test.live, got, test.want)
		}
	}
}

func TestTheTargetIsLookedAtAfterEachCollection(t *testing.T) {
	calls := make(chan struct{}, 16)
	afterEachCollection(func() {
		select {
		case calls <- struct{}{}:
		default:
		}
	})
	for range 3 {
		runtime.GC()
		<-calls
	}
}
