package admin

import "errors"

// The errors of the interfaces in ports.go that admin tells apart.
var (
	// ErrNotFound: there is no such thing, or it is not the asker's to see.
	ErrNotFound = errors.New("not found")
	// ErrConflict: it changed since the asker looked.
	ErrConflict = errors.New("changed meanwhile")
	// ErrTaken: another account has this login, or there is an account already.
	ErrTaken = errors.New("taken")
	// ErrInvalid: the value cannot be used; the text says why.
	ErrInvalid = errors.New("invalid")
	// ErrUnavailable: the store cannot do it now (disk full, stuck or not open yet).
	ErrUnavailable = errors.New("unavailable")
	// ErrGone: it was there, and its file is not here any more; the text says why.
	ErrGone = errors.New("gone")
	// ErrUpstream: WhatsApp could not be asked, or refused it; the text says why.
	ErrUpstream = errors.New("WhatsApp")
	// ErrDenied: wrong login, password or code.
	ErrDenied = errors.New("denied")
	// ErrCodeNeeded: the password is right and the account wants its second factor.
	ErrCodeNeeded = errors.New("code needed")
	// ErrTooMany: a limit is reached; try later.
	ErrTooMany = errors.New("too many")
)
