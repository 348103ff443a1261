package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// Bounds of a page: what is more is drawn together, or left to the files.
const (
	// mostBars are drawn in one row.
	mostBars = 600
	// mostLanes of faults are drawn below each other.
	mostLanes = 14
	// brief is a gap that is drawn paler: on a busy machine there are many.
	brief = 200 * time.Millisecond
	// mostLabelled faults bear their names.
	mostLabelled = 160
)

// bar is a piece of a row: where, in percent of the width, and what it is.
type bar struct {
	Left, Width  float64
	Class        string
	Label, Title string
}

// row is a line of the timeline.
type row struct {
	Name, Note string
	// Class of the style: its height.
	Class string
	Bars  []bar
	// Chart is drawn in place of bars.
	Chart *chart
}

// part is rows under one heading.
type part struct {
	Heading string
	Rows    []row
}

// timeline draws on an axis of time.
type timeline struct {
	h        *history.History
	from, to history.Micros
}

func newTimeline(h *history.History) *timeline {
	t := &timeline{h: h, from: h.Meta.Began, to: h.Meta.Ended}
	// The recorder of a trial that was killed did not come to say when it ended.
	if t.to <= t.from {
		t.to = t.from + 1
		for _, o := range h.Operations {
			t.to = max(t.to, o.Return)
		}
		for _, f := range h.Faults {
			t.to = max(t.to, f.Healed, f.Struck)
		}
	}
	return t
}

func (t *timeline) length() time.Duration { return t.to.Sub(t.from) }

// place returns where a moment is, in percent of the width.
func (t *timeline) place(at history.Micros) float64 {
	return 100 * float64(min(max(at, t.from), t.to)-t.from) / float64(t.to-t.from)
}

func (t *timeline) clock(at history.Micros) string { return clockText(at.Sub(t.from)) }

// bar draws a span.
func (t *timeline) bar(s span, class, label, title string) bar {
	left := t.place(s.from)
	return bar{
		Left: left, Width: t.place(s.to) - left, Class: class, Label: label,
		Title: fmt.Sprintf("%s\n%s to %s, %s", title, t.clock(s.from), t.clock(s.to), spanText(s.length())),
	}
}

// draw returns the rows of everything but the load.
func (t *timeline) draw() []part {
	servers, agents := t.names()
	parts := []part{{Heading: "Service", Rows: []row{t.outages()}}, {Heading: "Faults", Rows: t.faults()}}
	members := part{Heading: "Servers"}
	for _, server := range servers {
		members.Rows = append(members.Rows, t.server(server))
	}
	nodes := part{Heading: "Agents"}
	late, away := behind(t.h)
	for _, agent := range agents {
		nodes.Rows = append(nodes.Rows, t.agent(agent, late[agent], away[agent]))
	}
	return slices.DeleteFunc(append(parts, members, nodes), func(p part) bool { return len(p.Rows) == 0 })
}

// names returns who there was.
func (t *timeline) names() (servers, agents []string) {
	are := map[string]bool{}
	for _, look := range t.h.Looks {
		are[look.Agent] = true
	}
	agents = slices.Sorted(maps.Keys(are))
	others := map[string]bool{}
	for _, l := range t.h.Leaderships {
		others[l.Server] = true
	}
	for _, p := range t.h.Replicas {
		others[p.Server] = true
	}
	for _, f := range t.h.Faults {
		for _, target := range f.Targets {
			others[target] = classes[f.Kind] != "agent" || others[target]
		}
	}
	for name, is := range others {
		if is && !are[name] {
			servers = append(servers, name)
		}
	}
	slices.Sort(servers)
	return servers, agents
}

func (t *timeline) outages() row {
	r := row{Name: "no write acknowledged", Class: "low"}
	found := gaps(t.h)
	r.Note = countText(int64(len(found))) + " gaps"
	for _, gap := range found {
		class := "outage"
		if gap.length() < brief {
			class += " brief"
		}
		r.Bars = append(r.Bars, t.bar(gap, class, spanText(gap.length()), "no write was acknowledged"))
	}
	r.Bars = merge(r.Bars)
	return r
}

// faults packs the faults into lanes, so that none is drawn over another.
func (t *timeline) faults() []row {
	var lanes []row
	var ends []float64
	labelled := len(t.h.Faults) <= mostLabelled
	for i := range t.h.Faults {
		f := &t.h.Faults[i]
		if f.Skipped {
			continue
		}
		whole := t.faultSpan(f)
		b := t.bar(whole, faultClass(f), "", fmt.Sprintf("%d: %s", f.Step, describe(f)))
		reach := b.Left + max(b.Width, 0.3)
		if labelled {
			b.Label = f.Kind
			// A letter is about 0.6 % of the width of a page.
			reach = max(reach, b.Left+0.6*float64(len(f.Kind)+1))
		}
		lane := slices.IndexFunc(ends, func(end float64) bool { return end <= b.Left })
		if lane < 0 && len(lanes) < mostLanes {
			lane = len(lanes)
			lanes, ends = append(lanes, row{Class: "lane"}), append(ends, 0)
		}
		if lane < 0 {
			// They overlap so much that no lane is free: the one that is free first.
			lane = slices.Index(ends, slices.Min(ends))
		}
		ends[lane] = max(ends[lane], reach)
		lanes[lane].Bars = append(lanes[lane].Bars, b)
	}
	for i := range lanes {
		lanes[i].Bars = merge(lanes[i].Bars)
	}
	if len(lanes) > 0 {
		lanes[0].Name = "what was done"
	}
	return lanes
}

