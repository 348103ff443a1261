package session

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const (
	// How much the load must change to be worth a report.
	loadCPUPoints     = 5
	loadMemoryPercent = 5
)

// pulse decides when the load is worth a report.
type pulse struct {
	interval, repeat time.Duration
	looked, told     time.Time
	last             *argosyv1.LoadReport
}

func newPulse(cfg Config) *pulse {
	return &pulse{interval: cfg.LoadInterval, repeat: cfg.LoadRepeat}
}

// next returns a report when there is news, nil otherwise.
func (p *pulse) next(ctx context.Context, node Node) *argosyv1.LoadReport {
	now := time.Now()
	if p.last != nil && now.Sub(p.looked) < p.interval {
		return nil
	}
	p.looked = now
	cpu, free, total := node.Load()
	report := &argosyv1.LoadReport{CpuPercent: cpu, FreeMemoryBytes: free, Runtimes: node.Runtimes(ctx)}
	if p.last != nil && now.Sub(p.told) < p.repeat && !differs(p.last, report, total) {
		return nil
	}
	p.last, p.told = report, now
	return report
}

func differs(a, b *argosyv1.LoadReport, total uint64) bool {
	distance := func(x, y uint64) uint64 { return max(x, y) - min(x, y) }
	return distance(uint64(a.GetCpuPercent()), uint64(b.GetCpuPercent())) >= loadCPUPoints ||
		distance(a.GetFreeMemoryBytes(), b.GetFreeMemoryBytes())*100 >= total*loadMemoryPercent ||
		!slices.EqualFunc(a.GetRuntimes(), b.GetRuntimes(), func(x, y *argosyv1.RuntimeInfo) bool { return proto.Equal(x, y) })
}
