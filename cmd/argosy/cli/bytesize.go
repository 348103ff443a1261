package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// byteSize is a flag that holds a number of bytes, such as 1048576, 512KiB or
// 1.5GiB.
type byteSize uint64

var _ pflag.Value = (*byteSize)(nil)

var byteUnits = []struct {
	name string
	size float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1 << 40},
	{"B", 1}, {"", 1},
}

// Set reads a text.
func (b *byteSize) Set(text string) error {
	for _, unit := range byteUnits {
		digits, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if err != nil || value < 0 || math.IsNaN(value) || value*unit.size >= math.MaxUint64 {
			break
		}
		*b = byteSize(value * unit.size)
		return nil
	}
	return fmt.Errorf("%q is not a number of bytes; write it as 268435456 or 256MiB", text)
}

// String writes the shortest text that Set reads as the same.
func (b *byteSize) String() string {
	for i := 3; i >= 0; i-- {
		if size := uint64(byteUnits[i].size); *b != 0 && uint64(*b)%size == 0 {
			return fmt.Sprintf("%d%s", uint64(*b)/size, byteUnits[i].name)
		}
	}
	return strconv.FormatUint(uint64(*b), 10)
}

// Type is what help calls it.
func (b *byteSize) Type() string { return "bytes" }

// bytesText writes a size for people, with one digit behind the point.
func bytesText(n uint64) string {
	for i := 3; i >= 0; i-- {
		if size := byteUnits[i].size; float64(n) >= size {
			return fmt.Sprintf("%.1f %s", float64(n)/size, byteUnits[i].name)
		}
	}
	return fmt.Sprintf("%d B", n)
}
