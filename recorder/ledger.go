package recorder

import (
	"context"
	"time"
)

// Ledger keeps what is known about recordings beside the files. The recorder calls it from its own goroutine, never from a
// call's, and gives it 2 s to note a start and 10 s for the rest. A failing ledger stops no recording.
type Ledger interface {
	// RecordingStarted comes before the file exists, so that no file is unknown after a crash.
	RecordingStarted(ctx context.Context, e Entry) error
	// RecordingFinished comes once the file is synced and closed: whole, or cut short (Reason), or found after a crash.
	RecordingFinished(ctx context.Context, e Entry) error
	// RecordingLost: nothing of it is on disk.
	RecordingLost(ctx context.Context, e Entry) error
	// OpenRecordings are those started but neither finished nor lost.
	OpenRecordings(ctx context.Context) ([]Entry, error)
}

// Entry is one recording as the ledger knows it.
type Entry struct {
	ID      string // hex, also in the file's header
	Info    Info
	Path    string // below the recording folder, slashes
	Started time.Time

	// Known at the end.
	Reason   EndReason
	Duration time.Duration
	Size     int64 // bytes of the file
	Readable int64 // bytes up to the end of the last whole record; Size in a finished file
	SHA256   [32]byte
	Packets  uint64 // audio packets in the file, both sides
	Lost     uint64 // packets that did not reach it, as its marks say
}

// noLedger is used when the configuration has none.
type noLedger struct{}

func (noLedger) RecordingStarted(context.Context, Entry) error   { return nil }
func (noLedger) RecordingFinished(context.Context, Entry) error  { return nil }
func (noLedger) RecordingLost(context.Context, Entry) error      { return nil }
func (noLedger) OpenRecordings(context.Context) ([]Entry, error) { return nil, nil }
