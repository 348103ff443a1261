package writer

import (
	"fmt"
	"testing"
)

// fleet fills a cluster with workloads of which each depends on three others and
// uses a config.
func fleet(b *testing.B, h *harness, size int, key string) {
	b.Helper()
	r := all(config(key, "first"))
	for i := range size {
		w := using(fmt.Sprintf("w%05d", i), key)
		if i > 0 {
			w.Dependencies = needing("", fmt.Sprintf("w%05d", i/2), fmt.Sprintf("w%05d", i*2/3), "w00000").GetDependencies()
		}
		r.Apply.Workloads = append(r.Apply.Workloads, w)
	}
	h.must(b, r)
}

// judged runs a request from its submission to its answer, over a log that commits
// at once.
func judged(b *testing.B, h *harness, make func(i int) *Request) {
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		h.must(b, make(i))
		i++
	}
}

// One write costs about the same however many workloads there are.
func BenchmarkOneWrite(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		for name, write := range map[string]func(i int) *Request{
			"plain": func(i int) *Request { return apply(workload("one", fmt.Sprint(i))) },
			"same dependencies": func(i int) *Request {
				w := needing("one", "w00010", "w00020", "w00030")
				w.RuntimeConfig = fmt.Sprint(i)
				return all(w)
			},
			"other dependencies": func(i int) *Request {
				return all(needing("one", fmt.Sprintf("w%05d", i%90), fmt.Sprintf("w%05d", 7*i%90), "w00000"))
			},
			"to the middle": func(i int) *Request {
				return all(needing("w00040", fmt.Sprintf("x%d", i), "w00001", "w00000"))
			},
			"templates": func(i int) *Request {
				w := using("one", "k")
				w.Tags = map[string]string{"i": fmt.Sprint(i)}
				return all(w)
			},
			"rehearsal": func(i int) *Request { return all(needing("one", "w00010", "w00020", "w00030"), dry) },
		} {
			b.Run(fmt.Sprintf("%s/of=%d", name, size), func(b *testing.B) {
				h := startFull(b, newLedger(b, false), nil)
				fleet(b, h, size, "k")
				judged(b, h, write)
			})
		}
	}
}

// A config that 1,000 workloads use, of 1,000 and of 10,000 that there are.
func BenchmarkConfigOfThousand(b *testing.B) {
	for _, size := range []int{1000, 10_000} {
		b.Run(fmt.Sprintf("of=%d", size), func(b *testing.B) {
			h := startFull(b, newLedger(b, false), nil)
			fleet(b, h, 1000, "k")
			rest := all(config("k2", "x"))
			for i := 1000; i < size; i++ {
				rest.Apply.Workloads = append(rest.Apply.Workloads, using(fmt.Sprintf("w%05d", i), "k2"))
			}
			h.must(b, rest)
			judged(b, h, func(i int) *Request { return all(config("k", fmt.Sprint("value ", i))) })
		})
	}
}

// What links cost a new leader once.
func BenchmarkLinks(b *testing.B) {
	for _, size := range []int{1000, 10_000} {
		b.Run(fmt.Sprintf("of=%d", size), func(b *testing.B) {
			h := startFull(b, newLedger(b, false), nil)
			fleet(b, h, size, "k")
			view := h.log.View()
			for b.Loop() {
				newWorking(view).linked()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/workload")
		})
	}
}
