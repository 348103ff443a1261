package sessions

import (
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// What is larger than the queue by itself makes nobody slow who has not had the time
// to take it.
func TestWhatFollowsAFullSetFindsRoom(t *testing.T) {
	one := func(size int) queued { return queued{message: &argosyv1.ServerMessage{}, size: size} }
	set := []queued{one(60), one(60)}
	q := newQueue(3, 100)
	for _, step := range []struct {
		what string
		put  []queued
		take int
		ok   bool
	}{
		{"a full set", set, 0, true},
		{"what follows it", []queued{one(40)}, 0, true},
		{"another full set", set, 0, false},
		{"what makes the queue full", []queued{one(60)}, 0, true},
		{"what follows that", []queued{one(1)}, 0, false},
		{"what follows when the set is taken", []queued{one(1)}, 2, false},
		{"what follows when there is room", []queued{one(1)}, 1, true},
		{"a full set when the first is gone", set, 0, true},
	} {
		for range step.take {
			q.take(t.Context())
		}
		if ok := q.put(step.put...); ok != step.ok {
			t.Fatalf("%s was taken in: %v, want %v", step.what, ok, step.ok)
		}
	}
	for range 4 {
		q.take(t.Context())
	}
	if messages, bytes := q.length(); messages != 0 || bytes != 0 || q.count != 0 || q.bytes != 0 || q.large != 0 {
		t.Errorf("%d messages of %d bytes are left: %+v", messages, bytes, q)
	}
}
