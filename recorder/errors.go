package recorder

import "errors"

// The errors callers can tell apart with errors.Is.
var (
	// ErrFormat: not a recording of ours, or its header is damaged beyond its second copy.
	ErrFormat = errors.New("not a deskbridge recording")
	// ErrVersion: written by a newer version.
	ErrVersion = errors.New("recording has a newer format")
	// ErrNoKey: none of the keys or identities given opens the recording.
	ErrNoKey = errors.New("no key opens this recording")
	// ErrInvalid: the caller's value cannot be used.
	ErrInvalid = errors.New("invalid")
	// ErrStopped: the recorder was stopped.
	ErrStopped = errors.New("recorder is stopped")
	// ErrTooMany: as many recordings run as the recorder was made for.
	ErrTooMany = errors.New("too many recordings at once")
	// ErrNoVolume: the recording volume isn't there (its marker file is missing or names another volume).
	ErrNoVolume = errors.New("recording volume is missing")
	// ErrDiskFull: less space than the watermark is left on the recording volume.
	ErrDiskFull = errors.New("recording volume is full")
	// ErrDiskFailed: the recording volume is read-only, fails or does not answer.
	ErrDiskFailed = errors.New("recording volume fails")
)
