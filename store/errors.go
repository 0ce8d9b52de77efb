package store

import (
	"errors"
	"fmt"
)

// The errors callers can tell apart with errors.Is.
var (
	// ErrNotFound: no such call, customer or setting.
	ErrNotFound = errors.New("not found")
	// ErrVersion: the subject moved on since the caller looked; read again, decide again.
	ErrVersion = errors.New("version conflict")
	// ErrDiskFull: refused because the disk has too little space (or is read-only). Nothing was written.
	ErrDiskFull = errors.New("disk full")
	// ErrStuck: the disk doesn't answer. What was asked may or may not be written later; repeating it is safe for
	// inbox items (deduplicated) and call facts.
	ErrStuck = errors.New("disk stuck")
	// ErrUnavailable: the database isn't open yet because the disk was full or read-only at the start.
	ErrUnavailable = errors.New("store not open yet")
	// ErrJournalFull: more call facts wait in memory than we are willing to keep.
	ErrJournalFull = errors.New("too many call facts wait for the disk")
	// ErrLocked: another process has the store open.
	ErrLocked = errors.New("store is in use by another process")
	// ErrWrongKey: the appliance key isn't the one the store was made with.
	ErrWrongKey = errors.New("appliance key does not fit this store")
	// ErrSchema: the store was written by a newer version.
	ErrSchema = errors.New("store has a newer schema")
	// ErrCorrupt: a record failed its authentication or cannot be decoded.
	ErrCorrupt = errors.New("record is damaged")
	// ErrTooLarge: beyond the limits of the package.
	ErrTooLarge = errors.New("too large")
	// ErrInvalid: the caller's value cannot be stored.
	ErrInvalid = errors.New("invalid")
	// ErrHeld: a legal hold forbids the deletion.
	ErrHeld = errors.New("under a legal hold")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("store is closed")
)

// wrap adds what was being done to an error, if there is one.
func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