// faultSpan is from when a fault was begun until it was healed, if it was.
func (t *timeline) faultSpan(f *history.Fault) span {
	to := f.Healed
	if to == 0 {
		if to = max(f.Struck, f.Begun); f.Struck != 0 {
			to = t.to
		}
	}
	return span{f.Begun, to}
}

func faultClass(f *history.Fault) string {
	class := "fault " + cmp.Or(classes[f.Kind], "other")
	if f.Error != "" {
		class += " failed"
	}
	return class
}

// server draws when one led and what was done to it.
func (t *timeline) server(name string) row {
	r := row{Name: name, Class: "member"}
	led := t.leads(name)
	for _, l := range led {
		r.Bars = append(r.Bars, t.bar(l.span, "leads", fmt.Sprintf("term %d", l.term), fmt.Sprintf("%s led in term %d", name, l.term)))
	}
	if len(led) > 0 {
		r.Note = "led " + times(int64(len(led)))
	}
	r.Bars = append(merge(r.Bars), t.struck(name)...)
	return r
}

// agent draws when one had no session, when it was behind, and what was done to
// it.
func (t *timeline) agent(name string, late, away []span) row {
	r := row{Name: name, Class: "member"}
	for _, s := range away {
		r.Bars = append(r.Bars, t.bar(s, "away", "", name+" had no session"))
	}
	for _, s := range late {
		r.Bars = append(r.Bars, t.bar(s, "late", "", name+" was not yet where it shall be"))
	}
	r.Bars = append(merge(r.Bars), t.struck(name)...)
	return r
}

func (t *timeline) struck(name string) []bar {
	var bars []bar
	for i := range t.h.Faults {
		if f := &t.h.Faults[i]; !f.Skipped && slices.Contains(f.Targets, name) {
			bars = append(bars, t.bar(t.faultSpan(f), "thin "+faultClass(f), "", fmt.Sprintf("%d: %s", f.Step, describe(f))))
		}
	}
	return merge(bars)
}

type leads struct {
	span
	term uint64
}

// leads returns when a server led. One that was killed does not say that it
// leads no more: it did so at the latest when the next one began.
func (t *timeline) leads(server string) []leads {
	var all []leads
	open := -1
	for _, l := range t.h.Leaderships {
		switch {
		case l.Server == server && l.Gained:
			all = append(all, leads{span{l.At, t.to}, l.Term})
			open = len(all) - 1
		case open < 0:
		case l.Server == server && !l.Gained, l.Server != server && l.Gained && l.Term > all[open].term:
			all[open].to = l.At
			open = -1
		}
	}
	return all
}

// merge draws bars that are close to each other as one, when there are too many
// for a page.
func merge(bars []bar) []bar {
	slices.SortStableFunc(bars, func(a, b bar) int { return cmp.Compare(a.Left, b.Left) })
	for near := 0.02; len(bars) > mostBars; near *= 2 {
		var merged []bar
		together := map[string]int{}
		for _, b := range bars {
			if i, is := together[b.Class]; is && b.Left-(merged[i].Left+merged[i].Width) <= near {
				into := &merged[i]
				into.Width = max(into.Width, b.Left+b.Width-into.Left)
				into.Label = ""
				if !strings.HasPrefix(into.Title, "several") {
					into.Title = "several: zoom does not tell them apart, the files do; the first: " + into.Title
				}
				continue
			}
			together[b.Class] = len(merged)
			merged = append(merged, b)
		}
		bars = merged
	}
	return bars
}

// tick is a mark of the axis of time.
type tick struct {
	Left float64
	Text string
}

// ticks divides the axis: 8 to 20 marks at round times.
func (t *timeline) ticks() []tick {
	steps := []time.Duration{
		10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 4 * time.Hour, 12 * time.Hour, 24 * time.Hour, 96 * time.Hour,
	}
	step := steps[len(steps)-1]
	for _, s := range steps {
		if t.length()/s <= 20 {
			step = s
			break
		}
	}
	var marks []tick
	for at := time.Duration(0); at < t.length() && len(marks) < 100; at += step {
		marks = append(marks, tick{t.place(t.from.Add(at)), tickText(at, step)})
	}
	return marks
}

func tickText(at, step time.Duration) string {
	switch {
	case step < time.Second:
		return fmt.Sprintf("%.2f s", at.Seconds())
	case step < time.Minute && at < time.Hour:
		return fmt.Sprintf("%.0f s", at.Seconds())
	}
	return fmt.Sprintf("%d:%02d h", at/time.Hour, at%time.Hour/time.Minute)
}
