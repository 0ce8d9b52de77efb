package appliance

import (
	"context"
	"errors"
	"fmt"

	"deskbridge/bridge"
	"deskbridge/recorder"
	"deskbridge/store"
)

// Erasure is what became of a customer's recordings.
type Erasure struct {
	Erased int `json:"erased"`
	Kept   int `json:"kept"` // under a legal hold, or running
}

// FindCustomer reads a customer's ID, phone number in international form, or alias.
func (r *Recordings) FindCustomer(ctx context.Context, text string) (bridge.Customer, error) {
	for _, find := range []func(context.Context, string) (bridge.Customer, error){r.store.Customer, r.store.ByAlias, r.store.ByPhone} {
		c, err := find(ctx, text)
		if err == nil || !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrInvalid) {
			return c, err
		}
	}
	return bridge.Customer{}, fmt.Errorf("customer: %w", store.ErrNotFound)
}

// EraseRecordings deletes all recordings of a customer and of those merged into it, with the copies in the archive. progress,
// if not nil, is told how many of how many are done.
func (r *Recordings) EraseRecordings(ctx context.Context, customer string, by Accessor, progress func(done, total int)) (Erasure, error) {
	list, err := r.ofCustomer(ctx, customer)
	if err != nil {
		return Erasure{}, err
	}
	r.log.Info("recordings of a customer are erased", "customer", customer, "recordings", len(list), "by", by.Who, "from", by.From)
	erased, kept, err := r.retention.Erase(ctx, list, func(done int) {
		if progress != nil {
			progress(done, len(list))
		}
	})
	for _, it := range list {
		r.forget(it.ID)
	}
	return Erasure{erased, kept}, err
}

// EraseCustomer erases a customer's recordings, then everything personal the store has of them. Recordings under a legal hold
// stay; the hold beats the erasure of the file, not that of the name.
func (r *Recordings) EraseCustomer(ctx context.Context, customer string, by Accessor, progress func(done, total int)) (Erasure, error) {
	done, err := r.EraseRecordings(ctx, customer, by, progress)
	if err != nil {
		return done, err
	}
	return done, r.store.Erase(ctx, customer)
}

// ofCustomer are the recordings whose file or copy is there: the lists by customer have the files, those by call the rest.
func (r *Recordings) ofCustomer(ctx context.Context, customer string) (list []recorder.Item, err error) {
	seen := map[string]bool{}
	add := func(items []recorder.Item) {
		for _, it := range items {
			if !seen[it.ID] && (!it.Deleted || it.CopiedTo != "") {
				seen[it.ID] = true
				list = append(list, it)
			}
		}
	}
	for cursor := ""; ; {
		page, err := r.store.Recordings(ctx, store.RecordingQuery{Span: store.Span{Limit: pageSize, Cursor: cursor}, Customer: customer})
		if err != nil {
			return nil, err
		}
		add(itemsOf(page.Items))
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	for cursor := ""; ; {
		page, err := r.store.Calls(ctx, store.CallQuery{Limit: pageSize, Before: cursor, Customer: customer})
		if err != nil {
			return nil, err
		}
		for _, c := range page.Calls {
			if c.Recording == "" {
				continue
			}
			items, err := (shelf{s: r.store}).ItemsOf(ctx, c.ID)
			if err != nil {
				return nil, err
			}
			add(items)
		}
		if cursor = page.Next; cursor == "" {
			return list, nil
		}
	}
}

// forget drops what is kept in memory of a recording.
func (r *Recordings) forget(id string) {
	r.exports.drop(id)
	r.peaks.drop(id)
}
