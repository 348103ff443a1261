package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// BenchmarkStart starts many tiny processes at once, and reports what the
// keeper's memory is then. Run it with -benchtime 1x.
func BenchmarkStart(b *testing.B) {
	for _, count := range []int{500, 1000, 2000} {
		b.Run(strconv.Itoa(count), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				dir := b.TempDir() + "/keeper"
				client := openFor(b, dir)
				ctx := context.Background()
				if _, err := client.List(ctx); err != nil {
					b.Fatal(err)
				}
				var started, removed errgroup.Group
				started.SetLimit(64)
				workloads := make([]*argosyv1.Workload, count)
				for i := range workloads {
					workloads[i] = &argosyv1.Workload{
						Name: fmt.Sprintf("w%d", i), Agent: "bench",
						RuntimeConfig: "command: sleep\nargs: [100000]\n",
					}
				}
				b.StartTimer()
				for _, w := range workloads {
					started.Go(func() error {
						_, err := client.Start(ctx, w, runtime.StartOptions{})
						return err
					})
				}
				if err := started.Wait(); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				b.ReportMetric(keeperCPU(b, dir), "keeper-cpu-s")
				b.ReportMetric(float64(memory(b, dir, "Rss:"))/1024, "keeper-rss-MB")
				b.ReportMetric(float64(memory(b, dir, "Pss:"))/1024, "keeper-pss-MB")
				b.ReportMetric(float64(memory(b, dir, "Anonymous:"))/1024, "keeper-anon-MB")
				for _, w := range workloads {
					removed.Go(func() error { return client.Remove(ctx, argosyv1.InstanceOf(w)) })
				}
				if err := removed.Wait(); err != nil {
					b.Fatal(err)
				}
				endKeeper(b, dir)
				b.StartTimer()
			}
		})
	}
}

// keeperCPU returns the time the keeper has used, in seconds.
func keeperCPU(t testing.TB, dir string) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", keeperPID(t, dir)))
	if err != nil {
		t.Fatal(err)
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')'):])
	var ticks float64
	for _, field := range fields[12:14] {
		number, err := strconv.ParseFloat(string(field), 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += number
	}
	return ticks / 100
}

// memory reads a figure of the keeper, in kB.
func memory(t testing.TB, dir, field string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", keeperPID(t, dir)))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(field)); ok {
			number, err := strconv.Atoi(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))))
			if err != nil {
				t.Fatal(err)
			}
			return number
		}
	}
	t.Fatalf("no %s in smaps_rollup", field)
	return 0
}
