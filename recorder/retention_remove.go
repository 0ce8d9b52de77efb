package recorder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// volume opens the recording folder if it is the expected one. All deleting goes through it: a volume that is unmounted
// meanwhile is not replaced by the folder below.
func (r *Retention) volume() (*os.Root, error) {
	v, err := os.OpenRoot(r.cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("retention: %w: %w", ErrNoVolume, err)
	}
	if err := checkMarker(osVolume{v}, r.cfg.VolumeID); err != nil {
		return nil, errors.Join(fmt.Errorf("retention: %w", err), v.Close())
	}
	return v, nil
}

// remove deletes one recording: the fact, its copy if that goes too, the file. A crash in between leaves a file that the
// next sweep finds.
func (r *Retention) remove(ctx context.Context, v *os.Root, gone Removal, at time.Time) error {
	err := r.cfg.Catalog.Delete(ctx, gone.Item.ID, gone.Why, at)
	if errors.Is(err, ErrHeld) { // put on hold since the list was read
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete recording %s: %w", gone.Item.Path, err)
	}
	if gone.Item.CopiedTo != "" && gone.Why != WhyArchived {
		if err := r.dropCopy(ctx, gone.Item); err != nil {
			r.m.errors.Inc()
			r.log.Error("the copy of a deleted recording could not be deleted; delete the object by hand", "object", gone.Item.CopiedTo, "err", err)
			if gone.Why == WhyErased {
				return errors.Join(err, unlink(v, gone.Item.Path))
			}
		}
	}
	if err := unlink(v, gone.Item.Path); err != nil {
		return err
	}
	r.m.removed.WithLabelValues(gone.Why).Inc()
	r.log.Info("recording deleted", "call", gone.Item.Call, "file", gone.Item.Path, "why", gone.Why)
	return nil
}

func (r *Retention) dropCopy(ctx context.Context, it Item) error {
	_, remote := r.inForce()
	if remote == nil {
		return fmt.Errorf("delete the copy of recording %s: %w: no archive is set up", it.ID, ErrInvalid)
	}
	return remote(ctx, it.CopiedTo)
}

// unlink deletes a file, and the folders of its day that are empty then. A file that is gone already is fine.
func unlink(v *os.Root, name string) error {
	if err := v.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete recording file %s: %w", name, err)
	}
	dir := path.Dir(name)
	if err := (osVolume{v}).SyncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete recording file %s: %w", name, err)
	}
	for ; dir != "." && dir != "/"; dir = path.Dir(dir) {
		if !emptied(v, dir) {
			break
		}
	}
	return nil
}

// emptied removes a folder unless something is in it.
func emptied(v *os.Root, dir string) bool { return v.Remove(dir) == nil }

// Erase deletes these recordings, of one customer, with their copies, whatever the rules and the clock say. Those under a
// legal hold or still being written stay and are counted in kept. progress, if not nil, is told how many are done.
func (r *Retention) Erase(ctx context.Context, list []Item, progress func(done int)) (erased, kept int, err error) {
	r.work.Lock()
	defer r.work.Unlock()
	v, err := r.volume()
	if err != nil {
		return 0, 0, err
	}
	defer v.Close()
	var errs []error
	for i, it := range list {
		switch {
		case it.Held || !it.Finished && !it.Deleted:
			kept++
		default:
			if err := r.remove(ctx, v, Removal{it, WhyErased}, r.cfg.Clock()); err != nil {
				errs = append(errs, err)
			} else {
				erased++
			}
		}
		if progress != nil {
			progress(i + 1)
		}
		if ctx.Err() != nil {
			return erased, kept, errors.Join(append(errs, ctx.Err())...)
		}
	}
	return erased, kept, errors.Join(errs...)
}

// sweepPause lets others at the disk between two folders.
const sweepPause = 5 * time.Millisecond

// SweepFiles looks at every file of the recording folder and deletes those that the ledger says are deleted: what a crash
// between fact and file left, and what a restored backup of the folder brought back. Files the ledger does not know stay
// and are counted.
func (r *Retention) SweepFiles(ctx context.Context) error {
	v, err := r.volume()
	if err != nil {
		return err
	}
	defer v.Close()
	unknown := 0
	folder := ""
	err = fs.WalkDir(v.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if d.IsDir() || !strings.HasSuffix(name, fileSuffix) {
			return ctx.Err()
		}
		if dir := path.Dir(name); dir != folder {
			folder = dir
			if err := pause(ctx, sweepPause); err != nil {
				return err
			}
		}
		known, err := r.sweepOne(ctx, v, name)
		if err == nil && !known {
			unknown++
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("sweep recordings: %w", err)
	}
	r.m.unknown.Set(float64(unknown))
	if unknown > 0 {
		r.log.Warn("files in the recording folder are in no record; deskbridge leaves them alone", "files", unknown)
	}
	return nil
}

const fileSuffix = ".dbr"

// sweepOne looks at one file.
func (r *Retention) sweepOne(ctx context.Context, v *os.Root, name string) (known bool, err error) {
	items, err := r.cfg.Catalog.ItemsOf(ctx, callOfFile(name))
	if err != nil {
		return false, err
	}
	if n := strings.LastIndexByte(callOfFile(name), '-'); len(items) == 0 && n > 0 { // the call's second recording of the day
		if items, err = r.cfg.Catalog.ItemsOf(ctx, callOfFile(name)[:n]); err != nil {
			return false, err
		}
	}
	for _, it := range items {
		if it.Path != name {
			continue
		}
		if !it.Deleted {
			return true, nil
		}
		err := unlink(v, name)
		if err == nil {
			r.m.removed.WithLabelValues("leftover").Inc()
			r.log.Warn("a deleted recording's file was still there; it is deleted now", "call", it.Call, "file", name)
		}
		return true, err
	}
	return false, nil
}

func callOfFile(name string) string { return strings.TrimSuffix(path.Base(name), fileSuffix) }

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
