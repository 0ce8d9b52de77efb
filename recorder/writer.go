package recorder

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// writer moves what the calls handed over into their files, a few times a second.
func (rec *Recorder) writer(ctx context.Context) {
	var list []*Recording
	rec.each(ctx, rec.cfg.Flush, func() {
		list = rec.list(list)
		state := DiskState(rec.guard.measured.Load())
		for _, r := range list {
			if why, ends := state.ends(); ends {
				r.end(why, time.Time{})
			}
			if r.ready.Load() && !r.ended {
				rec.drain(r)
			}
		}
		clear(list)
	})
}

// drain writes one recording's share, and hands it to the clerk at its end.
func (rec *Recorder) drain(r *Recording) {
	d := r.exchange(rec.spare)
	was := r.tape.packets
	began := time.Now()
	rec.writing.begin(rec.now())
	err := rec.fence(r.info.Call, func() error { return rec.write(r, d) })
	rec.writing.end()
	rec.spare = d.buf[:0]
	for side := range was {
		rec.m.packets[side].Add(float64(r.tape.packets[side] - was[side]))
		rec.m.lost[side].Add(float64(d.lost[side]))
	}
	if len(d.buf) > 0 || d.closed {
		rec.m.write.Observe(time.Since(began).Seconds())
	}
	if p := r.syncErr.Load(); err == nil && p != nil {
		err = *p
	}
	if err != nil {
		r.end(reasonOf(err), time.Time{})
		rec.log.Error("recording ended early; the call goes on", "call", r.info.Call, "file", r.path, "err", err)
	}
	if err != nil || d.closed {
		r.ended = true
		rec.toFinish <- r
		return
	}
	if !r.dirty.IsZero() && time.Since(r.dirty) >= rec.cfg.SyncAfter && r.queued.CompareAndSwap(false, true) {
		select {
		case rec.toSync <- r:
			r.dirty = time.Time{}
		default: // the syncers hang; the watcher says so
			r.queued.Store(false)
		}
	}
}

// write seals and writes what was drained, and the end if it is the end.
func (rec *Recorder) write(r *Recording, d drained) error {
	t := r.tape
	t.out = rec.out[:0]
	size, before := t.size, t.packets
	err := t.frames(d)
	if err == nil && d.closed {
		err = t.finish(d.endAt, d.reason)
	} else if err == nil {
		err = t.flush()
	}
	rec.out, t.out = t.out[:0], nil
	if t.size > size {
		rec.m.bytes.Add(float64(t.size - size))
		if r.dirty.IsZero() {
			r.dirty = time.Now()
		}
	}
	if err != nil {
		t.giveUp(entries(d.buf), before)
		return fmt.Errorf("write recording: %w", err)
	}
	return nil
}

// reasonOf says how a recording ends that met this error.
func reasonOf(err error) EndReason {
	if errors.Is(err, errBug) || errors.Is(err, errExhausted) {
		return Bug
	}
	why, _ := stateOf(err).ends()
	return why
}

// syncer makes files durable, several at once: their syncs then share the file system's commits.
func (rec *Recorder) syncer(ctx context.Context, b *busy) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-rec.toSync:
			_ = rec.fence(r.info.Call, func() error { rec.sync(r, b); return nil })
		}
	}
}

func (rec *Recorder) sync(r *Recording, b *busy) {
	defer r.queued.Store(false)
	r.syncing.Lock()
	defer r.syncing.Unlock()
	if r.syncErr.Load() != nil || r.tape.f == nil { // the clerk was faster
		return
	}
	if err := rec.timedSync(r.tape.f, b); err != nil {
		// The kernel has given the pages up: what this file holds is no longer known.
		err = fmt.Errorf("sync recording: %w", err)
		r.syncErr.Store(&err)
	}
}

func (rec *Recorder) timedSync(f File, b *busy) error {
	began := time.Now()
	b.begin(rec.now())
	defer b.end()
	err := f.Sync()
	rec.m.sync.Observe(time.Since(began).Seconds())
	return err
}
