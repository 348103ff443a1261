package trial

import (
	"strings"
	"sync/atomic"
	"testing"
)

func TestWhoRunsAndWhoWaitsForADiskKeepsTheMachineBusy(t *testing.T) {
	const stat = "cpu  1 2 3\nintr 99 0\nctxt 7\nprocesses 12345\nprocs_running 3\nprocs_blocked 2\nsoftirq 1\n"
	if got := active(strings.NewReader(stat)); got != 5 {
		t.Errorf("%d are busy, not 5", got)
	}
	if got := active(strings.NewReader("")); got != 0 {
		t.Errorf("%d are busy where nothing is known", got)
	}
}

func TestTheMachineIsFoundBusy(t *testing.T) {
	var stop atomic.Bool
	defer stop.Store(true)
	for range 4 {
		go func() {
			for turns := 0; !stop.Load(); {
				turns++
			}
		}()
	}
	if got := busy(t.Context()); got < 1 {
		t.Errorf("%v are busy, and there are 4 of this process alone", got)
	}
}
