package check

import (
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

const (
	// orderCalm is for how long no fault may have been felt for it to be said what an
	// agent must have known of others: one that has lost the servers goes by what it
	// knew last, and one that is lost does not count.
	orderCalm = 2 * time.Second
	// orderNews is how long after its end an agent may take a process for running.
	orderNews = 200 * time.Millisecond
)

// order judges A8: a workload is started for the first time only while what it
// depends on runs, as far as anybody could know, and what was deleted is stopped only
// after those that depended on it then have stopped. Restarts wait for nobody, and nor
// does an update of what others depend on.
func order(a *account) Result {
	f := find("A8")
	byWorkload, names := a.lives()
	curtain := a.curtain()
	for _, name := range names {
		base, depends := history.BaseOf(name)
		if !depends {
			continue
		}
		users, bases := byWorkload[name], byWorkload[base]
		started := map[string]bool{}
		for _, u := range users {
			if !u.clash && !started[u.value] && a.calmUntil(u.start) {
				a.startedInOrder(f, u, bases)
			}
			started[u.value] = true
		}
		for _, b := range bases {
			if !b.stopped || a.apart(curtain, b.last) || !a.calmUntil(b.last) {
				continue
			}
			if deleted, was := a.deleted(base, b.value); was {
				a.stoppedInOrder(f, b, users, deleted)
			}
		}
	}
	return f.result
}

// calmUntil tells whether no fault was felt shortly before a moment.
func (a *account) calmUntil(at history.Micros) bool {
	since := at.Add(-a.patient(orderCalm))
	return a.calmSince(since, at) == since
}

// deleted tells whether the value of an object was followed by none, and at which
// revision.
func (a *account) deleted(name, value string) (revision uint64, was bool) {
	all := a.versions[name]
	i := slices.IndexFunc(all, func(v version) bool { return !v.gone && v.value == value })
	if i < 0 || i+1 == len(all) || !all[i+1].gone {
		return 0, false
	}
	return all[i+1].revision, true
}

// after tells whether the value of an object was written after a revision.
func (a *account) after(name, value string, revision uint64) bool {
	return slices.ContainsFunc(a.versions[name], func(v version) bool { return !v.gone && v.value == value && v.revision > revision })
}

func (a *account) startedInOrder(f *findings, u *life, bases []*life) {
	f.result.Checked++
	if !slices.ContainsFunc(bases, func(b *life) bool {
		return b.start <= u.start && b.last.Add(a.patient(orderNews)) >= u.start.Add(-b.pause)
	}) {
		f.add(u.start, a.tellLives(append([]*life{u}, around(bases, u.start)...)...), "%s was started at %s, and what it depends on did not run", u.workload, u.agent)
	}
}

func (a *account) stoppedInOrder(f *findings, b *life, users []*life, deleted uint64) {
	f.result.Checked++
	for _, u := range users {
		if !u.clash && u.start.Add(a.patient(orderNews)) < b.last && u.last > b.last && !a.after(u.workload, u.value, deleted) {
			f.add(b.last, a.tellLives(b, u), "%s was stopped at %s, and %s, which depends on it, still ran at %s", b.workload, b.agent, u.workload, u.agent)
		}
	}
}

// around returns the last life that began before a moment, and the first after it.
func around(lives []*life, at history.Micros) []*life {
	after := slices.IndexFunc(lives, func(l *life) bool { return l.start > at })
	if after < 0 {
		after = len(lives)
	}
	return lives[max(0, after-1):min(len(lives), after+1)]
}
