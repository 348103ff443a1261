package traffic

import (
	"strings"

	"github.com/argosy-cluster/argosy/chaos/history"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// outcomeOfWrite is what the error of a write tells of its fate. The client
// library promises that a write was not carried out unless it says that nobody
// knows; what no server has said, such as that the client itself gave up, says
// nothing.
func outcomeOfWrite(err error) history.Outcome {
	if err == nil {
		return history.Done
	}
	switch argosyv1.CodeOf(err) {
	case argosyv1.ErrorCode_ERROR_CODE_UNSPECIFIED, argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN, argosyv1.ErrorCode_ERROR_CODE_INTERNAL:
		return history.Unknown
	default:
		return history.Refused
	}
}

// outcomeOfRead is the same of a read, which changes nothing when it fails. That
// there is no such object is an answer.
func outcomeOfRead(err error) history.Outcome {
	if err == nil || argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
		return history.Done
	}
	return history.Refused
}

// codeName is the name of the code of an error, empty when it has none.
func codeName(err error) string {
	code := argosyv1.CodeOf(err)
	if err == nil || code == argosyv1.ErrorCode_ERROR_CODE_UNSPECIFIED {
		return ""
	}
	return strings.TrimPrefix(code.String(), "ERROR_CODE_")
}

// kindName is the name of what a write did to an object.
func kindName(kind argosyv1.ChangeKind) string {
	return strings.ToLower(strings.TrimPrefix(kind.String(), "CHANGE_KIND_"))
}

// changed tells whether a write has changed an object at least. One that has not
// is shown by no watch.
func changed(op *history.Operation) bool {
	for _, kind := range op.Changes {
		switch kind {
		case kindName(argosyv1.ChangeKind_CHANGE_KIND_CREATED), kindName(argosyv1.ChangeKind_CHANGE_KIND_UPDATED), kindName(argosyv1.ChangeKind_CHANGE_KIND_DELETED):
			return true
		}
	}
	return false
}

func objectOf(w *argosyv1.Workload) history.Object {
	o := history.Object{
		Name: w.GetName(), Value: history.Value(w.GetRuntimeConfig()),
		Revision: w.GetRevision(), Created: w.GetCreatedRevision(),
	}
	if len(w.GetConfigs()) > 0 {
		o.Uses, o.Rendered = history.Uses(w.GetConfigs()), history.Value(w.GetRendered().GetRuntimeConfig())
	}
	return o
}
