package appliance

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"deskbridge/recorder"
	"deskbridge/store"
)

// Accessor is who does something with a recording, and from where, for the audit log.
type Accessor struct {
	Who  string // account or system user
	From string // address or program
}

// RecordingFilter selects recordings whose file is there. Zero values don't filter.
type RecordingFilter struct {
	Line     string
	Agent    string
	Customer string // ID
	Call     string // also those whose file is gone
	Since    time.Time
	Before   time.Time
	Held     bool
	Limit    int
	Cursor   string
}

// ErrNoFile: the ledger knows the recording, and its file is not here.
var ErrNoFile = errors.New("the recording's file is not here")

// List gives a page of recordings, newest first. A page may be shorter than its limit, even empty, and still have a Next.
func (r *Recordings) List(ctx context.Context, f RecordingFilter) (store.Page[store.Recording], error) {
	page, err := r.store.Recordings(ctx, store.RecordingQuery{
		Span: store.Span{Limit: f.Limit, Cursor: f.Cursor}, Line: f.Line, Customer: f.Customer, Call: f.Call, Since: f.Since, Before: f.Before, Held: f.Held,
	})
	if err != nil || f.Agent == "" {
		return page, err
	}
	kept := page.Items[:0]
	for _, rec := range page.Items {
		if rec.Agent == f.Agent {
			kept = append(kept, rec)
		}
	}
	page.Items = kept
	return page, nil
}

// Get gives one recording.
func (r *Recordings) Get(ctx context.Context, id string) (store.Recording, error) {
	return r.store.Recording(ctx, id)
}

// file is where a recording's file is. ErrNoFile says why there is none.
func (r *Recordings) file(rec store.Recording) (string, error) {
	switch {
	case rec.State == store.RecordingDeleted && rec.CopiedTo != "" && rec.Why == recorder.WhyArchived:
		return "", fmt.Errorf("%w: only its copy is left: fetch %s and use deskbridge recording export --file", ErrNoFile, rec.CopiedTo)
	case rec.State == store.RecordingDeleted || rec.State == store.RecordingLost:
		return "", fmt.Errorf("%w: it is %s (%s)", ErrNoFile, rec.State, rec.Why)
	}
	path, err := filepath.Localize(rec.Path)
	if err != nil {
		return "", fmt.Errorf("recording %s: path %q: %w", rec.ID, rec.Path, err)
	}
	if err := recorder.CheckVolume(r.dir, r.volume); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoFile, err)
	}
	return filepath.Join(r.dir, path), nil
}

// RecordingExport is a recording as a file. It belongs to one goroutine and is closed by who opened it.
type RecordingExport struct {
	io.ReadSeekCloser
	Recording   store.Recording
	Size        int64
	ContentType string
	Name        string // for the file
	Duration    time.Duration
}

// OpenExport gives a recording in a format, audited first as a download. Bytes and Size are the same each time for a
// finished recording; one that is still running is what is on disk now.
func (r *Recordings) OpenExport(ctx context.Context, id string, format recorder.ExportFormat, by Accessor) (*RecordingExport, error) {
	return r.openExport(ctx, id, format, by, store.RecordingDownloaded)
}

// OpenPlayback is OpenExport for listening in a browser: audited as played.
func (r *Recordings) OpenPlayback(ctx context.Context, id string, format recorder.ExportFormat, by Accessor) (*RecordingExport, error) {
	return r.openExport(ctx, id, format, by, store.RecordingPlayed)
}

func (r *Recordings) openExport(ctx context.Context, id string, format recorder.ExportFormat, by Accessor, what store.RecordingAccess) (*RecordingExport, error) {
	rec, err := r.store.Recording(ctx, id)
	if err != nil {
		return nil, err
	}
	path, err := r.file(rec)
	if err != nil {
		return nil, err
	}
	if err := r.store.AuditRecording(ctx, id, what, by.Who, by.From, r.now()); err != nil {
		return nil, err
	}
	e, err := r.exports.get(ctx, exportKey{id, format, rec.State}, func(ctx context.Context) (*recorder.Export, error) {
		return LayOutExport(ctx, path, r.keys, format)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrNoFile, err)
	}
	if err != nil {
		return nil, err
	}
	return &RecordingExport{
		ReadSeekCloser: e.NewReader(), Recording: rec, Size: e.Size(), ContentType: e.ContentType(), Duration: e.Duration(),
		Name: exportName(rec, format),
	}, nil
}

