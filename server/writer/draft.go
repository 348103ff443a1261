package writer

import (
	"fmt"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// draft is what one request would do: worked out on the working copy, which stays
// as it is until the draft is laid.
type draft struct {
	*Working
	request *Request
	result  *argosyv1.WriteResult
	rows    []draftRow
	// encoded is the size of what it would add to the entry, grows by how much that
	// makes the state larger.
	encoded, grows int
	// items are the values of configs once the request is carried out, as far as
	// they were asked for; nil for one that does not exist then.
	items map[string]*argosyv1.ConfigItem
	// changed are the keys of the configs that it changes, removed those that it
	// deletes.
	changed, removed []string
	// kept is how many bytes of stored configs were decoded for items.
	kept int
	// rendering is how long it took to render templates, rendered the workload of
	// which they were last.
	rendering time.Duration
	rendered  string
	// undo takes the dependencies of the request out of the graph; nil when it has
	// none.
	undo func()
}

// draftRow is a row that the request would write or, without a value, delete.
type draftRow struct {
	key           rowKey
	before        Row
	record, value []byte
	size          int
}

// refuse tells why a request is refused, once what that rests on is committed; nil
// when nothing speaks against it.
type refuse func() error

// Steps in which requests are judged; the first that refuses ends it.
var (
	applySteps = []func(*draft) refuse{
		(*draft).level, (*draft).onBehalf, (*draft).expectations,
		(*draft).putConfigs, (*draft).deleteConfigs,
		(*draft).putWorkloads, (*draft).deleteWorkloads,
		(*draft).renderUsers, (*draft).putTags, (*draft).exceeds, (*draft).acyclic,
	}
	deleteSteps = []func(*draft) refuse{
		(*draft).level, (*draft).deleteConfigs, (*draft).deleteWorkloads, (*draft).renderUsers,
	}
	removeSteps = []func(*draft) refuse{(*draft).removeAgent}
)

// draft works out what a request would do.
func (w *Writer) draft(r *Request) (*draft, refuse) {
	d := &draft{Working: w.working, request: r, result: &argosyv1.WriteResult{}}
	steps := applySteps
	switch {
	case r.Delete != nil:
		steps = deleteSteps
	case r.Remove != nil:
		steps = removeSteps
	}
	for _, step := range steps {
		if why := step(d); why != nil {
			return nil, why
		}
	}
	return d, nil
}

// Apply makes an Apply of the leader's own part of the entry, judged like any
// other. It is for Mutate, and does nothing when it returns an error.
func (c *Working) Apply(a *argosyv1.ApplyRequest) error {
	r := &Request{Apply: a}
	r.level = a.NeedsLevel()
	if err := c.writer.prepareApply(r); err != nil {
		return err
	}
	d, why := c.writer.draft(r)
	if why != nil {
		return why()
	}
	d.lay()
	return nil
}

// lay makes the draft part of the entry.
func (d *draft) lay() {
	for i := range d.rows {
		row := &d.rows[i]
		d.current.append(row.record)
		d.Working.lay(row.key, row.before, pendingRow{by: d.current, deleted: row.value == nil, value: row.value, size: row.size})
	}
}

// drop forgets the draft.
func (d *draft) drop() {
	if d.undo != nil {
		d.undo()
	}
}

// put drafts a row unless it is there already and the same.
func (d *draft) put(kind argosyv1.RowKind, p *put) (before Row, did argosyv1.ChangeKind) {
	before = d.Row(kind, p.name)
	did = argosyv1.ChangeKind_CHANGE_KIND_UPDATED
	switch {
	case !before.Exists:
		did = argosyv1.ChangeKind_CHANGE_KIND_CREATED
	case argosyv1.SameButDisplacing(before.Value, p.value):
		return before, argosyv1.ChangeKind_CHANGE_KIND_UNCHANGED
	}
	if kind == kindWorkload && !before.Exists && d.displacing(p) {
		p.mark()
	}
	d.add(draftRow{key: rowKey{kind, p.name}, before: before, record: p.record, value: p.value, size: p.size()})
	return before, did
}

// remove drafts that a row is deleted, if it is there.
func (d *draft) remove(kind argosyv1.RowKind, name string) (before Row, did argosyv1.ChangeKind) {
	if before = d.Row(kind, name); !before.Exists {
		return before, argosyv1.ChangeKind_CHANGE_KIND_MISSING
	}
	d.add(draftRow{key: rowKey{kind, name}, before: before, record: encodeDelete(kind, name)})
	return before, argosyv1.ChangeKind_CHANGE_KIND_DELETED
}

func (d *draft) add(row draftRow) {
	d.rows = append(d.rows, row)
	d.encoded += len(row.record)
	d.grows += row.size - row.before.size
}

// level refuses what not all servers know yet.
func (d *draft) level() refuse {
	needs, has := d.request.level, d.Working.level
	if needs <= has {
		return nil
	}
	return func() error {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
			"write: the request needs feature level %d, and the cluster is at level %d until all its servers know more; upgrade those that do not, or try again in a moment", needs, has)
	}
}

// unfit refuses what is wrong as the state is now. Another copy of the request may
// meet another state, so it does not speak for that.
func unfit(format string, args ...any) refuse {
	err := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "%s", fmt.Sprintf(format, args...))
	err.Detail.Conditional = true
	return func() error { return err }
}
