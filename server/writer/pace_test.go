package writer

import (
	"testing"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestARefusalForOverloadSaysWhenToComeBack(t *testing.T) {
	now := time.Unix(1000, 0)
	var q queue
	q.init(1000, 1<<20, func() time.Time { return now })
	fill := func() {
		t.Helper()
		for len(q.items)-q.head < 1000 {
			if err := q.push(&Request{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	refused := func(r *Request) time.Duration {
		t.Helper()
		err := q.push(r)
		e, ok := argosyv1.AsError(err)
		if !ok || e.Code() != argosyv1.ErrorCode_ERROR_CODE_OVERLOADED {
			t.Fatalf("refused with %v", err)
		}
		return time.Duration(e.Detail.GetRetryAfterMs()) * time.Millisecond
	}
	fill()
	if after := refused(&Request{}); after != retryUnknown {
		t.Errorf("a queue that has taken nothing yet says %v", after)
	}
	// 100 requests in 100 ms, for a second.
	for range 10 {
		q.take(100, 1<<20)
		now = now.Add(100 * time.Millisecond)
		fill()
	}
	if after := refused(&Request{}); after < 900*time.Millisecond || after > 1300*time.Millisecond {
		t.Errorf("1000 requests at 1000 a second: told to come back after %v", after)
	}
	// Half full, and its client has less time than that takes.
	q.take(400, 1<<20)
	if after := refused(&Request{Deadline: now.Add(50 * time.Millisecond)}); after < 500*time.Millisecond {
		t.Errorf("told to come back after %v", after)
	}
	if err := q.push(&Request{Deadline: now.Add(5 * time.Second)}); err != nil {
		t.Errorf("a request with time to wait: %v", err)
	}
	// A quiet night makes nobody slow.
	now = now.Add(time.Hour)
	q.take(1000, 1<<20)
	fill()
	if after := refused(&Request{}); after < 900*time.Millisecond || after > 1300*time.Millisecond {
		t.Errorf("after a pause told to come back after %v", after)
	}
	// A disk that hangs takes nothing.
	now = now.Add(3 * time.Second)
	if after := refused(&Request{}); after != retryUnknown {
		t.Errorf("a queue that is stuck says %v", after)
	}
}
