package appliance

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"deskbridge/bridge"
	"deskbridge/recorder"
	"deskbridge/store"
)

// tapes are the recorder as the exchange wants it.
type tapes struct{ rec *recorder.Recorder }

// Record implements bridge.Recorder.
func (t tapes) Record(i bridge.RecordingInfo) (bridge.Recording, error) {
	r, err := t.rec.Start(recorder.Info{Call: i.Call, Line: i.Line, Agent: i.Agent, Customer: i.Customer})
	if err != nil {
		return nil, err
	}
	return tape{r}, nil
}

// tape is a recording as a call wants it.
type tape struct{ *recorder.Recording }

// Mark implements bridge.Recording. Pause and resume make their own marks.
func (t tape) Mark(k bridge.MarkKind, at time.Time) {
	switch k {
	case bridge.MarkHold:
		t.Recording.Mark(recorder.Held, at)
	case bridge.MarkResumed:
		t.Recording.Mark(recorder.Unheld, at)
	case bridge.MarkTransfer:
		t.Recording.Mark(recorder.Transferred, at)
	case bridge.MarkConsent:
		t.Recording.Mark(recorder.ConsentGiven, at)
	}
}

// shelf is the store as the recorder, retention and the archive want it.
type shelf struct {
	s        *store.Store
	finished func() // a file is complete; must not block
}

var (
	_ recorder.Ledger  = shelf{}
	_ recorder.Catalog = shelf{}
)

// pageSize of the lists read.
const pageSize = 500

// RecordingStarted implements recorder.Ledger.
func (l shelf) RecordingStarted(ctx context.Context, e recorder.Entry) error {
	return l.s.StartRecording(ctx, store.Recording{
		ID: e.ID, Call: e.Info.Call, Line: e.Info.Line, Customer: e.Info.Customer, Agent: e.Info.Agent, Path: e.Path, StartedAt: e.Started,
	})
}

// RecordingFinished implements recorder.Ledger. A recording whose start the store did not take, because its disk was full
// then, is entered now.
func (l shelf) RecordingFinished(ctx context.Context, e recorder.Entry) error {
	end := store.RecordingEnd{At: e.Started.Add(e.Duration), SHA256: hex.EncodeToString(e.SHA256[:]), Bytes: e.Size, Duration: e.Duration,
		Packets: int64(e.Packets), Lost: int64(e.Lost)}
	err := l.s.FinishRecording(ctx, e.ID, end)
	if errors.Is(err, store.ErrNotFound) {
		if err = l.RecordingStarted(ctx, e); err == nil {
			err = l.s.FinishRecording(ctx, e.ID, end)
		}
	}
	if err == nil {
		l.finished()
	}
	return err
}

// RecordingLost implements recorder.Ledger. One that never began is not in the store, and need not be.
func (l shelf) RecordingLost(ctx context.Context, e recorder.Entry) error {
	err := l.s.LoseRecording(ctx, e.ID, e.Reason.String(), e.Started.Add(e.Duration))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// OpenRecordings implements recorder.Ledger.
func (l shelf) OpenRecordings(ctx context.Context) (open []recorder.Entry, err error) {
	for cursor := ""; ; {
		page, err := l.s.OpenRecordings(ctx, store.Span{Limit: pageSize, Cursor: cursor})
		if err != nil {
			return nil, err
		}
		for _, r := range page.Items {
			open = append(open, recorder.Entry{ID: r.ID, Path: r.Path, Started: r.StartedAt,
				Info: recorder.Info{Call: r.Call, Line: r.Line, Agent: r.Agent, Customer: r.Customer}})
		}
		if page.Next == "" {
			return open, nil
		}
		cursor = page.Next
	}
}

// Items implements recorder.Catalog.
func (l shelf) Items(ctx context.Context, since time.Time, cursor string) (items []recorder.Item, next string, err error) {
	page, err := l.s.Recordings(ctx, store.RecordingQuery{Span: store.Span{Limit: pageSize, Cursor: cursor}, OldestFirst: true, Since: since})
	return itemsOf(page.Items), page.Next, err
}

// ItemsOf implements recorder.Catalog.
func (l shelf) ItemsOf(ctx context.Context, call string) (items []recorder.Item, err error) {
	for cursor := ""; ; {
		page, err := l.s.Recordings(ctx, store.RecordingQuery{Span: store.Span{Limit: pageSize, Cursor: cursor}, Call: call})
		if err != nil {
			return nil, err
		}
		items = append(items, itemsOf(page.Items)...)
		if page.Next == "" {
			return items, nil
		}
		cursor = page.Next
	}
}

func itemsOf(list []store.Recording) []recorder.Item {
	items := make([]recorder.Item, len(list))
	for i, r := range list {
		items[i] = recorder.Item{
			ID: r.ID, Call: r.Call, Line: r.Line, Path: r.Path, Started: r.StartedAt, Bytes: r.Bytes, Finished: r.State == store.RecordingFinished,
			Held: r.Held, Deleted: r.State == store.RecordingDeleted, CopiedTo: r.CopiedTo,
		}
		_, _ = hex.Decode(items[i].SHA256[:], []byte(r.SHA256)) // an open one has none
	}
	return items
}

// Bytes implements recorder.Catalog.
func (l shelf) Bytes(ctx context.Context) (int64, error) { return l.s.RecordingBytes(ctx, "") }

// Delete implements recorder.Catalog.
func (l shelf) Delete(ctx context.Context, id, why string, at time.Time) error {
	err := l.s.DeleteRecording(ctx, id, why, at)
	if errors.Is(err, store.ErrHeld) {
		return errors.Join(recorder.ErrHeld, err)
	}
	return err
}

// Copied implements recorder.Catalog.
func (l shelf) Copied(ctx context.Context, id, to string, at time.Time) error {
	return l.s.CopiedRecording(ctx, id, to, at)
}

// Lost implements recorder.Catalog.
func (l shelf) Lost(ctx context.Context, id, why string, at time.Time) error {
	return l.s.LoseRecording(ctx, id, why, at)
}
