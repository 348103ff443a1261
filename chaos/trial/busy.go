package trial

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"strconv"
	"time"
)

// For how long it is looked what else the machine has to do, and how often.
const (
	busyFor   = 100 * time.Millisecond
	busyEvery = 5 * time.Millisecond
)

// busy is how many threads had something to do, or waited for a disk, beside the
// one that looks: the most at a time within a moment in which nothing of a trial
// runs. The machine's load average would not do: after one trial it tells the next
// one that others are busy, who would be given time for that.
func busy(ctx context.Context) float64 {
	ctx, cancel := context.WithTimeout(ctx, busyFor)
	defer cancel()
	ticker := time.NewTicker(busyEvery)
	defer ticker.Stop()
	most := 0
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return float64(most)
		}
		if file, err := os.Open("/proc/stat"); err == nil {
			most = max(most, active(file)-1)
			_ = file.Close()
		}
	}
}

// active reads how many threads run or want to, and how many wait for a disk.
func active(stat io.Reader) int {
	count := 0
	lines := bufio.NewScanner(stat)
	for lines.Scan() {
		for _, name := range []string{"procs_running ", "procs_blocked "} {
			if value, found := bytes.CutPrefix(lines.Bytes(), []byte(name)); found {
				// The kernel's own numbers.
				n, _ := strconv.Atoi(string(value))
				count += n
			}
		}
	}
	return count
}
