package graph

// gap is how far apart the labels of two neighbours in a line are when they are
// new. A place where it is used up costs a new numbering of all.
const gap = 1 << 32

// middle is the label of the first node: there is room on both sides for as many
// as memory has.
const middle = 1 << 63

// line is a list of nodes in which it can be told at once which of two stands
// before the other: by their labels.
type line struct{ first, last *node }

// has tells whether a node is in the line; its label is never 0 then.
func (l *line) has(n *node) bool { return n.label != 0 }

func (l *line) pushBack(n *node) {
	if l.last == nil {
		l.first, l.last, n.label = n, n, middle
		return
	}
	l.insertAfter(n, l.last)
}

func (l *line) pushFront(n *node) {
	if l.first == nil {
		l.pushBack(n)
		return
	}
	l.insertBefore(n, l.first)
}

func (l *line) insertBefore(n, at *node) {
	if at.before != nil {
		l.insertAfter(n, at.before)
		return
	}
	if at.label <= gap {
		l.number()
	}
	n.after, at.before, l.first = at, n, n
	n.label = at.label - gap
}

func (l *line) insertAfter(n, at *node) {
	next := at.after
	switch {
	case next == nil && at.label > ^uint64(0)-gap, next != nil && next.label-at.label < 2:
		l.number()
	}
	n.before, n.after, at.after = at, next, n
	if next == nil {
		l.last, n.label = n, at.label+gap
		return
	}
	next.before = n
	n.label = at.label + (next.label-at.label)/2
}

func (l *line) remove(n *node) {
	if n.before != nil {
		n.before.after = n.after
	} else {
		l.first = n.after
	}
	if n.after != nil {
		n.after.before = n.before
	} else {
		l.last = n.before
	}
	n.before, n.after, n.label = nil, nil, 0
}

// number gives all nodes new labels.
func (l *line) number() {
	label := uint64(middle)
	for n := l.first; n != nil; n = n.after {
		n.label = label
		label += gap
	}
}
