package store

import (
	"context"
	"fmt"
	"time"
)

// RecordingState is where a recording stands.
type RecordingState string

// The states.
const (
	RecordingOpen     RecordingState = "open"     // being written; after a start: left behind by the last run
	RecordingFinished RecordingState = "finished" // complete, with its hash
	RecordingLost     RecordingState = "lost"     // the file is gone or unreadable though nobody deleted it
	RecordingDeleted  RecordingState = "deleted"
)

// Recording is what the ledger knows of one sealed file.
type Recording struct {
	ID       string `json:"id"`
	Call     string `json:"call"`
	Line     string `json:"line,omitempty"`
	Customer string `json:"customer,omitempty"`
	Agent    string `json:"agent,omitempty"`
	Path     string `json:"path"` // below the recordings folder; nothing personal in it

	StartedAt  time.Time      `json:"started_at"`
	FinishedAt time.Time      `json:"finished_at,omitzero"`
	State      RecordingState `json:"state"`
	SHA256     string         `json:"sha256,omitempty"` // of the finished file, hex
	Bytes      int64          `json:"bytes,omitempty"`
	Duration   time.Duration  `json:"duration,omitempty"`
	Packets    int64          `json:"packets,omitempty"`
	Lost       int64          `json:"lost,omitempty"` // packets that the disk was too slow for

	Held       bool      `json:"held,omitempty"` // legal hold: not deleted, whatever retention says
	HeldBy     string    `json:"held_by,omitempty"`
	CopiedTo   string    `json:"copied_to,omitempty"` // the bucket and object of the verified copy
	CopiedAt   time.Time `json:"copied_at,omitzero"`
	DeletedAt  time.Time `json:"deleted_at,omitzero"`
	Why        string    `json:"why,omitempty"`         // lost or deleted: "retention", "quota", "erased", an error
	HeldReason string    `json:"held_reason,omitempty"` // personal
}

func (r *Recording) id() string         { return r.ID }
func (r *Recording) who() *string       { return &r.Customer }
func (r *Recording) private() []*string { return []*string{&r.HeldReason} }
func (r *Recording) rev() *uint64       { return nil }
func (r *Recording) about() []string    { return subjects(r.Line, r.Customer, r.Call) }

// there tells whether the file takes space.
func (r *Recording) there() bool { return r.State == RecordingOpen || r.State == RecordingFinished }

// The facts of a recording; each carries the recording as it stands after it.
const (
	factRecordingStarted  = "recording.started"
	factRecordingFinished = "recording.finished"
	factRecordingLost     = "recording.lost"
	factRecordingDeleted  = "recording.deleted"
	factRecordingHeld     = "recording.held"
	factRecordingReleased = "recording.released"
	factRecordingCopied   = "recording.copied"
)

// The indexes of recordings.
const (
	recordingByTime = 't' // + started-at: all whose file is there
	recordingByLine = 'l' // + line 0 + started-at: the same
	recordingByWho  = 'c' // + customer 0 + started-at: the same
	recordingByCall = 'k' // + call 0 + started-at: all
	recordingOpen   = 'o' // + started-at: open ones
)

var recordingRows = rows[Recording, *Recording]{table: tabRecording, noun: "recording",
	kinds: []string{factRecordingStarted, factRecordingFinished, factRecordingLost, factRecordingDeleted, factRecordingHeld,
		factRecordingReleased, factRecordingCopied},
	index: recordingIndex, tally: recordingBytes}

func recordingIndex(r *Recording) [][]byte {
	at := func(letter byte, parts ...string) []byte {
		return indexKey(indexPrefix(tabRecording, letter, parts...), r.StartedAt, r.ID)
	}
	keys := [][]byte{at(recordingByCall, r.Call)}
	if r.there() {
		keys = append(keys, at(recordingByTime), at(recordingByLine, r.Line))
		if r.Customer != "" {
			keys = append(keys, at(recordingByWho, r.Customer))
		}
	}
	if r.State == RecordingOpen {
		keys = append(keys, at(recordingOpen))
	}
	return keys
}

// recordingBytes keeps the sum of the files that are there, per line.
func recordingBytes(t *tx, old, r *Recording) error {
	if old != nil && old.there() && old.Bytes != 0 {
		if err := t.add(totalKey(tabRecording, old.Line), -old.Bytes); err != nil {
			return err
		}
	}
	if r.there() && r.Bytes != 0 {
		return t.add(totalKey(tabRecording, r.Line), r.Bytes)
	}
	return nil
}

