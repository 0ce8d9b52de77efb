package appliance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"deskbridge/admin"
	"deskbridge/bridge"
	"deskbridge/recorder"
	"deskbridge/store"
)

// peaksWait is how long a request waits for an outline before it is told to come again.
const peaksWait = time.Second

// panelSound is the recordings as admin wants them.
type panelSound struct {
	r *Recordings
	x *bridge.Exchange
}

var _ admin.RecordingStore = panelSound{}

func soundError(err error) error {
	switch {
	case errors.Is(err, ErrNoFile):
		return fmt.Errorf("%w: %w", admin.ErrGone, err)
	case errors.Is(err, ErrBusy):
		return fmt.Errorf("%w: %w", admin.ErrTooMany, err)
	}
	return panelError(err)
}

// RecordingsOf implements admin.RecordingStore.
func (p panelSound) RecordingsOf(ctx context.Context, call string) ([]admin.Recording, error) {
	page, err := p.r.store.Recordings(ctx, store.RecordingQuery{Span: store.Span{Limit: pageSize}, Call: call, OldestFirst: true})
	if err != nil {
		return nil, panelError(err)
	}
	list := make([]admin.Recording, 0, len(page.Items))
	for _, rec := range page.Items {
		list = append(list, admin.Recording{ID: rec.ID, Call: rec.Call, State: string(rec.State), Started: rec.StartedAt, Duration: rec.Duration,
			Bytes: rec.Bytes, Held: rec.Held, Marks: p.marks(rec)})
	}
	return list, nil
}

// marks are those of a finished recording whose file is here. One that cannot be read has none: the player says why.
func (p panelSound) marks(rec store.Recording) []admin.RecordingMark {
	if rec.State != store.RecordingFinished {
		return nil
	}
	path, err := p.r.file(rec)
	if err != nil {
		return nil
	}
	f, err := recorder.Open(path, p.r.keys)
	if err != nil {
		return nil
	}
	defer f.Close()
	marks, err := f.Marks()
	if err != nil {
		p.r.log.Warn("the marks of a recording could not be read; verify it", "recording", rec.ID, "err", err)
	}
	var list []admin.RecordingMark
	for _, m := range marks {
		list = append(list, admin.RecordingMark{Kind: m.Kind.String(), Seconds: m.At.Seconds()})
	}
	return list
}

// RecordingCall implements admin.RecordingStore.
func (p panelSound) RecordingCall(ctx context.Context, id string) (string, error) {
	rec, err := p.r.Get(ctx, id)
	return rec.Call, panelError(err)
}

// OpenRecording implements admin.RecordingStore.
func (p panelSound) OpenRecording(ctx context.Context, id, format string, download bool, by, from string) (*admin.Sound, error) {
	f, ok := RecordingFormats[format]
	if !ok {
		return nil, fmt.Errorf("%w: there is no format %q", admin.ErrInvalid, format)
	}
	open := p.r.OpenPlayback
	if download {
		open = p.r.OpenExport
	}
	e, err := open(ctx, id, f, Accessor{Who: by, From: "panel, " + from})
	if err != nil {
		return nil, soundError(err)
	}
	return &admin.Sound{ReadSeekCloser: e, ContentType: e.ContentType, Name: e.Name, ETag: fmt.Sprintf(`"%s-%s-%d"`, e.Recording.ID, format, e.Size), Modified: e.Recording.FinishedAt}, nil
}

// RecordingPeaks implements admin.RecordingStore.
func (p panelSound) RecordingPeaks(ctx context.Context, id string) (admin.Peaks, bool, error) {
	rec, err := p.r.Get(ctx, id)
	if err != nil {
		return admin.Peaks{}, false, panelError(err)
	}
	if rec.State == store.RecordingOpen {
		return admin.Peaks{}, false, nil
	}
	wait, cancel := context.WithTimeout(ctx, peaksWait)
	defer cancel()
	peaks, err := p.r.Peaks(wait, id)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return admin.Peaks{}, false, nil
	case err != nil:
		return admin.Peaks{}, false, soundError(err)
	}
	return admin.Peaks{PointsPerSecond: peaks.PointsPerSecond, Seconds: peaks.Seconds, Customer: peaks.Customer, Agent: peaks.Agent}, true, nil
}

// ToggleRecording implements admin.RecordingStore.
func (p panelSound) ToggleRecording(call string) bool { return p.x.ToggleRecording(call) }
