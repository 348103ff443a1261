package sim_test

import (
	"runtime/debug"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// As simulations are run: little lives on of what they allocate.
	debug.SetGCPercent(400)
	goleak.VerifyTestMain(m)
}
