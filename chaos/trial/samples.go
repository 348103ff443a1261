package trial

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/history"
)

// It is looked at what the processes take so many times, but not more and not less
// often than this.
const (
	samplesOfTrial = 20
	mostSamples    = 200 * time.Millisecond
	leastSamples   = 2 * time.Second
)

func (t *trial) sampleEvery() time.Duration {
	return min(leastSamples, max(mostSamples, t.config.Plan.Duration()/samplesOfTrial))
}

// sample records what the processes take of their machines until the context
// ends.
func (t *trial) sample(ctx context.Context) {
	ticker := time.NewTicker(t.sampleEvery())
	defer ticker.Stop()
	for {
		for _, p := range t.stage.processes() {
			if sample, running := t.sampleOf(p); running {
				if t.stage.isServer(p) {
					sample.Goroutines = t.goroutines(ctx, p)
				}
				t.recorder.Sample(sample)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// sampleOf reads what the kernel knows of a process.
func (t *trial) sampleOf(p *cluster.Process) (history.Sample, bool) {
	if !p.Running() {
		return history.Sample{}, false
	}
	sample := history.Sample{Process: p.Name, PID: p.PID(), At: t.clock()}
	dir := filepath.Join("/proc", strconv.Itoa(sample.PID))
	statm, err := os.ReadFile(filepath.Join(dir, "statm"))
	if fields := strings.Fields(string(statm)); err == nil && len(fields) > 1 {
		pages, _ := strconv.ParseInt(fields[1], 10, 64)
		sample.RSS = pages * int64(os.Getpagesize())
	}
	if files, err := os.ReadDir(filepath.Join(dir, "fd")); err == nil {
		sample.Files = int64(len(files))
	}
	sample.Disk = t.stage.used(p)
	return sample, sample.RSS > 0
}

// used is how much of a server's disk is in use, 0 when that is not known at the
// moment: disks come and go with their power.
func (s *stage) used(p *cluster.Process) int64 {
	disk := s.site.Disk(p)
	if disk == nil {
		return 0
	}
	var statfs unix.Statfs_t
	if err := unix.Statfs(disk.Outside(), &statfs); err != nil {
		return 0
	}
	return int64(statfs.Blocks-statfs.Bfree) * statfs.Bsize
}

func (s *stage) isServer(p *cluster.Process) bool {
	for _, server := range s.cluster.Servers {
		if server == p {
			return true
		}
	}
	return false
}

// goroutines asks a server how many it has; 0 when it does not answer.
func (t *trial) goroutines(ctx context.Context, p *cluster.Process) int64 {
	host, err := t.stage.site.Host(p)
	if err != nil {
		return 0
	}
	metrics := &http.Client{
		Timeout: time.Second,
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return host.Dial(ctx, address)
		}},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+metricsAddress+"/metrics", nil)
	if err != nil {
		return 0
	}
	response, err := metrics.Do(request)
	if err != nil {
		return 0
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(io.LimitReader(response.Body, 4<<20))
	for lines.Scan() {
		if value, found := bytes.CutPrefix(lines.Bytes(), []byte("go_goroutines ")); found {
			n, _ := strconv.ParseFloat(string(value), 64)
			return int64(n)
		}
	}
	return 0
}
