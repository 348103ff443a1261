package sim_test

import (
	"runtime/debug"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// As simulations are run: little lives on of what they allocate.
	debug.SetGCPercent(400)
	// A log of which a bit has flipped: bbolt gives up in the midst of its scan for
	// free pages, and the goroutine that found it waits to tell more.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("go.etcd.io/bbolt.(*DB).freepages.func2"))
}
