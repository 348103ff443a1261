package check

import (
	"strconv"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// settling is for how long after it was healed a fault may still be felt.
const settling = 5 * time.Second

// SettingTiming is the key in Meta.Settings of the factor by which the cluster's
// time-outs are longer than usual.
const SettingTiming = "timing multiplier"

// patience is by how much limits of time are longer for this history: its cluster
// may be slower on purpose, and its machine busy with other things.
func (a *account) patience() float64 {
	factor := 1.0
	if timing, ok := a.timingFactor(); ok {
		factor = max(factor, timing)
	}
	if a.h.Meta.Cores > 0 && !a.h.Meta.Simulated {
		factor *= min(8, max(1, a.h.Meta.Load/float64(a.h.Meta.Cores)))
	}
	return factor
}

func (a *account) timingFactor() (factor float64, ok bool) {
	factor, err := strconv.ParseFloat(a.h.Meta.Settings[SettingTiming], 64)
	return factor, err == nil
}

func (a *account) patient(d time.Duration) time.Duration {
	return time.Duration(a.patience() * float64(d))
}

// end of a fault: when it was healed, or the end of the history.
func (a *account) endOf(fault *history.Fault) history.Micros {
	if fault.Healed > 0 {
		return fault.Healed
	}
	return max(fault.Struck, fault.Begun, a.h.Meta.Ended)
}

// done tells whether a fault was carried out.
func done(fault *history.Fault) bool { return !fault.Skipped && fault.Struck > 0 }
