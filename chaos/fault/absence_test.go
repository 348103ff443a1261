package fault

import "testing"

func TestAnAbsenceCountsOnceUntilItsEndWasSeen(t *testing.T) {
	l := NewLedger([]string{"a", "b", "c"})
	a := NewAbsence(l, "a")
	var level func()
	waits := 0
	await := func(then func()) { level, waits = then, waits+1 }
	sees := func(when string, down bool, healthy, wanted int) {
		t.Helper()
		if l.Down("a") != down || len(l.Healthy()) != healthy || waits != wanted {
			t.Errorf("%s: down %v, healthy %v, waited for %d times", when, l.Down("a"), l.Healthy(), waits)
		}
	}
	a.End(await)
	sees("nothing has happened", false, 3, 0)
	a.Begin()
	sees("it ended", true, 2, 0)
	a.End(await)
	sees("it was started again", false, 2, 1)
	a.Begin()
	sees("it ended again", true, 2, 1)
	level()
	sees("what was seen of it was of before that", true, 2, 1)
	a.End(await)
	a.Begin()
	a.End(await)
	sees("it was started again twice", false, 2, 2)
	level()
	sees("it is level", false, 3, 2)
	a.Begin()
	a.Forget()
	sees("nobody is to be told any more", false, 3, 2)
}
