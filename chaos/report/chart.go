package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// bins is how many spans of time a chart divides the trial into.
const bins = 360

// chart is what is drawn in a row: paths in a field of 1000 by 100, the marks of
// its scale, and the values that the page shows under the pointer.
type chart struct {
	Paths []path
	Marks []mark
	// Series are the values of each span, by name, nil where there is none.
	Series []series
}

type path struct{ Class, D string }

// mark is a line of the scale, in percent from the top.
type mark struct {
	Top  float64
	Text string
}

type series struct {
	Name   string     `json:"name"`
	Unit   string     `json:"unit"`
	Values []*float64 `json:"values"`
}

// load draws what was asked of the cluster meanwhile.
func (t *timeline) load() part {
	p := part{Heading: "Load", Rows: []row{t.rate()}}
	for _, what := range []string{writes, reads, staleReads} {
		if r, any := t.latency(what); any {
			p.Rows = append(p.Rows, r)
		}
	}
	return p
}

func (t *timeline) bin(at history.Micros) int {
	return min(max(int(bins*float64(at-t.from)/float64(t.to-t.from)), 0), bins-1)
}

// latency draws how long operations of a sort took: the middle one and the
// slowest of each span, on a logarithmic scale.
func (t *timeline) latency(what string) (row, bool) {
	took := make([][]float64, bins)
	n := int64(0)
	for i := range t.h.Operations {
		o := &t.h.Operations[i]
		if sortOf(o) == what && o.Outcome == history.Done {
			b := t.bin(o.Return)
			took[b] = append(took[b], milliseconds(o.Return.Sub(o.Call)))
			n++
		}
	}
	if n == 0 {
		return row{}, false
	}
	middle, slowest := make([]*float64, bins), make([]*float64, bins)
	for i, ms := range took {
		if len(ms) > 0 {
			slices.Sort(ms)
			middle[i], slowest[i] = &ms[(len(ms)-1)/2], &ms[len(ms)-1]
		}
	}
	s := logarithmic(middle, slowest)
	c := &chart{
		Paths:  []path{{"slow-area", area(s, middle, slowest)}, {"slow", line(s, slowest)}, {"middle", line(s, middle)}},
		Series: []series{{what + ", middle", "ms", rounded(middle)}, {"slowest", "ms", rounded(slowest)}},
	}
	for v := s.low; v <= s.high; v++ {
		c.Marks = append(c.Marks, mark{s.top(math.Pow(10, v)), msMark(math.Pow(10, v))})
	}
	return row{Name: what, Note: "how long they took: the middle one, and the slowest", Class: "chart", Chart: c}, true
}

func msMark(ms float64) string {
	if ms >= 1000 {
		return fmt.Sprintf("%g s", ms/1000)
	}
	return fmt.Sprintf("%g ms", ms)
}

// rate draws how many operations ended in a second: acknowledged ones, and those
// that were not, which hang below.
func (t *timeline) rate() row {
	done, refused, unknown := make([]float64, bins), make([]float64, bins), make([]float64, bins)
	perSecond := bins / t.length().Seconds()
	for i := range t.h.Operations {
		o := &t.h.Operations[i]
		at := t.bin(o.Return)
		switch o.Outcome {
		case history.Done:
			done[at] += perSecond
		case history.Refused:
			refused[at] += perSecond
		default:
			unknown[at] += perSecond
		}
	}
	s := linear(slices.Max(done))
	wrong := linear(slices.Max(sums(refused, unknown)))
	c := &chart{
		Paths: []path{
			{"done", steps(done, func(v float64) float64 { return 0.72 * s.top(v) }, 72)},
			{"unknown-area", steps(sums(refused, unknown), func(v float64) float64 { return 76 + 0.24*(100-wrong.top(v)) }, 76)},
			{"refused-area", steps(refused, func(v float64) float64 { return 76 + 0.24*(100-wrong.top(v)) }, 76)},
		},
		Marks: []mark{{0, perSecondText(s.high)}, {72, "0"}},
		Series: []series{
			{"acknowledged", "/s", rounded(pointers(done))}, {"refused", "/s", rounded(pointers(refused))},
			{"unknown", "/s", rounded(pointers(unknown))},
		},
	}
	note := "a second: acknowledged"
	if slices.Max(refused) > 0 || slices.Max(unknown) > 0 {
		c.Marks = append(c.Marks, mark{100, perSecondText(wrong.high)})
		note += "; below: refused, and of unknown outcome"
	}
	return row{Name: "operations", Note: note, Class: "chart", Chart: c}
}

