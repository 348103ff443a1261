package traffic

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/argosy-cluster/argosy/chaos/history"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestOnlyWhatTheClusterSaidIsTakenForItsWord(t *testing.T) {
	for number := range argosyv1.ErrorCode_name {
		code := argosyv1.ErrorCode(number)
		err := fmt.Errorf("call: %w", argosyv1.Errorf(code, "why"))
		want := history.Refused
		switch code {
		case argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN, argosyv1.ErrorCode_ERROR_CODE_INTERNAL, argosyv1.ErrorCode_ERROR_CODE_UNSPECIFIED:
			want = history.Unknown
		}
		if got := outcomeOfWrite(err); got != want {
			t.Errorf("a write that ends with %v is %s, want %s", code, got, want)
		}
		want = history.Refused
		if code == argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
			want = history.Done
		}
		if got := outcomeOfRead(err); got != want {
			t.Errorf("a read that ends with %v is %s, want %s", code, got, want)
		}
	}
	for _, err := range []error{
		context.Canceled, context.DeadlineExceeded, fmt.Errorf("apply: %w", context.Canceled), errors.New("broken"),
		status.Error(codes.Unavailable, "reset"), status.Error(codes.NotFound, "of somebody between"),
	} {
		if got := outcomeOfWrite(err); got != history.Unknown {
			t.Errorf("a write that ends with %v is %s", err, got)
		}
		if got := outcomeOfRead(err); got != history.Refused {
			t.Errorf("a read that ends with %v is %s", err, got)
		}
	}
	if outcomeOfWrite(nil) != history.Done || outcomeOfRead(nil) != history.Done {
		t.Error("what succeeded is not done")
	}
	if got := codeName(argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "")); got != "NO_LEADER" {
		t.Errorf("code %q", got)
	}
	if got := kindName(argosyv1.ChangeKind_CHANGE_KIND_UPDATED); got != "updated" {
		t.Errorf("kind %q", got)
	}
}
