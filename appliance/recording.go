package appliance

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"deskbridge/recorder"
	"deskbridge/store"
)

const (
	recordingsFolder = "recordings"
	// volumeFile, in the keys folder, remembers which volume the recordings are on.
	volumeFile = "recordings.volume"
	clockFile  = "recordings.clock"
)

// Recordings is what the appliance knows and does about recordings: it makes them, keeps them, and gives them to those who
// may hear them. Whether somebody may is the caller's question; that they did is in the audit log first.
type Recordings struct {
	store     *store.Store
	rec       *recorder.Recorder
	retention *recorder.Retention
	copier    *recorder.Copier
	keys      recorder.Keys
	receivers *recorder.Recipients
	log       *slog.Logger
	dir       string
	volume    string
	linkKey   []byte
	exports   *exportCache
	peaks     *peakMaker
	now       func() time.Time
}

// buildRecordings makes the recorder and what keeps its files. A missing disk is no error: calls go on unrecorded, and the
// alarm is up.
func (a *App) buildRecordings(applianceKey []byte) error {
	dir := a.cfg.RecordingsDir()
	log := a.log.With("part", "recorder")
	ring, err := recorder.LoadOrCreateKeyring(a.cfg.DataDir)
	if err != nil {
		return err
	}
	link, err := hkdf.Key(sha256.New, applianceKey, nil, "deskbridge recording links", 32)
	if err != nil {
		return fmt.Errorf("recording links: %w", err)
	}
	r := &Recordings{
		store: a.store, keys: recorder.Keys{Keyring: ring}, receivers: &recorder.Recipients{}, log: log, dir: dir, linkKey: link,
		exports: newExportCache(), now: time.Now,
	}
	if r.volume, err = expectedVolume(a.cfg.DataDir, dir); err != nil {
		log.Error("the recording folder cannot be claimed; nothing is recorded until it can", "dir", dir, "err", err)
	}
	// The recorder has the machine's clock, not the one of a simulated world: packets carry the machine's arrival times.
	r.rec, err = recorder.New(recorder.Config{
		Dir: dir, VolumeID: r.volume, Keyring: ring, Recipients: recorder.RecipientList(r.receivers), Logger: log, Registerer: a.registry,
		Ledger: shelf{a.store, r.finished}, MaxRecordings: max(a.cfg.Calls.Max, 1), MinFree: int64(a.cfg.Recordings.MinFreeMiB) << 20,
	})
	if err != nil {
		return err
	}
	a.onStop("recorder", r.rec.Stop)
	catalog := shelf{a.store, r.finished}
	if r.copier, err = recorder.NewCopier(recorder.CopierConfig{Dir: dir, VolumeID: r.volume, Catalog: catalog, Logger: log, Registerer: a.registry}); err != nil {
		return err
	}
	a.onStop("archive", r.copier.Stop)
	r.retention, err = recorder.NewRetention(recorder.RetentionConfig{
		Dir: dir, VolumeID: r.volume, Catalog: catalog, ClockFile: filepath.Join(a.cfg.DataDir, clockFile), Logger: log, Registerer: a.registry,
	})
	if err != nil {
		return err
	}
	a.onStop("retention", r.retention.Stop)
	r.peaks = newPeakMaker(r)
	a.onStop("waveforms", r.peaks.stop)
	a.recordings = r
	return nil
}

// RecordingsDir is the recording folder.
func (c *Config) RecordingsDir() string {
	if c.Recordings.Dir != "" {
		return c.Recordings.Dir
	}
	return filepath.Join(c.DataDir, recordingsFolder)
}

// finished is told of each recording that is complete.
func (r *Recordings) finished() {
	if r.copier != nil {
		r.copier.Look()
	}
}

// start settles what a crash left, beside the calls: reading a long recording to its end takes a while.
func (a *App) startRecordings() {
	r := a.recordings
	r.copier.Start()
	r.peaks.start()
	a.background.Go(fenced(a.log, func() {
		again := time.NewTicker(10 * time.Second)
		defer again.Stop()
		for {
			err := r.rec.Recover(a.life)
			if err == nil {
				break
			}
			if a.life.Err() == nil && !errors.Is(err, recorder.ErrNoVolume) {
				a.log.Error("recordings that a crash left open are not settled yet; it is tried again", "err", err)
			}
			select {
			case <-a.life.Done():
				return
			case <-again.C:
			}
		}
		r.copier.Look()
		r.retention.Start() // not before: what is open is not known to be whole
	}))
}

// apply puts settings in force that can fail no more.
func (r *Recordings) apply(s *Settings, archive *recorder.Archive) {
	if err := r.receivers.Set(s.Recording.Recipients); err != nil { // Validate lets no bad one through
		r.log.Error("the recipients of recordings cannot be used; new recordings open with the appliance's own key only", "err", err)
	}
	var remote func(context.Context, string) error
	if archive != nil {
		remote = archive.Remove
	}
	r.copier.SetArchive(archive)
	r.retention.SetRules(s.retention(), remote)
}

// buildArchive makes the storage of the copies; nil when there is to be none.
func buildArchive(s *Settings) (*recorder.Archive, error) {
	cfg := s.archive()
	if cfg == nil {
		return nil, nil
	}
	return recorder.NewArchive(*cfg)
}

// expectedVolume is the ID of the volume that the folder's disk must have. A folder named for the first time is claimed;
// from then on another disk, or the empty mount point, is refused until somebody claims it (ClaimRecordings).
func expectedVolume(dataDir, dir string) (string, error) {
	known, at, err := readVolume(dataDir)
	if err != nil || known != "" && at == dir {
		return known, err
	}
	return ClaimRecordings(dataDir, dir)
}

func readVolume(dataDir string) (id, dir string, err error) {
	b, err := os.ReadFile(filepath.Join(dataDir, "keys", volumeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil
	}
	if err != nil {
		return "", "", fmt.Errorf("read the expected recording volume: %w", err)
	}
	id, dir, ok := strings.Cut(strings.TrimSpace(string(b)), "\t")
	if !ok || id == "" {
		return "", "", nil // claimed anew
	}
	return id, dir, nil
}

// ClaimRecordings makes dir the recording folder of this data folder, whatever disk is there now. The daemon must be
// restarted to use it.
func ClaimRecordings(dataDir, dir string) (id string, err error) {
	if id, err = recorder.Claim(dir); err != nil {
		return "", err
	}
	keys := filepath.Join(dataDir, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		return "", fmt.Errorf("claim recording folder: %w", err)
	}
	f, err := os.CreateTemp(keys, volumeFile+".*")
	if err != nil {
		return "", fmt.Errorf("claim recording folder: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(id + "\t" + dir + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(keys, volumeFile))
	}
	if err != nil {
		return "", fmt.Errorf("claim recording folder: %w", err)
	}
	return id, nil
}
