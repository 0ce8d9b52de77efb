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

// volumeBatch is how many files due at once make one sync of their whole volume cheaper than one each. Each fdatasync waits for a
// commit of the file system and costs the kernel as much as sealing seconds of a call; a hundred calls need one commit.
const volumeBatch = 8

// maxTogether bounds what one sync holds up: a file that is being synced cannot be finished.
const maxTogether = 512

// wholeVolume is a File whose volume can be synced at once.
type wholeVolume interface {
	Volume() uint64    // the same for all files of a volume
	SyncVolume() error // everything written to it
}

// syncer makes files durable, several at once: their syncs then share the file system's commits.
func (rec *Recorder) syncer(ctx context.Context, b *busy) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-rec.toSync:
			batch := rec.due(r)
			_ = rec.fence(r.info.Call, func() error { rec.sync(batch, b); return nil })
		}
	}
}

// due is first, and with it all else that waits if that is much: a few are left to the other syncers, beside this one.
func (rec *Recorder) due(first *Recording) []*Recording {
	batch := []*Recording{first}
	if len(rec.toSync) < volumeBatch-1 {
		return batch
	}
	for len(batch) < maxTogether {
		select {
		case r := <-rec.toSync:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

func (rec *Recorder) sync(batch []*Recording, b *busy) {
	var live []*Recording
	for _, r := range batch {
		r.syncing.Lock() // a recording is in one batch at a time, so syncers never wait for each other here
		defer r.queued.Store(false)
		defer r.syncing.Unlock()
		if r.syncErr.Load() == nil && r.tape.f != nil { // else the clerk was faster
			live = append(live, r)
		}
	}
	if len(live) >= volumeBatch && rec.syncVolume(live, b) {
		return
	}
	for _, r := range live {
		if err := rec.timedSync(r.tape.f.Sync, b); err != nil {
			// The kernel has given the pages up: what this file holds is no longer known.
			err = fmt.Errorf("sync recording: %w", err)
			r.syncErr.Store(&err)
		}
	}
}

// syncVolume makes files durable by one sync of the volume they are on. False: they must be synced one by one, because they are
// not on one volume, or because that tells whose pages were lost.
func (rec *Recorder) syncVolume(live []*Recording, b *busy) bool {
	first, ok := live[0].tape.f.(wholeVolume)
	if !ok {
		return false
	}
	for _, r := range live[1:] {
		if f, ok := r.tape.f.(wholeVolume); !ok || f.Volume() != first.Volume() {
			return false
		}
	}
	return rec.timedSync(first.SyncVolume, b) == nil
}

func (rec *Recorder) timedSync(sync func() error, b *busy) error {
	began := time.Now()
	b.begin(rec.now())
	defer b.end()
	err := sync()
	rec.m.sync.Observe(time.Since(began).Seconds())
	return err
}