// StartRecording keeps that a file is being written, before its first byte.
func (s *Store) StartRecording(ctx context.Context, r Recording) error {
	if r.Call == "" || r.Path == "" || r.StartedAt.IsZero() {
		return fmt.Errorf("start recording %s: %w: call, path or time is missing", r.ID, ErrInvalid)
	}
	r.State = RecordingOpen
	return s.editRecording(ctx, classInbox, r.ID, r.StartedAt, func(old *Recording, found bool) (string, error) {
		if found {
			return "", fmt.Errorf("%w: it is there already", ErrInvalid)
		}
		*old = r
		return factRecordingStarted, nil
	})
}

// RecordingEnd is what is known of a finished file.
type RecordingEnd struct {
	At       time.Time
	SHA256   string
	Bytes    int64
	Duration time.Duration
	Packets  int64
	Lost     int64
}

// FinishRecording closes an open recording. While the disk refuses writes it waits in memory, as the call's facts do.
func (s *Store) FinishRecording(ctx context.Context, id string, e RecordingEnd) error {
	return s.changeRecording(ctx, classCall, id, e.At, func(r *Recording) (string, error) {
		if r.State != RecordingOpen {
			return "", fmt.Errorf("%w: it is %s already", ErrInvalid, r.State)
		}
		r.State, r.FinishedAt, r.SHA256, r.Bytes, r.Duration = RecordingFinished, e.At, e.SHA256, e.Bytes, e.Duration
		r.Packets, r.Lost = e.Packets, e.Lost
		return factRecordingFinished, nil
	})
}

// LoseRecording says that the file is gone or unreadable though nobody deleted it.
func (s *Store) LoseRecording(ctx context.Context, id, why string, at time.Time) error {
	return s.changeRecording(ctx, classCall, id, at, func(r *Recording) (string, error) {
		if !r.there() {
			return "", nil
		}
		r.State, r.Why = RecordingLost, shown(why)
		return factRecordingLost, nil
	})
}

// DeleteRecording says that the file is to be deleted: it is written first, the file goes then. ErrHeld under a legal hold.
func (s *Store) DeleteRecording(ctx context.Context, id, why string, at time.Time) error {
	return s.changeRecording(ctx, classInbox, id, at, func(r *Recording) (string, error) {
		switch {
		case r.Held:
			return "", ErrHeld
		case r.State == RecordingOpen:
			return "", fmt.Errorf("%w: it is still being written", ErrInvalid)
		case r.State == RecordingDeleted:
			return "", nil
		}
		r.State, r.DeletedAt, r.Why = RecordingDeleted, at, shown(why)
		return factRecordingDeleted, nil
	})
}

// HoldRecording puts a legal hold on a recording. reason is personal.
func (s *Store) HoldRecording(ctx context.Context, id, by, reason string, at time.Time) error {
	return s.changeRecording(ctx, classNormal, id, at, func(r *Recording) (string, error) {
		if !r.there() {
			return "", fmt.Errorf("%w: it is %s", ErrInvalid, r.State)
		}
		r.Held, r.HeldBy, r.HeldReason = true, by, shown(reason)
		return factRecordingHeld, nil
	})
}

// ReleaseRecording ends a legal hold.
func (s *Store) ReleaseRecording(ctx context.Context, id, by string, at time.Time) error {
	return s.changeRecording(ctx, classNormal, id, at, func(r *Recording) (string, error) {
		if !r.Held {
			return "", nil
		}
		r.Held, r.HeldBy, r.HeldReason = false, by, ""
		return factRecordingReleased, nil
	})
}

// CopiedRecording says that a verified copy is at to.
func (s *Store) CopiedRecording(ctx context.Context, id, to string, at time.Time) error {
	return s.changeRecording(ctx, classInbox, id, at, func(r *Recording) (string, error) {
		if r.State != RecordingFinished {
			return "", fmt.Errorf("%w: it is %s", ErrInvalid, r.State)
		}
		r.CopiedTo, r.CopiedAt = to, at
		return factRecordingCopied, nil
	})
}

func (s *Store) changeRecording(ctx context.Context, c class, id string, at time.Time, fn func(*Recording) (string, error)) error {
	return s.editRecording(ctx, c, id, at, func(r *Recording, found bool) (string, error) {
		if !found {
			return "", ErrNotFound
		}
		return fn(r)
	})
}

func (s *Store) editRecording(ctx context.Context, c class, id string, at time.Time, fn func(*Recording, bool) (string, error)) error {
	_, _, err := recordingRows.edit(ctx, s, edit{c, id, at}, func(_ *tx, r *Recording, found bool) (string, error) { return fn(r, found) })
	return wrap(err, "recording "+id)
}
