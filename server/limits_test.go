package server

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestAClientThatOpensTenThousandStreamsDisturbsNobody(t *testing.T) {
	one := mustCluster(t, 1, func(_ int, cfg *Config) { cfg.Limits.MaxStreams = 100 })[0]
	mustApply(t, one, applyOf(workload("w", "one")))

	greedy := argosyv1.NewClusterServiceClient(mustDial(t, one.Addresses().API, nil))
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{}, 10_000)
	ended := make(chan struct{})
	for range 10_000 {
		go func() {
			defer func() { ended <- struct{}{} }()
			watch, err := greedy.Watch(ctx, &argosyv1.WatchRequest{})
			if err != nil {
				return
			}
			if _, err := watch.Recv(); err == nil {
				begun <- struct{}{}
			}
			<-ctx.Done()
		}()
	}
	defer func() {
		cancel()
		for range 10_000 {
			<-ended
		}
	}()
	for range 100 {
		<-begun
	}
	// Another connection is served as if nothing were.
	for i := range 20 {
		mustApply(t, one, applyOf(workload("w", strings.Repeat("x", i+1))))
		mustGet(t, one, "w")
	}
	if open := one.calls.Watches(); open != 100 {
		t.Errorf("%d watches are open, want 100", open)
	}
	select {
	case <-begun:
		t.Error("more streams were begun than one connection may have")
	default:
	}
}

func TestARequestOf64MBIsRefusedAndTheConnectionLives(t *testing.T) {
	one := mustCluster(t, 1, nil)[0]
	huge := applyOf(workload("w", strings.Repeat("x", 64<<20)))
	_, err := one.Apply(requestContext(t), huge, grpc.MaxCallSendMsgSize(1<<30))
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "larger than max") {
		t.Fatalf("answered %v", err)
	}
	before := one.conn.GetState()
	mustApply(t, one, applyOf(workload("w", "one")))
	if after := one.conn.GetState(); after != before {
		t.Errorf("the connection went from %v to %v", before, after)
	}

	// Within what a message may be, but more than an entry of the log takes.
	large := applyOf(workload("w", strings.Repeat("x", 20<<20)))
	if _, err := one.Apply(requestContext(t), large); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INVALID {
		t.Errorf("20 MB were answered %v", err)
	}
}

func TestHeadersThatAreTooLargeAreRefused(t *testing.T) {
	one := mustCluster(t, 1, nil)[0]
	_, err := one.Status(metadata.AppendToOutgoingContext(requestContext(t), "x", strings.Repeat("x", 100<<10)), &argosyv1.StatusRequest{})
	if err == nil {
		t.Fatal("100 KB of headers were taken")
	}
	if _, err := one.Status(requestContext(t), &argosyv1.StatusRequest{}); err != nil {
		t.Errorf("a call after that: %v", err)
	}
}