// LayOutExport reads a recording's file once to lay out its export.
func LayOutExport(ctx context.Context, path string, keys recorder.Keys, format recorder.ExportFormat) (*recorder.Export, error) {
	first, err := recorder.Open(path, keys)
	if err != nil {
		return nil, err
	}
	length, err := first.Duration()
	if err = errors.Join(err, first.Close()); err != nil {
		return nil, err
	}
	return recorder.NewExport(ctx, func() (recorder.Source, error) { return recorder.OpenResumable(path, keys) }, recorder.ExportOptions{Format: format, Length: length})
}

// exportName names no person: file names end up in mails and logs.
func exportName(rec store.Recording, f recorder.ExportFormat) string {
	side := map[recorder.ExportFormat]string{recorder.OggCustomer: "-customer", recorder.OggAgent: "-agent"}[f]
	return rec.StartedAt.UTC().Format("20060102-150405") + "-" + rec.Call + side + f.Extension()
}

// Verify checks every tag of a recording and its hash in the ledger, audited first. progress, if not nil, is told bytes done
// of bytes to do.
func (r *Recordings) Verify(ctx context.Context, id string, by Accessor, progress func(done, total int64)) (recorder.Report, error) {
	rec, err := r.store.Recording(ctx, id)
	if err != nil {
		return recorder.Report{}, err
	}
	path, err := r.file(rec)
	if err != nil {
		return recorder.Report{}, err
	}
	if err := r.store.AuditRecording(ctx, id, store.RecordingVerified, by.Who, by.From, r.now()); err != nil {
		return recorder.Report{}, err
	}
	sha, err := hex.DecodeString(rec.SHA256)
	if err != nil {
		return recorder.Report{}, fmt.Errorf("verify recording %s: hash in the ledger: %w", id, err)
	}
	rep, err := recorder.Verify(ctx, path, r.keys, sha, progress)
	if errors.Is(err, fs.ErrNotExist) {
		return rep, fmt.Errorf("%w: %w", ErrNoFile, err)
	}
	return rep, err
}

// Hold puts a recording under a legal hold: nothing deletes it until Release. The store keeps who did it, and why.
func (r *Recordings) Hold(ctx context.Context, id, reason string, by Accessor) error {
	return r.store.HoldRecording(ctx, id, by.Who, reason, r.now())
}

// Release ends a legal hold.
func (r *Recordings) Release(ctx context.Context, id string, by Accessor) error {
	if err := r.store.ReleaseRecording(ctx, id, by.Who, r.now()); err != nil {
		return err
	}
	r.retention.Look()
	return nil
}

// Disk is the state of the recording volume.
func (r *Recordings) Disk() recorder.Disk { return r.rec.Disk() }

// ClockMoved is by how much the wall clock moved, while that keeps recordings from being deleted; 0 otherwise.
func (r *Recordings) ClockMoved() time.Duration { return r.retention.Suspended() }

// ConfirmClock says that the wall clock is right.
func (r *Recordings) ConfirmClock() error { return r.retention.Confirm() }

// RotateKey makes a fresh recording key for recordings that start from now on, and returns its ID.
func (r *Recordings) RotateKey() (string, error) {
	id, err := r.keys.Keyring.Rotate()
	return id.String(), err
}

// OpenSealed lays out the export of a sealed file without the store: with the identities of an age key file, or the
// appliance's own keys.
func OpenSealed(ctx context.Context, path, dataDir, identity string, format recorder.ExportFormat) (*recorder.Export, error) {
	var keys recorder.Keys
	if identity == "" {
		if _, err := os.Stat(filepath.Join(dataDir, "keys")); err != nil {
			return nil, fmt.Errorf("recording keys: %w; name an age key with --identity", err)
		}
		ring, err := recorder.LoadOrCreateKeyring(dataDir)
		if err != nil {
			return nil, err
		}
		keys.Keyring = ring
		return LayOutExport(ctx, path, keys, format)
	}
	text, err := os.ReadFile(identity)
	if err != nil {
		return nil, err
	}
	if keys.Identities, err = recorder.ParseIdentities(string(text)); err != nil {
		return nil, fmt.Errorf("%s: %w", identity, err)
	}
	return LayOutExport(ctx, path, keys, format)
}
