package lab

import (
	"testing"
	"time"
)

func TestOnlyWhatNoneOfThemRanCountsAsWaiting(t *testing.T) {
	const some = "some avg10=1.00 avg60=0.00 avg300=0.00 total=9000\n"
	waited, err := parseWaits(some + "full avg10=0.00 avg60=0.00 avg300=0.00 total=1500\n")
	if err != nil || waited != 1500*time.Microsecond {
		t.Errorf("waited %v: %v", waited, err)
	}
	for _, text := range []string{"", some, "full avg10=0.00\n", "full total=much\n"} {
		if waited, err := parseWaits(text); err == nil {
			t.Errorf("%q: waited %v", text, waited)
		}
	}
}
