package graph

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ParseWebhook takes a verified webhook body apart into its events, in the order they stand. Only a body that is no
// webhook at all, or beyond the limits, is an error: unknown fields are ignored, unknown events come out as KindUnknown.
func ParseWebhook(body []byte) ([]Event, error) {
	if tooDeep(body) {
		return nil, ErrDepth
	}
	var env struct {
		Object text `json:"object"`
		Entry  []struct {
			ID      text `json:"id"`
			Time    num  `json:"time"` // on account-level fields only (§5.3)
			Changes []struct {
				Field text            `json:"field"`
				Value json.RawMessage `json:"value"`
			} `json:"changes"`
		} `json:"entry"`
	}
	trimmed := bytes.TrimSpace(body)
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, fmt.Errorf("%w: no JSON object", ErrBody)
	}
	if err := json.Unmarshal(trimmed, &env); err != nil && !isTypeError(err) {
		return nil, fmt.Errorf("%w: %w", ErrBody, err)
	}
	var events []Event
	for _, entry := range env.Entry {
		for _, ch := range entry.Changes {
			base := Event{Account: clip(string(entry.ID), 64), Field: clip(string(ch.Field), 64), sent: entry.Time}
			events = appendChange(events, base, ch.Value)
			if len(events) > maxUpdates {
				return nil, ErrUpdates
			}
		}
	}
	return events, nil
}

// value is the common part of the fields "calls" and "messages".
type value struct {
	Metadata struct {
		Display text `json:"display_phone_number"`
		Number  text `json:"phone_number_id"`
	} `json:"metadata"`
	Contacts []contact         `json:"contacts"`
	Calls    []json.RawMessage `json:"calls"`
	Statuses []json.RawMessage `json:"statuses"`
	Messages []json.RawMessage `json:"messages"`
	Errors   []webhookError    `json:"errors"`
}

func appendChange(events []Event, base Event, raw json.RawMessage) []Event {
	var v value
	if err := json.Unmarshal(raw, &v); err != nil && !isTypeError(err) {
		return events
	}
	base.Number = clip(string(v.Metadata.Number), 64)
	base.Display = digits(string(v.Metadata.Display))
	base.Errors = slices.Clip(webhookErrors(v.Errors)) // clipped: events append their own
	p := &parser{base: base, value: &v}
	before := len(events)
	switch strings.ToLower(base.Field) {
	case "calls":
		events = each(events, v.Calls, p.call)
		events = each(events, v.Statuses, p.status)
	case "messages":
		events = each(events, v.Messages, p.message)
		events = each(events, v.Statuses, p.status)
	default:
		return append(events, accountEvent(base, raw))
	}
	if len(events) == before {
		e := base
		if e.Kind = KindErrors; len(e.Errors) == 0 {
			e.Kind = KindUnknown
		}
		e.At = e.sent.time()
		e.wrap(raw)
		events = append(events, e)
	}
	return events
}

// each parses at most one item more than the limit, so that the caller sees it was exceeded.
func each(events []Event, items []json.RawMessage, parse func(json.RawMessage) Event) []Event {
	for _, raw := range items {
		if len(events) > maxUpdates {
			break
		}
		events = append(events, parse(raw))
	}
	return events
}

// parser turns the items of one change into events.
type parser struct {
	base  Event
	value *value
}

type contact struct {
	Profile struct {
		Name     text `json:"name"`
		Username text `json:"username"`
	} `json:"profile"`
	WaID     text `json:"wa_id,omitempty"`
	UserID   text `json:"user_id,omitempty"`
	ParentID text `json:"parent_user_id,omitempty"`
}

// identify completes what an item says of the customer from the contact that belongs to it. With several contacts the IDs
// decide; with one it can only be that.
func (p *parser) identify(id Identity) (Identity, *contact) {
	match := func(c contact) bool {
		return (id.BSUID != "" && string(c.UserID) == id.BSUID) || (id.Phone != "" && digits(string(c.WaID)) == id.Phone) ||
			(id.ParentBSUID != "" && string(c.ParentID) == id.ParentBSUID)
	}
	i := slices.IndexFunc(p.value.Contacts, match)
	if i < 0 && len(p.value.Contacts) == 1 {
		i = 0
		// One contact with other IDs is somebody else's: trust the item.
		c := p.value.Contacts[0]
		if id.BSUID != "" && c.UserID != "" || id.Phone != "" && c.WaID != "" {
			i = -1
		}
	}
	if i < 0 {
		return id, nil
	}
	c := p.value.Contacts[i]
	id.Name = clip(string(c.Profile.Name), maxID)
	id.Username = username(string(c.Profile.Username))
	id.Phone = first(id.Phone, digits(string(c.WaID)))
	id.BSUID = first(id.BSUID, clip(string(c.UserID), maxID))
	id.ParentBSUID = first(id.ParentBSUID, clip(string(c.ParentID), maxID))
	return id, &c
}

func identity(phone, bsuid, parent text) Identity {
	return Identity{Phone: digits(string(phone)), BSUID: clip(string(bsuid), maxID), ParentBSUID: clip(string(parent), maxID)}
}

// at is the time of an item, or else that of its entry.
func at(item, entry num) time.Time {
	if t := item.time(); !t.IsZero() {
		return t
	}
	return entry.time()
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

type webhookError struct {
	Code    num  `json:"code"`
	Title   text `json:"title"`
	Message text `json:"message"`
	Data    struct {
		Details text `json:"details"`
	} `json:"error_data"`
}

func webhookErrors(list []webhookError) []WebhookError {
	var out []WebhookError
	for _, e := range list[:min(len(list), maxErrors)] {
		out = append(out, WebhookError{Code: int(e.Code), Message: clip(first(string(e.Message), string(e.Title)), 512),
			Details: clip(string(e.Data.Details), 1024)})
	}
	return out
}
