package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// failures collects what went wrong where, for the error in the end.
type failures struct {
	request *request

	mu    sync.Mutex
	order []string
	last  map[string]error
}

func newFailures(req *request) *failures {
	return &failures{request: req, last: map[string]error{}}
}

func (f *failures) add(address string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, ok := f.last[address]
	if !ok {
		f.order = append(f.order, address)
	}
	if ok && cutShort(err) && !cutShort(before) {
		// What the server said, or why it cannot be reached, tells more than that we
		// stopped listening.
		return
	}
	f.last[address] = err
}

// cutShort reports whether a try ended because its client gave it up.
func cutShort(err error) bool {
	code := status.Code(err)
	return argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_UNSPECIFIED && (code == codes.DeadlineExceeded || code == codes.Canceled)
}

// verdict is the error of the whole call.
func (f *failures) verdict(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cause := context.Cause(ctx); errors.Is(ctx.Err(), context.Canceled) {
		if f.request.write && f.request.ambiguous.Load() {
			return fmt.Errorf("%w: %w", f.unknown(), cause)
		}
		return fmt.Errorf("%s: %w", f.request.what, cause)
	}
	var spoken *argosyv1.Error
	for _, address := range f.order {
		e, ok := argosyv1.AsError(f.last[address])
		if !ok && status.Code(f.last[address]) == codes.ResourceExhausted {
			// gRPC itself has refused the message, by its size most often.
			return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "%s: server %s refuses it: %s", f.request.what, address, Reason(f.last[address]))
		}
		if !ok {
			continue
		}
		if !movesOn(e) && !f.overtaken(e) {
			return e
		}
		spoken = e
	}
	if f.request.write && f.request.ambiguous.Load() {
		return f.unknown()
	}
	if older := f.older(); older != nil {
		return older
	}
	if spoken != nil {
		return spoken
	}
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER,
		"%s: no server answered: %s: check that the servers run and that --server names them", f.request.what, f.describe())
}

// older is the verdict when a server does not know the call.
func (f *failures) older() error {
	for _, address := range f.order {
		if err := f.last[address]; status.Code(err) == codes.Unimplemented {
			return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
				"%s: server %s does not know how (%s): it is older than this client, or not a server of ours: upgrade it, or name others by --server", f.request.what, address, Reason(err))
		}
	}
	return nil
}

func (f *failures) unknown() error {
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN,
		"%s: it may or may not have been done, for no answer says so: %s: read the state before you repeat it", f.request.what, f.describe())
}

// overtaken tells whether a refusal says nothing of the write as a whole: another
// try of it may be on its way to the leader still, and be judged by another state
// than this one was.
func (f *failures) overtaken(err error) bool {
	refusal, ok := argosyv1.AsError(err)
	return ok && !movesOn(err) && f.request.write && f.request.ambiguous.Load() && !refusal.Conclusive()
}

// Reason returns the text of an error without what gRPC puts around it: for
// people, who know that there is a transport.
func Reason(err error) string {
	text := status.Convert(err).Message()
	if inner, ok := strings.CutPrefix(text, `connection error: desc = "`); ok {
		text = strings.TrimSuffix(inner, `"`)
	}
	text = strings.TrimPrefix(text, "transport: ")
	if strings.HasPrefix(text, "error reading server preface: ") {
		return "it takes connections and says nothing: it is frozen, expects TLS, or is not a server of ours"
	}
	return strings.TrimPrefix(text, "Error while dialing: ")
}

func (f *failures) describe() string {
	texts := make([]string, 0, len(f.order))
	for _, address := range f.order {
		texts = append(texts, address+": "+Reason(f.last[address]))
	}
	return strings.Join(texts, "; ")
}
