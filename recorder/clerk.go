package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	startedLimit = 2 * time.Second // less than a ring holds: the file waits for it
	ledgerLimit  = 10 * time.Second
)

// clerk opens and finishes files and keeps the ledger.
func (rec *Recorder) clerk(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-rec.toOpen:
			rec.open(ctx, r)
			if len(rec.toOpen) == 0 {
				rec.settle()
			}
		case r := <-rec.toFinish:
			rec.settle()
			rec.finish(ctx, r)
		}
	}
}

// open makes the recording's file, or gives the recording up.
func (rec *Recorder) open(ctx context.Context, r *Recording) {
	rec.clerking.begin(rec.now())
	defer rec.clerking.end()
	err := rec.fence(r.info.Call, func() error { return rec.openFile(ctx, r) })
	if err == nil {
		rec.fresh = append(rec.fresh, r)
		r.ready.Store(true)
		return
	}
	r.end(reasonOf(err), time.Time{})
	d := r.exchange(nil)
	rec.log.Error("recording did not begin; the call goes on", "call", r.info.Call, "err", err)
	rec.m.ended.WithLabelValues(d.reason.String()).Inc()
	e := r.entry()
	e.Reason, e.Duration = d.reason, time.Duration(d.endAt)*time.Microsecond
	e.Lost = d.missed()
	rec.tell(ctx, ledgerLimit, "lost", e, rec.cfg.Ledger.RecordingLost)
	rec.remove(r)
}

func (rec *Recorder) openFile(ctx context.Context, r *Recording) error {
	v, err := rec.cfg.FS.Open(rec.cfg.Dir)
	if err != nil {
		return fmt.Errorf("open recording folder: %w", err)
	}
	defer v.Close()
	if err := checkMarker(v, rec.cfg.VolumeID); err != nil {
		return err
	}
	day := r.wall.Format("2006/01/02")
	if r.path, err = freeName(v, day, r.info.Call); err != nil {
		return err
	}
	rec.tell(ctx, startedLimit, "started", r.entry(), rec.cfg.Ledger.RecordingStarted)
	f, unsynced, err := createFile(v, r.path)
	if err != nil {
		return err
	}
	for _, dir := range unsynced {
		if !slices.Contains(rec.folders, dir) {
			rec.folders = append(rec.folders, dir)
		}
	}
	r.tape, err = newTape(f, r.key, r.head, r.info)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	clear(r.key)
	r.key, r.head = nil, nil
	return nil
}

// settle makes the entries of new files durable: one sync per folder, however many calls have begun at once. Their audio is
// written meanwhile.
func (rec *Recorder) settle() {
	if len(rec.fresh) == 0 {
		return
	}
	rec.clerking.begin(rec.now())
	defer rec.clerking.end()
	err := rec.fence("", rec.syncFolders)
	for _, r := range rec.fresh {
		if err != nil {
			r.syncErr.Store(&err)
		}
	}
	clear(rec.fresh)
	rec.fresh, rec.folders = rec.fresh[:0], rec.folders[:0]
}

func (rec *Recorder) syncFolders() error {
	v, err := rec.cfg.FS.Open(rec.cfg.Dir)
	if err != nil {
		return fmt.Errorf("open recording folder: %w", err)
	}
	defer v.Close()
	for _, dir := range rec.folders {
		if err := v.SyncDir(dir); err != nil {
			return fmt.Errorf("sync folder %s: %w", dir, err)
		}
	}
	return nil
}

// entry is what the ledger is told about r.
func (r *Recording) entry() Entry {
	return Entry{ID: r.ID(), Info: r.info, Path: r.path, Started: r.wall}
}

// finish closes a file whose last byte is written.
func (rec *Recorder) finish(ctx context.Context, r *Recording) {
	rec.clerking.begin(rec.now())
	defer rec.clerking.end()
	t := r.tape
	r.syncing.Lock()
	err := t.f.Sync()
	err = errors.Join(err, t.f.Close())
	t.f = nil
	r.syncing.Unlock()
	if err != nil {
		r.failed(reasonOf(err))
		rec.log.Error("recording was not made durable", "call", r.info.Call, "file", r.path, "err", err)
	}
	d := r.exchange(nil)
	e := r.entry()
	e.Reason, e.Duration = d.reason, time.Duration(t.last)*time.Microsecond
	e.Size, e.Readable = t.size, t.size
	e.SHA256 = [32]byte(t.hash.Sum(nil))
	e.Packets, e.Lost = t.packets[Customer]+t.packets[Agent], t.lost+d.missed()
	rec.m.ended.WithLabelValues(e.Reason.String()).Inc()
	rec.tell(ctx, ledgerLimit, "finished", e, rec.cfg.Ledger.RecordingFinished)
	rec.remove(r)
}

// failed overrides why a recording ended when its last sync failed.
func (r *Recording) failed(why EndReason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reason = why
}

// tell gives the ledger its time, which is not the disk's. What it does not take is logged and counted: the file is there all
// the same.
func (rec *Recorder) tell(ctx context.Context, limit time.Duration, event string, e Entry, f func(context.Context, Entry) error) {
	rec.clerking.end()
	defer func() { rec.clerking.begin(rec.now()) }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := rec.fence(e.Info.Call, func() error { return f(ctx, e) }); err != nil {
		rec.m.ledger.WithLabelValues(event).Inc()
		rec.log.Error("the ledger did not take a recording", "event", event, "call", e.Info.Call, "file", e.Path, "err", err)
	}
}
