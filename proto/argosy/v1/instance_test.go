package argosyv1

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

func TestAnInstanceIDIsTheHashOfTheConfigWithoutSpaceAroundIt(t *testing.T) {
	for _, length := range []int{0, 1, 2047, 2048, 2049, 100_000} {
		text := strings.Repeat("x", length)
		want := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
		for _, given := range []string{text, " " + text + "\n"} {
			if got := InstanceID(given); got != want {
				t.Errorf("%d bytes: id is %s, want %s", length, got, want)
			}
		}
	}
}

func TestAnInstanceIDCostsNoCopyOfTheConfig(t *testing.T) {
	text := strings.Repeat("x", 1000)
	if n := testing.AllocsPerRun(100, func() { InstanceID(text) }); n > 1 {
		t.Errorf("%v allocations, want that of the id", n)
	}
}
