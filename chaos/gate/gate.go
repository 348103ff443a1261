package gate

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/argosy-cluster/argosy/chaos/report"
)

// Kind says what a part is, which decides what it counts for.
type Kind int

// The kinds of parts.
const (
	// Trial does faults to real processes.
	Trial Kind = iota
	// Simulation does them in virtual time.
	Simulation
	// Bugs plants bugs, to see that they are found.
	Bugs
)

// Demand is how much must be done at least.
type Demand struct {
	// Faults and Operations are those of trials: on real processes.
	Faults, Operations int64
	// VirtualHours are those of simulations.
	VirtualHours float64
	// Bugs is how many must have been planted and found.
	Bugs int64
}

// Part is what came of one thing that was done.
type Part struct {
	Kind Kind
	// Name is what people call it.
	Name string
	// Judgement, and why it is not "held".
	Judgement report.Judgement
	Reasons   []string
	// Faults that were done and Operations that were checked.
	Faults, Operations int64
	// VirtualHours that passed.
	VirtualHours float64
	// Found is how many bugs were found.
	Found int64
	// Kept is where it can be looked at, Again the command that does it again;
	// empty when it held.
	Kept, Again string
	// Took is how long it took.
	Took time.Duration
}

// Account is what all parts come to.
type Account struct {
	Demand Demand
	Parts  []Part
	// Took is how long all of it took: parts may be done side by side.
	Took time.Duration
}

// Add adds a part.
func (a *Account) Add(part Part) { a.Parts = append(a.Parts, part) }

// done adds up what counts.
func (a *Account) done() (d Demand) {
	for _, part := range a.Parts {
		switch part.Kind {
		case Trial:
			d.Faults += part.Faults
			d.Operations += part.Operations
		case Simulation:
			d.VirtualHours += part.VirtualHours
		case Bugs:
			d.Bugs += part.Found
		}
	}
	return d
}

// Missing says, for each demand that was not met, by how much.
func (a *Account) Missing() []string {
	var missing []string
	done, demand := a.done(), a.Demand
	if done.Faults < demand.Faults {
		missing = append(missing, fmt.Sprintf("%d faults were done to real processes, not %d", done.Faults, demand.Faults))
	}
	if done.Operations < demand.Operations {
		missing = append(missing, fmt.Sprintf("%d operations of real processes were checked, not %d", done.Operations, demand.Operations))
	}
	if done.VirtualHours < demand.VirtualHours {
		missing = append(missing, fmt.Sprintf("%.2f hours were simulated, not %g", done.VirtualHours, demand.VirtualHours))
	}
	if done.Bugs < demand.Bugs {
		missing = append(missing, fmt.Sprintf("%d planted bugs were found, not %d", done.Bugs, demand.Bugs))
	}
	return missing
}

// Judgement is that of all of it.
func (a *Account) Judgement() report.Judgement {
	is := func(of report.Judgement) func(Part) bool {
		return func(part Part) bool { return part.Judgement == of }
	}
	switch {
	case slices.ContainsFunc(a.Parts, is(report.Violated)):
		return report.Violated
	case len(a.Parts) == 0, len(a.Missing()) > 0, slices.ContainsFunc(a.Parts, func(part Part) bool { return part.Judgement != report.Held }):
		return report.NotJudged
	}
	return report.Held
}

// Write tells people, in a table and, for what did not hold, in lines below it.
func (a *Account) Write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "WHAT\tHOW MUCH\tJUDGEMENT\tTOOK")
	for _, part := range a.Parts {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", part.Name, part.amount(), part.Judgement, took(part.Took))
	}
	done, demand := a.done(), a.Demand
	fmt.Fprintf(w, "all\t%d of %d faults, %d of %d operations, %.1f of %g virtual hours, %d of %d bugs\t%s\t%s\n",
		done.Faults, demand.Faults, done.Operations, demand.Operations, done.VirtualHours, demand.VirtualHours, done.Bugs, demand.Bugs, a.Judgement(), took(a.Took))
	if err := w.Flush(); err != nil {
		return err
	}
	for _, missing := range a.Missing() {
		fmt.Fprintf(out, "too little was done: %s\n", missing)
	}
	for _, part := range a.Parts {
		if part.Judgement == report.Held {
			continue
		}
		fmt.Fprintf(out, "%s: %s\n", part.Name, part.Judgement)
		for _, reason := range part.Reasons {
			fmt.Fprintf(out, "  %s\n", reason)
		}
		if part.Kept != "" {
			fmt.Fprintf(out, "  kept in %s\n", part.Kept)
		}
		if part.Again != "" {
			fmt.Fprintf(out, "  again: %s\n", part.Again)
		}
	}
	return nil
}

// amount is how much was done, in words.
func (p *Part) amount() string {
	switch p.Kind {
	case Simulation:
		return fmt.Sprintf("%.1f virtual hours, %d faults, %d operations", p.VirtualHours, p.Faults, p.Operations)
	case Bugs:
		return fmt.Sprintf("%d found", p.Found)
	}
	return fmt.Sprintf("%d faults, %d operations", p.Faults, p.Operations)
}

func took(d time.Duration) string { return fmt.Sprint(d.Round(time.Second)) }
