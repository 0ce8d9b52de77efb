package graph

import "encoding/json"

// An event is kept as a webhook body that holds it alone, built of Meta's own JSON: what is stored today can be read again
// by tomorrow's better parser, and a batch of a thousand never stores its thousand contacts a thousand times.

type rawChange struct {
	Field string          `json:"field"`
	Value json.RawMessage `json:"value"`
}

type rawEntry struct {
	ID      string      `json:"id,omitempty"`
	Time    num         `json:"time,omitempty"`
	Changes []rawChange `json:"changes"`
}

type rawBody struct {
	Object string     `json:"object"`
	Entry  []rawEntry `json:"entry"`
}

// wrap makes a body of its own of a whole value. The entry's time stays in it, or the event would lose its time in the store,
// but not in the digest.
func (e *Event) wrap(value json.RawMessage) {
	body := rawBody{"whatsapp_business_account", []rawEntry{{ID: e.Account, Changes: []rawChange{{e.Field, value}}}}}
	e.Raw = marshal(body)
	if e.sent != 0 {
		e.digest = digest(e.Raw)
		body.Entry[0].Time = e.sent
		e.Raw = marshal(body)
	}
}

func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return nil // every value in it was decoded before, so it is JSON
	}
	return b
}

// rewrap puts one item with its contact and errors into a body of its own.
func (p *parser) rewrap(e *Event, c *contact, list string, item json.RawMessage) {
	v := map[string]any{
		"messaging_product": "whatsapp",
		"metadata":          map[string]string{"display_phone_number": e.Display, "phone_number_id": e.Number},
		list:                []json.RawMessage{item},
	}
	// Contact and errors are rebuilt from what was kept, which is bounded; the item is Meta's own.
	if c != nil {
		id := e.Customer
		k := contact{WaID: text(id.Phone), UserID: text(id.BSUID), ParentID: text(id.ParentBSUID)}
		k.Profile.Name, k.Profile.Username = text(id.Name), text(id.Username)
		v["contacts"] = []contact{k}
	}
	if n := len(p.base.Errors); n > 0 {
		errs := make([]webhookError, n)
		for i, we := range p.base.Errors {
			errs[i].Code, errs[i].Message, errs[i].Data.Details = num(we.Code), text(we.Message), text(we.Details)
		}
		v["errors"] = errs
	}
	e.wrap(marshal(v))
}
