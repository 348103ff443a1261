package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/status"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// failures collects what went wrong where, for the error in the end.
type failures struct {
	request *request
	order   []string
	last    map[string]error
}

func newFailures(req *request) *failures {
	return &failures{request: req, last: map[string]error{}}
}

func (f *failures) add(address string, err error) {
	if _, ok := f.last[address]; !ok {
		f.order = append(f.order, address)
	}
	f.last[address] = err
}

// verdict is the error of the whole call.
func (f *failures) verdict(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, context.Canceled) {
		return fmt.Errorf("%s: %w", f.request.what, cause)
	}
	var spoken *argosyv1.Error
	for _, address := range f.order {
		e, ok := argosyv1.AsError(f.last[address])
		if !ok {
			continue
		}
		if !movesOn(e) {
			return e
		}
		spoken = e
	}
	if f.request.write && f.request.ambiguous.Load() {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN,
			"%s: it may or may not have been done, for no answer came back: %s: read the state before you repeat it", f.request.what, f.describe())
	}
	if spoken != nil {
		return spoken
	}
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER,
		"%s: no server answered: %s: check that the servers run and that --server names them", f.request.what, f.describe())
}

// Reason returns the text of an error without what gRPC puts around it: for
// people, who know that there is a transport.
func Reason(err error) string {
	text := status.Convert(err).Message()
	if inner, ok := strings.CutPrefix(text, `connection error: desc = "`); ok {
		text = strings.TrimSuffix(inner, `"`)
	}
	text = strings.TrimPrefix(text, "transport: ")
	return strings.TrimPrefix(text, "Error while dialing: ")
}

func (f *failures) describe() string {
	texts := make([]string, 0, len(f.order))
	for _, address := range f.order {
		texts = append(texts, address+": "+Reason(f.last[address]))
	}
	return strings.Join(texts, "; ")
}
