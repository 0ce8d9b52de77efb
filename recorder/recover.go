package recorder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// Recover settles what a crash left: each recording the ledger has open and that is not running now is read to its end and
// reported finished (Interrupted, unless its end mark is there) with its hash and its readable length, or lost if there is
// no file. The files stay as they are. It is called once, after New; when the volume is missing nothing is settled, and it
// returns ErrNoVolume.
func (rec *Recorder) Recover(ctx context.Context) error {
	open, err := rec.cfg.Ledger.OpenRecordings(ctx)
	if err != nil {
		return fmt.Errorf("list open recordings: %w", err)
	}
	v, err := rec.cfg.FS.Open(rec.cfg.Dir)
	if err != nil {
		return fmt.Errorf("recover recordings: %w: %w", ErrNoVolume, err)
	}
	defer v.Close()
	if err := checkMarker(v, rec.cfg.VolumeID); err != nil {
		return fmt.Errorf("recover recordings: %w", err)
	}
	running := map[string]bool{}
	for _, r := range rec.list(nil) {
		running[r.ID()] = true
	}
	var errs []error
	for _, e := range open {
		if running[e.ID] {
			continue
		}
		if err := rec.recoverOne(ctx, v, e); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func (rec *Recorder) recoverOne(ctx context.Context, v Volume, e Entry) error {
	rep, err := rec.survey(ctx, v, e)
	e.Reason = Interrupted
	tell := rec.cfg.Ledger.RecordingFinished
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrFormat): // killed before the header was on disk
		tell = rec.cfg.Ledger.RecordingLost
	case err != nil:
		return fmt.Errorf("recover recording %s: %w", e.Path, err)
	default:
		e.Reason, e.Duration, e.Size, e.Readable, e.SHA256 = rep.Reason, rep.Duration, rep.Size, rep.Readable, rep.SHA256
		e.Packets, e.Lost = rep.Packets[Customer]+rep.Packets[Agent], rep.Lost
	}
	if err := tell(ctx, e); err != nil {
		return fmt.Errorf("recover recording %s: %w", e.Path, err)
	}
	rec.m.ended.WithLabelValues(e.Reason.String()).Inc()
	rec.log.Info("recording settled after a crash", "lost", err != nil, "call", e.Info.Call, "file", e.Path, "readable", e.Readable, "duration", e.Duration, "verdict", rep.Verdict.String())
	return nil
}

func (rec *Recorder) survey(ctx context.Context, v Volume, e Entry) (Report, error) {
	f, err := v.Open(e.Path)
	if err != nil {
		return Report{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Report{}, err
	}
	return verify(ctx, f, info.Size(), Keys{Keyring: rec.cfg.Keyring}, nil, nil)
}
