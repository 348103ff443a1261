package report

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

// mostFaults are listed on a page.
const mostFaults = 400

//go:embed page.html page.css page.js
var files embed.FS

// page is what the template is filled with.
type page struct {
	*Summary
	Style    template.CSS
	Script   template.JS
	Sentence string
	Tiles    []tile
	Findings []finding
	Families []family
	Parts    []part
	Ticks    []tick
	// Quiet is where the cluster was left alone, in percent from the left, 100 for
	// nowhere.
	Quiet float64
	// Data is what the script works with.
	Data       template.JS
	Outages    []outageRow
	Unmeasured []string
	Latencies  []latencyRow
	Checks     []checkRow
	Faulted    []faultRow
	MoreFaults int
	Setting    []setting
	// Plan is the text of its file, empty when it is not known.
	Plan string
}

type tile struct{ Figure, What, Class string }

type checkRow struct {
	Says string
	Name string
	Invariant
	Class string
}

type faultRow struct {
	history.Fault
	Class, At, For, Outage string
	From, To               float64
}

type setting struct{ Name, Value string }

// Page writes the page of a trial. Without a verdict nothing was judged; the plan
// may be nil when it is not known.
func Page(w io.Writer, h *history.History, v *check.Verdict, p *plan.Plan) error {
	return writePage(w, h, v, p, Summarize(h, v, p))
}

