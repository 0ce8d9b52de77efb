package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// RecordingQuery selects recordings whose file is there. Zero values don't filter. At most one of Call, Customer and Line
// chooses the list; the others filter it.
type RecordingQuery struct {
	Span
	OldestFirst bool   // as retention wants it; default newest first
	Call        string // also those whose file is gone
	Customer    string // also those made under an ID merged into this one
	Line        string
	Since       time.Time // started at or after
	Before      time.Time // started before
	Held        bool      // only those under a legal hold
}

// Recording is one recording.
func (s *Store) Recording(ctx context.Context, id string) (r Recording, err error) {
	err = s.view(ctx, func(t *tx) error {
		r, err = recordingRows.load(t, id)
		return err
	})
	return r, err
}

// Recordings lists recordings by the time they were started.
func (s *Store) Recordings(ctx context.Context, q RecordingQuery) (page Page[Recording], err error) {
	err = s.view(ctx, func(t *tx) error {
		w := walk{newest: !q.OldestFirst}
		who, err := t.current(q.Customer)
		if err != nil {
			return err
		}
		switch {
		case q.Call != "":
			w.prefixes = [][]byte{indexPrefix(tabRecording, recordingByCall, q.Call)}
		case q.Customer != "":
			ids, err := t.everyID(q.Customer)
			if err != nil {
				return err
			}
			for _, id := range ids {
				w.prefixes = append(w.prefixes, indexPrefix(tabRecording, recordingByWho, id))
			}
		case q.Line != "":
			w.prefixes = [][]byte{indexPrefix(tabRecording, recordingByLine, q.Line)}
		default:
			w.prefixes = [][]byte{indexPrefix(tabRecording, recordingByTime)}
		}
		w.bound(q.Since, q.Before)
		page, err = recordingRows.list(ctx, t, w, q.Span, func(r *Recording) bool {
			return (q.Line == "" || q.Line == r.Line) && (who == "" || who == r.Customer) && (!q.Held || r.Held)
		})
		return err
	})
	return page, wrap(err, "recordings")
}

// OpenRecordings are those being written, oldest first. After a start these are the ones the last run left behind: finish
// them with what is readable.
func (s *Store) OpenRecordings(ctx context.Context, span Span) (page Page[Recording], err error) {
	err = s.view(ctx, func(t *tx) error {
		page, err = recordingRows.list(ctx, t, walk{prefixes: [][]byte{indexPrefix(tabRecording, recordingOpen)}}, span, nil)
		return err
	})
	return page, wrap(err, "open recordings")
}

// RecordingBytes is the size of all recordings whose file is there, of one line or (empty) of all.
func (s *Store) RecordingBytes(ctx context.Context, line string) (sum int64, err error) {
	err = s.view(ctx, func(t *tx) error {
		if line != "" {
			sum, err = t.total(totalKey(tabRecording, line))
			return err
		}
		return t.scan([]byte{tabTotal, tabRecording}, func(_ []byte, it *badger.Item) (bool, error) {
			v, err := it.ValueCopy(nil)
			sum += int64(asU64(v))
			return true, err
		})
	})
	return sum, wrap(err, "recording bytes")
}

// RecordingAccess is what somebody does with a recording.
type RecordingAccess string

// The accesses.
const (
	RecordingPlayed     RecordingAccess = "recording.played"
	RecordingDownloaded RecordingAccess = "recording.downloaded"
	RecordingLinked     RecordingAccess = "recording.linked" // a signed link was made
	RecordingVerified   RecordingAccess = "recording.verified"
)

// AuditRecording keeps who does what with a recording, and from where. It comes first: when it fails, refuse the access.
func (s *Store) AuditRecording(ctx context.Context, id string, what RecordingAccess, by, from string, at time.Time) error {
	switch what {
	case RecordingPlayed, RecordingDownloaded, RecordingLinked, RecordingVerified:
	default:
		return fmt.Errorf("audit recording: %w: access %q", ErrInvalid, what)
	}
	if err := checkID("user", by); err != nil {
		return fmt.Errorf("audit recording: %w", err)
	}
	data, err := json.Marshal(map[string]string{"by": by, "from": shown(from)})
	if err != nil {
		return fmt.Errorf("audit recording: %w", err)
	}
	_, err = s.submit(ctx, classNormal, func(t *tx) error {
		r, err := recordingRows.load(t, id)
		if err != nil {
			return err
		}
		f := Fact{Kind: string(what), At: at, Version: 1, Data: data,
			Subjects: append([]string{recordingRows.subject(id), "user:" + by}, r.about()...)}
		if err := f.check(); err != nil {
			return err
		}
		_, err = t.append(f)
		return err
	})
	return wrap(err, "audit recording "+id)
}
