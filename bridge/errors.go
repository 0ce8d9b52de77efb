package bridge

import "errors"

// CauseError is an error that knows its cause. Dialers return it so that a failed Dial says why.
type CauseError struct {
	Cause Cause
	Err   error
}

func (e *CauseError) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return e.Cause.String()
}

// Unwrap returns the underlying error.
func (e *CauseError) Unwrap() error { return e.Err }

func causeOf(err error) Cause {
	var c *CauseError
	if errors.As(err, &c) {
		return c.Cause
	}
	return Cause{Fault: FaultUs, Reason: ReasonUnreachable, Text: err.Error()}
}
