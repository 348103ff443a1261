package fault

import "sync"

// Absence is that of a server which ends by itself: nobody knows why, nor what it
// has when it is back. From the moment at which it is not there until it is level
// with the others it counts, once, however often it ends meanwhile.
type Absence struct {
	ledger *Ledger
	names  []string

	mu   sync.Mutex
	hold *Hold
	// away is set while it is not there, awaited while somebody waits until it is
	// level.
	away, awaited bool
}

// NewAbsence is that of a server which is there.
func NewAbsence(l *Ledger, name string) *Absence { return &Absence{ledger: l, names: []string{name}} }

// Begin notes that it is not there. It must be no fault that has it down.
func (a *Absence) Begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = true
	harm := Harm{Down: a.names, Doubtful: a.names}
	if a.hold == nil {
		a.hold = a.ledger.Note(harm)
	} else {
		a.hold.Become(harm)
	}
}

// Away tells whether it is not there.
func (a *Absence) Away() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.away
}

// End notes that it is there again. Await is called unless somebody waits already;
// it has level called once the server is level, and does not wait itself.
func (a *Absence) End(await func(level func())) {
	a.mu.Lock()
	if !a.away {
		a.mu.Unlock()
		return
	}
	a.away = false
	a.hold.Become(late(a.names))
	begin := !a.awaited
	a.awaited = true
	a.mu.Unlock()
	if begin {
		await(a.level)
	}
}

// Forget notes that nothing is to be known of it any more.
func (a *Absence) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hold != nil {
		a.hold.Release()
	}
	a.hold, a.away = nil, false
}

func (a *Absence) level() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.awaited = false
	if !a.away && a.hold != nil {
		a.hold.Release()
		a.hold = nil
	}
}
