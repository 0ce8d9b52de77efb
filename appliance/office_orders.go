package appliance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"deskbridge/frontdesk"
	"deskbridge/policy"
	"deskbridge/store"
)

// Order is what a person decides about a customer. It stays in the ledger with their name.
type Order struct {
	Line     string        `json:"line"`
	Customer string        `json:"customer"` // number, alias, or our ID
	By       string        `json:"by"`       // "user:anna"
	Reason   string        `json:"reason"`
	Until    time.Time     `json:"until,omitzero"`   // Override: at most a day from now
	Action   policy.Action `json:"action,omitempty"` // Override: call (also when empty) or ask
}

// order is what the front desk is to carry out; the customer may be nobody we know yet.
func (a *App) order(ctx context.Context, o Order) (frontdesk.Control, error) {
	l, ok := a.plan.plant.Load().line(o.Line)
	if !ok {
		return frontdesk.Control{}, fmt.Errorf("there is no line %q", o.Line)
	}
	c, err := a.whoIs(ctx, o.Customer, l.Country)
	if err == nil && c.ID == "" {
		c, err = a.store.Resolve(ctx, store.Identity{Phone: c.Phone})
	}
	return frontdesk.Control{Line: l.ID, Customer: c, By: o.By, Reason: o.Reason, Until: o.Until}, err
}

// Override implements Office.
func (a *App) Override(ctx context.Context, o Order) (policy.Decision, error) {
	c, err := a.order(ctx, o)
	if err != nil {
		return policy.Decision{}, err
	}
	if o.Action == "" {
		o.Action = policy.ActionCall
	}
	return a.desk.Override(ctx, c, o.Action)
}

// Block implements Office.
func (a *App) Block(ctx context.Context, o Order, blocked bool) error {
	c, err := a.order(ctx, o)
	if err != nil {
		return err
	}
	if blocked {
		return a.desk.Block(ctx, c)
	}
	return a.desk.Unblock(ctx, c)
}

func (c *Control) orderRoutes(mux *http.ServeMux) {
	order := func(path string, obey func(context.Context, Order) (any, error)) {
		mux.HandleFunc("POST /policy/"+path, func(w http.ResponseWriter, r *http.Request) {
			var o Order
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxDocument)).Decode(&o); err != nil {
				answer(w, http.StatusUnprocessableEntity, controlError{Code: "invalid", Message: "the order cannot be read: " + err.Error()})
				return
			}
			body, err := obey(r.Context(), o)
			c.reply(w, body, err)
		})
	}
	order("override", func(ctx context.Context, o Order) (any, error) { return c.office.Override(ctx, o) })
	order("block", func(ctx context.Context, o Order) (any, error) { return struct{}{}, c.office.Block(ctx, o, true) })
	order("unblock", func(ctx context.Context, o Order) (any, error) { return struct{}{}, c.office.Block(ctx, o, false) })
}

// Override lifts the profile's limits for a customer.
func (c *ControlClient) Override(ctx context.Context, o Order) (d policy.Decision, err error) {
	return d, c.order(ctx, "override", o, &d)
}

// Block puts a customer on the blocklist, or takes them off it.
func (c *ControlClient) Block(ctx context.Context, o Order, blocked bool) error {
	path := "unblock"
	if blocked {
		path = "block"
	}
	return c.order(ctx, path, o, &struct{}{})
}

func (c *ControlClient) order(ctx context.Context, path string, o Order, into any) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	body, err := c.do(ctx, http.MethodPost, "/policy/"+path, text)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}
