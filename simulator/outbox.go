package simulator

import (
	"time"
)

// emit puts an update into the call's outbox, in the order the Delivery asks for. It runs in the actor.
func (c *call) emit(u update) {
	d := c.delivery
	hold := u.event == "connect" && ((d.TerminateFirst && !c.outbound) || (d.AcceptedFirst && c.outbound))
	if hold {
		c.held = append(c.held, u)
		return
	}
	if u.event == "terminate" && c.outbound {
		c.flush()
	}
	c.push(u)
	if u.event == "terminate" || (u.event == "ACCEPTED" && d.AcceptedFirst) {
		c.flush()
	}
}

func (c *call) flush() {
	for _, u := range c.held {
		c.push(u)
	}
	c.held = nil
}

func (c *call) push(u update) {
	select {
	case c.out <- u:
	default: // 64 undelivered updates of one call: the receiver is long gone
		c.m.log.Warn("webhook outbox full, update dropped", "wacid", c.id, "event", u.event)
		if u.sent != nil {
			close(u.sent)
		}
	}
}

// runOutbox makes the first attempt of each update in order. It ends when the actor closed the outbox and it is empty.
func (c *call) runOutbox() {
	for u := range c.out {
		if !sleep(c.m.ctx, c.delivery.Delay) {
			continue
		}
		c.m.deliver(c.num, c.gather(u), c.delivery)
	}
}

// gather collects what follows within the batch window.
func (c *call) gather(first update) []update {
	us := []update{first}
	if c.delivery.BatchWindow <= 0 {
		return us
	}
	t := time.NewTimer(c.delivery.BatchWindow)
	defer t.Stop()
	for {
		select {
		case u, ok := <-c.out:
			if !ok {
				return us
			}
			us = append(us, u)
		case <-t.C:
			return us
		case <-c.m.ctx.Done():
			return us
		}
	}
}

func (c *call) stamp() string { return stamp(c.m.clock.Now().Add(-c.delivery.StaleBy)) }

// contacts is value.contacts; status webhooks carry no name.
func (c *Customer) contact(withName bool) []any {
	cfg := c.config()
	profile := obj{}
	if withName && cfg.Name != "" {
		profile["name"] = cfg.Name
	}
	if cfg.Username != "" {
		profile["username"] = cfg.Username
	}
	o := obj{"profile": profile, "user_id": cfg.BSUID}
	if !cfg.hidden() {
		o["wa_id"] = cfg.Phone
	}
	if cfg.ParentBSUID != "" {
		o["parent_user_id"] = cfg.ParentBSUID
	}
	return []any{o}
}

// party writes the customer under the given prefix (from, to, recipient).
func (c *Customer) party(o obj, phoneKey, idPrefix string) {
	cfg := c.config()
	if !cfg.hidden() {
		o[phoneKey] = cfg.Phone
	}
	o[idPrefix+"_user_id"] = cfg.BSUID
	if cfg.ParentBSUID != "" {
		o[idPrefix+"_parent_user_id"] = cfg.ParentBSUID
	}
}

// callJSON is the part of a calls[] entry that connect and terminate share.
func (c *call) callJSON(event string) obj {
	o := obj{"id": c.id, "event": event, "timestamp": c.stamp()}
	if !c.delivery.NoDirection {
		o["direction"] = map[bool]string{true: "BUSINESS_INITIATED", false: "USER_INITIATED"}[c.outbound]
	}
	if c.outbound {
		o["from"] = c.num.DisplayNumber
		c.cust.party(o, "to", "to")
	} else {
		c.cust.party(o, "from", "from")
		o["to"] = c.num.DisplayNumber
	}
	if c.opaque != "" {
		o["biz_opaque_callback_data"] = c.opaque
	}
	if c.opts.DeeplinkPayload != "" {
		o["deeplink_payload"] = c.opts.DeeplinkPayload
	}
	if c.opts.CTAPayload != "" {
		o["cta_payload"] = c.opts.CTAPayload
	}
	if c.delivery.UnknownFields {
		o["hologram"] = obj{"enabled": true}
	}
	return o
}

func (c *call) connectUpdate(session obj) update {
	o := c.callJSON("connect")
	o["session"] = session
	return update{field: "calls", event: "connect", wacid: c.id,
		value: obj{"contacts": c.cust.contact(true), "calls": []any{o}}}
}

func (c *call) statusUpdate(status string) update {
	o := obj{"id": c.id, "type": "call", "status": status, "timestamp": c.stamp()}
	c.cust.party(o, "recipient_id", "recipient")
	if c.opaque != "" {
		o["biz_opaque_callback_data"] = c.opaque
	}
	return update{field: "calls", event: status, wacid: c.id,
		value: obj{"contacts": c.cust.contact(false), "statuses": []any{o}}}
}

func (c *call) terminateUpdate(e End) update {
	o := c.callJSON("terminate")
	o["status"] = "COMPLETED"
	if !c.answeredAt.IsZero() {
		end := c.answeredAt.Add(c.talked)
		o["start_time"], o["end_time"] = stamp(c.answeredAt.Add(-c.delivery.StaleBy)), stamp(end.Add(-c.delivery.StaleBy))
		o["duration"] = int(end.Sub(c.answeredAt) / time.Second)
	}
	value := obj{"contacts": c.cust.contact(true), "calls": []any{o}}
	if e.Code != 0 {
		o["status"] = "FAILED"
		value["errors"] = []any{obj{"code": e.Code, "message": mediaErrors[e.Code], "href": "https://example.com/errors",
			"error_data": obj{"details": mediaErrors[e.Code]}}}
	}
	return update{field: "calls", event: "terminate", wacid: c.id, value: value}
}
