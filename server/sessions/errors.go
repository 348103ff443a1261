package sessions

import "errors"

// Why sessions end, as far as it is not an error of the API that the agent is
// told.
var (
	// errBroken is the cause when the agent's stream broke or was closed without
	// a goodbye.
	errBroken = errors.New("stream ended without goodbye")
	// errGoodbye is the cause when the agent said that it ends.
	errGoodbye = errors.New("agent said goodbye")
	// errSilent is the cause when no sign of life came for the session timeout.
	errSilent = errors.New("no sign of life")
)
