package client_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// overloaded refuses so many requests, each until a while later.
func overloaded(times int, after time.Duration) (*scripted, *[]time.Duration) {
	s := &scripted{}
	var gaps []time.Duration
	var last time.Time
	s.apply = func(ctx context.Context, req *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		now := time.Now()
		if !last.IsZero() {
			gaps = append(gaps, now.Sub(last))
		}
		last = now
		if len(s.ids) > times {
			return answer(9)(ctx, req)
		}
		err := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_OVERLOADED, "too much")
		err.Detail.RetryAfterMs = uint64(after.Milliseconds())
		return nil, err
	}
	return s, &gaps
}

func TestAClientComesBackWhenAnOverloadedServerSaysSo(t *testing.T) {
	const after = 60 * time.Millisecond
	busy, gaps := overloaded(2, after)
	c := mustClient(t, client.Config{Endpoints: []string{mustServe(t, busy)}, HedgeAfter: time.Minute})
	response, err := c.Apply(t.Context(), &argosyv1.ApplyRequest{})
	if err != nil || response.GetHeader().GetRevision() != 9 {
		t.Fatalf("answered %v, %v", response, err)
	}
	if len(*gaps) != 2 || (*gaps)[0] < after || (*gaps)[1] < after {
		t.Errorf("came back after %v, was asked to wait %v", *gaps, after)
	}
	if ids := busy.requests(); ids[0] != ids[2] {
		t.Error("the repeat bears another request id")
	}
}

func TestAClientThatCannotWaitSoLongLearnsItAtOnce(t *testing.T) {
	busy, _ := overloaded(100, time.Hour)
	c := mustClient(t, client.Config{Endpoints: []string{mustServe(t, busy)}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := c.Apply(ctx, &argosyv1.ApplyRequest{})
	if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_OVERLOADED || ctx.Err() != nil {
		t.Fatalf("answered %v", err)
	}
	if calls := busy.calls.Load(); calls != 1 {
		t.Errorf("the server was asked %d times", calls)
	}
}

func TestARequestThatNoServerTakesIsRefusedWithTheReason(t *testing.T) {
	s := &scripted{apply: answer(1)}
	c := mustClient(t, client.Config{Endpoints: []string{mustServe(t, s)}})
	_, err := c.Apply(t.Context(), &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{{Name: "w", RuntimeConfig: strings.Repeat("x", 64<<20)}}})
	if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INVALID || !strings.Contains(err.Error(), "split it") {
		t.Fatalf("answered %v", err)
	}
	if s.calls.Load() != 0 {
		t.Error("it was sent")
	}
}

func TestAMessageThatGRPCRefusesIsNotTakenForAMissingLeader(t *testing.T) {
	s := &scripted{apply: func(context.Context, *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
		return nil, status.Error(codes.ResourceExhausted, "grpc: received message larger than max (9 vs. 8)")
	}}
	c := mustClient(t, client.Config{Endpoints: []string{mustServe(t, s)}})
	_, err := c.Apply(t.Context(), &argosyv1.ApplyRequest{})
	if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INVALID || !strings.Contains(err.Error(), "larger than max") {
		t.Fatalf("answered %v", err)
	}
}
