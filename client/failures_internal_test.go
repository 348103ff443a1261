package client

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestTheReasonIsNotThatNobodyWaitedLonger(t *testing.T) {
	refused := status.Error(codes.Unavailable, "connection refused")
	spoken := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "the servers elect")
	cut := status.Error(codes.DeadlineExceeded, "context deadline exceeded")
	for name, test := range map[string]struct {
		tries []error
		want  string
	}{
		"cut short in the end":     {[]error{refused, cut}, "connection refused"},
		"cut short after a word":   {[]error{refused, spoken, cut}, "the servers elect"},
		"cut short at first":       {[]error{cut, refused}, "connection refused"},
		"cut short again and over": {[]error{cut, cut}, "deadline exceeded"},
		"changed":                  {[]error{spoken, refused}, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFailures(&request{what: "read"})
			for _, err := range test.tries {
				f.add("127.0.0.1:1", err)
			}
			if got := f.verdict(t.Context()).Error(); !strings.Contains(got, test.want) {
				t.Errorf("got %q, want one with %q", got, test.want)
			}
		})
	}
}
