package argosyv1

import (
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is an error of the API: a code of the closed set, a text for people,
// and what a client may need to go on. It turns into a gRPC status by itself
// when a handler returns it, and is got back with AsError.
type Error struct {
	// Detail is what travels beside the text.
	Detail *ErrorDetail
	// Message says what failed, why, and what to do next.
	Message string
}

// Errorf makes an API error.
func Errorf(code ErrorCode, format string, args ...any) *Error {
	return &Error{Detail: &ErrorDetail{Code: code}, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Message }

// Code returns the code of the closed set.
func (e *Error) Code() ErrorCode { return e.Detail.GetCode() }

// Conclusive tells whether a refusal holds for every copy of its write, by
// whatever state that is judged: what is wrong in itself stays wrong, and what is
// remembered in the replicated state is answered to all copies. Any other refusal
// speaks for the copy that it answers alone, and another one that is on its way
// may still be carried out.
func (e *Error) Conclusive() bool {
	if e.Detail.GetRecorded() {
		return true
	}
	if e.Detail.GetConditional() {
		return false
	}
	switch e.Code() {
	case ErrorCode_ERROR_CODE_INVALID, ErrorCode_ERROR_CODE_FORBIDDEN:
		return true
	}
	return false
}

// GRPCStatus lets grpc send the error with its detail.
func (e *Error) GRPCStatus() *status.Status {
	plain := status.New(mapping(e.Code()).grpc, e.Message)
	detailed, err := plain.WithDetails(e.Detail)
	if err != nil {
		return plain
	}
	return detailed
}

// AsError finds the API error in an error, whether it was made in this process
// or came over gRPC. It returns false for any other error.
func AsError(err error) (*Error, bool) {
	var own *Error
	if errors.As(err, &own) {
		return own, true
	}
	st, ok := status.FromError(err)
	if !ok || err == nil {
		return nil, false
	}
	for _, detail := range st.Details() {
		if d, ok := detail.(*ErrorDetail); ok {
			return &Error{Detail: d, Message: st.Message()}, true
		}
	}
	return nil, false
}

// CodeOf returns the code of an error, ERROR_CODE_UNSPECIFIED when it is not
// an API error.
func CodeOf(err error) ErrorCode {
	if e, ok := AsError(err); ok {
		return e.Code()
	}
	return ErrorCode_ERROR_CODE_UNSPECIFIED
}

// Exit codes of the CLI.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitTimeout     = 3
	ExitUnreachable = 5
	ExitConflict    = 6
)

type codeMapping struct {
	grpc codes.Code
	http int
	exit int
}

// mapping is the one place where error codes meet the codes of the outside.
func mapping(code ErrorCode) codeMapping {
	switch code {
	case ErrorCode_ERROR_CODE_INVALID:
		return codeMapping{codes.InvalidArgument, http.StatusBadRequest, ExitFailed}
	case ErrorCode_ERROR_CODE_NOT_FOUND:
		return codeMapping{codes.NotFound, http.StatusNotFound, ExitFailed}
	case ErrorCode_ERROR_CODE_CONFLICT:
		return codeMapping{codes.Aborted, http.StatusConflict, ExitConflict}
	case ErrorCode_ERROR_CODE_NO_LEADER:
		return codeMapping{codes.Unavailable, http.StatusServiceUnavailable, ExitUnreachable}
	case ErrorCode_ERROR_CODE_NOT_LEADER:
		return codeMapping{codes.FailedPrecondition, http.StatusMisdirectedRequest, ExitUnreachable}
	case ErrorCode_ERROR_CODE_FATE_UNKNOWN:
		return codeMapping{codes.Unknown, http.StatusGatewayTimeout, ExitUnreachable}
	case ErrorCode_ERROR_CODE_OVERLOADED:
		return codeMapping{codes.ResourceExhausted, http.StatusTooManyRequests, ExitFailed}
	case ErrorCode_ERROR_CODE_FORBIDDEN:
		return codeMapping{codes.PermissionDenied, http.StatusForbidden, ExitFailed}
	case ErrorCode_ERROR_CODE_INCOMPATIBLE:
		return codeMapping{codes.FailedPrecondition, http.StatusPreconditionFailed, ExitFailed}
	case ErrorCode_ERROR_CODE_SLOW_CONSUMER:
		return codeMapping{codes.ResourceExhausted, http.StatusTooManyRequests, ExitFailed}
	case ErrorCode_ERROR_CODE_NO_SPACE:
		return codeMapping{codes.ResourceExhausted, http.StatusInsufficientStorage, ExitFailed}
	case ErrorCode_ERROR_CODE_STOPPING:
		return codeMapping{codes.Unavailable, http.StatusServiceUnavailable, ExitUnreachable}
	default:
		return codeMapping{codes.Internal, http.StatusInternalServerError, ExitFailed}
	}
}

// HTTPStatus returns the HTTP status of an error code.
func (c ErrorCode) HTTPStatus() int { return mapping(c).http }

// ExitCode returns the CLI's exit code for an error code.
func (c ErrorCode) ExitCode() int { return mapping(c).exit }