func writePage(w io.Writer, h *history.History, v *check.Verdict, did *plan.Plan, s *Summary) error {
	text, err := files.ReadFile("page.html")
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	style, err := files.ReadFile("page.css")
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	script, err := files.ReadFile("page.js")
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	body, err := template.New("page").Funcs(template.FuncMap{
		"count": countText, "ms": msText, "moment": momentText, "join": strings.Join, "svg": func(c *chart) template.HTML { return c.svg() },
	}).Parse(string(text))
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	p, err := newPage(h, v, s)
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	p.Style, p.Script = template.CSS(style), template.JS(script)
	if did != nil {
		text, err := json.MarshalIndent(did, "", "  ")
		if err != nil {
			return fmt.Errorf("write page: encode plan: %w", err)
		}
		p.Plan = string(text)
	}
	// What fails half-way leaves no half page.
	var out bytes.Buffer
	if err := body.Execute(&out, p); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	if _, err := out.WriteTo(w); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

func newPage(h *history.History, v *check.Verdict, s *Summary) (*page, error) {
	t := newTimeline(h)
	p := &page{Summary: s, Sentence: sentence(s), Tiles: tiles(h, s), Families: families, Ticks: t.ticks(), Quiet: 100}
	p.Parts = append(t.draw(), t.load())
	if h.Meta.Quiet != 0 {
		p.Quiet = t.place(h.Meta.Quiet)
	}
	if v != nil {
		p.Findings = findings(t, v)
	}
	p.Outages, p.Unmeasured = outageRows(s)
	p.Latencies = latencyRows(s)
	says := map[string]string{}
	for _, c := range check.All() {
		says[c.Invariant] = c.What
	}
	for _, name := range slices.Sorted(maps.Keys(s.Invariants)) {
		row := newCheckRow(name, s.Invariants[name])
		if row.Says = says[name]; slices.Contains(s.Idle, name) {
			row.Class = "idle"
		}
		p.Checks = append(p.Checks, row)
	}
	slices.SortStableFunc(p.Checks, func(a, b checkRow) int { return cmp.Compare(rank(a.Name), rank(b.Name)) })
	p.Faulted = faultRows(t)
	if p.MoreFaults = len(p.Faulted) - mostFaults; p.MoreFaults > 0 {
		p.Faulted = p.Faulted[:mostFaults]
	}
	for _, name := range slices.Sorted(maps.Keys(s.Settings)) {
		p.Setting = append(p.Setting, setting{name, s.Settings[name]})
	}
	data, err := json.Marshal(p.scriptData(t))
	p.Data = template.JS(data)
	return p, err
}

// scriptData is what the script shows under the pointer.
func (p *page) scriptData(t *timeline) any {
	data := struct {
		Seconds float64  `json:"seconds"`
		Bins    int      `json:"bins"`
		Series  []series `json:"series"`
	}{Seconds: t.length().Seconds(), Bins: bins}
	for _, part := range p.Parts {
		for _, row := range part.Rows {
			if row.Chart != nil {
				data.Series = append(data.Series, row.Chart.Series...)
			}
		}
	}
	return data
}

// rank orders invariants: S2 before S10, and safety first.
func rank(name string) int {
	letters := strings.TrimRight(name, "0123456789")
	number := 0
	// What has no number is the first of its letter.
	_, _ = fmt.Sscan(name[len(letters):], &number)
	group := strings.Index("SPALQ", letters)
	if group < 0 {
		group = len("SPALQ")
	}
	return 1000*group + number
}

func newCheckRow(name string, i Invariant) checkRow {
	r := checkRow{Name: name, Invariant: i, Class: "held"}
	switch {
	case i.Found > 0:
		r.Class = "violated"
	case i.Unjudged != "":
		r.Class = "unjudged"
	}
	return r
}

func sentence(s *Summary) string {
	looked := fmt.Sprintf("%s operations and %s faults", countText(s.Checked), countText(sum(s.Faults)))
	switch s.Judgement {
	case Held:
		return fmt.Sprintf("%s, %d invariants: everything was judged and nothing was wrong.", looked, len(s.Invariants)-len(s.Idle))
	case Violated:
		return fmt.Sprintf("%s: %s violations were found.", looked, countText(sum(s.Violations)))
	}
	return fmt.Sprintf("%s: nothing was found wrong, but not everything could be judged. This is no success.", looked)
}

func tiles(h *history.History, s *Summary) []tile {
	all := []tile{
		{Figure: countText(sum(s.Faults)), What: "faults done"},
		{Figure: countText(s.Checked), What: "operations checked"},
	}
	if s.Leaders > 0 {
		all = append(all, tile{Figure: countText(s.Leaders - 1), What: "changes of leader"})
	}
	if worst := worstWithQuorum(h); worst > 0 {
		all = append(all, tile{Figure: msText(worst), What: "longest outage with a quorum"})
	}
	if l, is := s.LatencyMs[writes]; is {
		all = append(all, tile{Figure: msText(l.P50), What: "a write, in the middle"}, tile{Figure: msText(l.P99), What: "a write, p99"})
	}
	if s.ConvergenceMs != nil {
		all = append(all, tile{Figure: msText(s.ConvergenceMs.P99), What: "agents back after a fault, p99"})
	}
	if n := sum(s.Failed); n > 0 {
		all = append(all, tile{Figure: countText(n), What: "faults that failed", Class: "warn"})
	}
	if n := s.Operations[string(history.Unknown)]; n > 0 {
		all = append(all, tile{Figure: countText(n), What: "outcomes unknown to the client"})
	}
	return all
}

// worstWithQuorum is the longest outage during a fault that left a quorum.
func worstWithQuorum(h *history.History) float64 {
	worst := 0.0
	for _, o := range outages(h) {
		if o.fault.Quorum {
			worst = max(worst, o.ms)
		}
	}
	return worst
}

func faultRows(t *timeline) []faultRow {
	took := map[int]float64{}
	for _, o := range outages(t.h) {
		took[o.fault.Step] = o.ms
	}
	var rows []faultRow
	for i := range t.h.Faults {
		f := &t.h.Faults[i]
		whole := t.faultSpan(f)
		r := faultRow{Fault: *f, Class: cmp.Or(classes[f.Kind], "other"), At: t.clock(f.Begun), From: t.place(whole.from), To: t.place(whole.to)}
		if f.Struck != 0 && f.Healed != 0 {
			r.For = spanText(f.Healed.Sub(f.Struck))
		}
		if ms, is := took[f.Step]; is {
			r.Outage = msText(ms)
		}
		rows = append(rows, r)
	}
	return rows
}

func sum(counts map[string]int64) int64 {
	var total int64
	for _, n := range counts {
		total += n
	}
	return total
}

// Place is where a bar is drawn.
func (b bar) Place() template.CSS {
	return template.CSS(fmt.Sprintf("left:%.3f%%;width:%.3f%%", b.Left, b.Width))
}

// svg draws the paths; they are stretched with the page.
func (c *chart) svg() template.HTML {
	out := &strings.Builder{}
	out.WriteString(`<svg viewBox="0 0 1000 100" preserveAspectRatio="none" aria-hidden="true">`)
	for _, p := range c.Paths {
		fmt.Fprintf(out, `<path class="%s" d="%s"/>`, p.Class, p.D)
	}
	out.WriteString(`</svg>`)
	return template.HTML(out.String())
}
