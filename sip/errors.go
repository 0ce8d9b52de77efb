package sip

import "errors"

// Why a Dial or another request to the Endpoint fails before anything was sent.
var (
	// ErrNotRegistered: the phone exists but no device of it is registered.
	ErrNotRegistered = errors.New("phone is not registered")
	// ErrTrunkDown: the trunk does not answer (OPTIONS), or refuses our REGISTER.
	ErrTrunkDown = errors.New("trunk is down")
	// ErrTarget: the trunk's DialPattern does not allow the target.
	ErrTarget = errors.New("target is not allowed on this trunk")
	// ErrRemoved: the trunk or phone was removed from the settings.
	ErrRemoved = errors.New("trunk or phone no longer exists")
	// ErrOverload: the rated number of calls is reached.
	ErrOverload = errors.New("too many calls")
	// ErrStopped: the Endpoint is stopping.
	ErrStopped = errors.New("endpoint is stopped")
	// ErrNoDialog: a leg record holds no SIP dialog that could be ended.
	ErrNoDialog = errors.New("leg record has no dialog")
)