func perSecondText(v float64) string {
	if v >= 100 {
		return countText(int64(v)) + "/s"
	}
	return fmt.Sprintf("%.3g/s", v)
}

// scale says how far from the top a value is, in percent.
type scale struct {
	low, high float64
	log       bool
}

func linear(highest float64) scale { return scale{high: max(highest, 1)} }

// logarithmic reaches from a power of ten to one, two of them apart at least.
func logarithmic(all ...[]*float64) scale {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range slices.Concat(all...) {
		if v != nil {
			at := math.Log10(max(*v, 0.01))
			low, high = min(low, math.Floor(at)), max(high, math.Ceil(at))
		}
	}
	return scale{low: low, high: max(high, low+2), log: true}
}

func (s scale) top(v float64) float64 {
	if s.log {
		v = math.Log10(max(v, 0.01))
	}
	return 100 * (1 - (v-s.low)/(s.high-s.low))
}

func x(bin float64) float64 { return 1000 * bin / bins }

// line joins the middles of spans; where nothing was measured there is none.
func line(s scale, values []*float64) string {
	out, pen := &strings.Builder{}, "M"
	for i, v := range values {
		if v == nil {
			pen = "M"
			continue
		}
		fmt.Fprintf(out, "%s%.1f %.1f", pen, x(float64(i)+0.5), s.top(*v))
		if pen = "L"; i+1 == len(values) || values[i+1] == nil {
			// One by itself is seen, too.
			fmt.Fprintf(out, "h.5")
		}
	}
	return out.String()
}

// area fills what is between two lines.
func area(s scale, lower, upper []*float64) string {
	out := &strings.Builder{}
	for i := 0; i < len(lower); i++ {
		first := i
		for i < len(lower) && lower[i] != nil {
			i++
		}
		if i == first {
			continue
		}
		pen := "M"
		for j := first; j < i; j++ {
			fmt.Fprintf(out, "%s%.1f %.1f", pen, x(float64(j)+0.5), s.top(*upper[j]))
			pen = "L"
		}
		for j := i - 1; j >= first; j-- {
			fmt.Fprintf(out, "L%.1f %.1f", x(float64(j)+0.5), s.top(*lower[j]))
		}
		out.WriteByte('Z')
	}
	return out.String()
}

// steps fills what is between a base and the values.
func steps(values []float64, top func(float64) float64, base float64) string {
	out := &strings.Builder{}
	fmt.Fprintf(out, "M0 %g", base)
	for i, v := range values {
		fmt.Fprintf(out, "V%.1fH%.1f", top(v), x(float64(i+1)))
	}
	fmt.Fprintf(out, "V%gZ", base)
	return out.String()
}

func sums(a, b []float64) []float64 {
	sum := make([]float64, len(a))
	for i := range a {
		sum[i] = a[i] + b[i]
	}
	return sum
}

func pointers(values []float64) []*float64 {
	out := make([]*float64, len(values))
	for i := range values {
		out[i] = &values[i]
	}
	return out
}

// rounded keeps what people read, so that the page stays small.
func rounded(values []*float64) []*float64 {
	out := make([]*float64, len(values))
	for i, v := range values {
		if v != nil {
			r := math.Round(*v*100) / 100
			out[i] = &r
		}
	}
	return out
}
