package manifest

import "strings"

// nearest returns the field whose name is most like one that was written: the
// same but for case, "_" and "-", or with at most two letters wrong. Empty when
// there is none.
func (s *spec) nearest(written string) string {
	if len(written) > MaxNameLength {
		return ""
	}
	plain := func(name string) string {
		return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
	}
	best, least := "", 3
	for _, f := range s.fields {
		distance := editDistance(plain(written), plain(f.name))
		// Two wrong letters of three are no resemblance.
		if distance < least && 2*distance < len(f.name) {
			best, least = f.name, distance
		}
	}
	return best
}

// names lists the fields of an object.
func (s *spec) names() string {
	names := make([]string, len(s.fields))
	for i, f := range s.fields {
		names[i] = f.name
	}
	return strings.Join(names, ", ")
}

// editDistance counts the letters that must be put in, left out or exchanged
// (also two neighbours with each other) to make one text of another.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
