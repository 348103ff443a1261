package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// A server's heap is small most of the time, and Go then collects it again and
// again for little: a tenth of a busy server's CPU time went there. So garbage
// may pile up to a fixed amount before it is collected, but never to less than
// Go's own default of as much as lives.
const (
	// toleratedGarbage is that amount, in bytes. More saves CPU time under load
	// and costs memory then; a server at rest never comes near it.
	toleratedGarbage = 160 << 20
	// A heap of a few megabytes would tolerate dozens of times its size: more than
	// this, in percent of what lives, saves nothing worth its memory.
	mostGarbagePercent  = 400
	leastGarbagePercent = 100
)

// tolerateGarbage adapts the collector's target after each collection, to how
// much it found alive. It returns at once; there is no goroutine.
func tolerateGarbage() {
	debug.SetGCPercent(mostGarbagePercent)
	afterEachCollection(func() { debug.SetGCPercent(garbagePercent(liveHeap())) })
}

// garbagePercent is the collector's target for so many living bytes.
func garbagePercent(live uint64) int {
	if live == 0 {
		return mostGarbagePercent
	}
	return int(min(max(toleratedGarbage*100/live, leastGarbagePercent), mostGarbagePercent))
}

func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}

// afterEachCollection calls a function after every collection: a value that
// nothing refers to is found dead by each, and makes the next one.
func afterEachCollection(do func()) {
	type sentinel struct{ _ [16]byte }
	var arm func(struct{})
	arm = func(struct{}) {
		runtime.AddCleanup(new(sentinel), func(s struct{}) {
			do()
			arm(s)
		}, struct{}{})
	}
	arm(struct{}{})
}
