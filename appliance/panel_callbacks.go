package appliance

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"deskbridge/admin"
	"deskbridge/bridge"
	"deskbridge/store"
)

// callbackRecord is a callback with its customer; one who was erased has only the ID left.
func (p panelDesk) callbackRecord(ctx context.Context, cb store.Callback) admin.CallbackRecord {
	c, err := p.a.store.Customer(ctx, cb.Customer)
	if err != nil {
		c = bridge.Customer{ID: cb.Customer}
	}
	return admin.CallbackRecord{ID: cb.ID, Line: cb.Line, Customer: c, Call: cb.Call, Source: string(cb.Source), RequestedAt: cb.RequestedAt, Due: cb.Due,
		Expires: cb.Expires, Owner: cb.Owner, State: string(cb.State), Note: cb.Note, Version: cb.Version}
}

// Callbacks implements admin.CallbackDesk.
func (p panelDesk) Callbacks(ctx context.Context, live bool, after string, limit int) ([]admin.CallbackRecord, string, error) {
	page, err := p.a.store.Callbacks(ctx, store.CallbackQuery{Live: live, Span: store.Span{Limit: limit, Cursor: after}})
	if err != nil {
		return nil, "", panelError(err)
	}
	list := make([]admin.CallbackRecord, 0, len(page.Items))
	for _, cb := range page.Items {
		list = append(list, p.callbackRecord(ctx, cb))
	}
	return list, page.Next, nil
}

// Callback implements admin.CallbackDesk.
func (p panelDesk) Callback(ctx context.Context, id string) (admin.CallbackRecord, error) {
	cb, err := p.a.store.Callback(ctx, id)
	if err != nil {
		return admin.CallbackRecord{}, panelError(err)
	}
	return p.callbackRecord(ctx, cb), nil
}

// UpdateCallback implements admin.CallbackDesk.
func (p panelDesk) UpdateCallback(ctx context.Context, n admin.CallbackRecord) (admin.CallbackRecord, error) {
	if n.Owner != "" {
		if _, ok := p.a.plan.plant.Load().target(n.Owner); !ok {
			return admin.CallbackRecord{}, fmt.Errorf("%w: there is no telephone %q", admin.ErrInvalid, n.Owner)
		}
	}
	cb, err := p.a.store.UpdateCallback(ctx, store.Callback{ID: n.ID, Due: n.Due, Owner: n.Owner, State: store.CallbackState(n.State), Note: n.Note, Version: n.Version}, p.a.opt.Now())
	if err != nil {
		return admin.CallbackRecord{}, panelError(err)
	}
	return p.callbackRecord(ctx, cb), nil
}

// Agents implements admin.AgentDesk: the phones that are on, and what routes name of the trunks.
func (p panelDesk) Agents(ctx context.Context) ([]admin.AgentState, error) {
	said, err := p.a.store.Availabilities(ctx)
	if err != nil {
		return nil, panelError(err)
	}
	var list []admin.AgentState
	for _, a := range p.telephones() {
		a.Available = true
		if i := slices.IndexFunc(said, func(s store.Availability) bool { return s.Target == a.Target }); i >= 0 {
			a.Available, a.Since = said[i].Available, said[i].Since
		}
		a.Busy = agents{p.a}.Busy(a.Target)
		list = append(list, a)
	}
	return list, nil
}

// telephones are the targets that customers' calls can ring, phones first.
func (p panelDesk) telephones() (list []admin.AgentState) {
	settings := p.a.plan.plant.Load().settings
	registered := map[string]bool{}
	for _, r := range p.a.sip.Registrations() {
		registered[r.User] = true
	}
	for _, ph := range settings.Phones {
		if ph.Enabled {
			list = append(list, admin.AgentState{Target: Target{Number: ph.Extension}.String(), Name: ph.Name, Registered: registered[ph.Extension]})
		}
	}
	up := map[string]bool{}
	for _, t := range p.a.sip.Trunks() {
		up["trunk:"+t.Name] = t.Up
	}
	for _, l := range settings.Lines {
		for _, name := range slices.Concat(l.Inbound.Ring, l.Inbound.Overflow) {
			if strings.HasPrefix(name, "trunk:") && !slices.ContainsFunc(list, func(a admin.AgentState) bool { return a.Target == name }) {
				list = append(list, admin.AgentState{Target: name, Registered: up[peerOfTarget(name)]})
			}
		}
	}
	return list
}

// SetAvailable implements admin.AgentDesk.
func (p panelDesk) SetAvailable(ctx context.Context, target string, available bool, by string) error {
	if !slices.ContainsFunc(p.telephones(), func(a admin.AgentState) bool { return a.Target == target }) {
		return fmt.Errorf("telephone %s: %w", target, admin.ErrNotFound)
	}
	_, err := p.a.store.SetAvailability(ctx, store.Availability{Target: target, Available: available, Since: p.a.opt.Now(), By: by})
	if err == nil {
		p.a.desk.Look()
	}
	return panelError(err)
}
