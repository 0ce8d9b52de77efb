package appliance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"deskbridge/admin"
	"deskbridge/bridge"
	"deskbridge/frontdesk"
	"deskbridge/graph"
	"deskbridge/policy"
	"deskbridge/store"
)

const (
	// standingWait bounds what a customer's page waits for Meta's word about the permission.
	standingWait = 5 * time.Second
	// summonRing is how long the agent's own telephone rings for a call begun in the panel.
	summonRing = 25 * time.Second
)

// panelDesk is customers, callbacks, agents and lines as admin wants them.
type panelDesk struct{ a *App }

var (
	_ admin.CustomerDesk = panelDesk{}
	_ admin.CallbackDesk = panelDesk{}
	_ admin.AgentDesk    = panelDesk{}
	_ admin.LineDesk     = panelDesk{}
)

// deskError is an error of the front desk in admin's words: the store's have theirs, what a person gave wrong is told to them, and what is
// left failed at Meta.
func deskError(err error) error {
	if err == nil {
		return nil
	}
	switch {
	case errorKnown(err):
		return panelError(err)
	case errors.Is(err, frontdesk.ErrControl), errors.Is(err, graph.ErrContent):
		return fmt.Errorf("%w: %w", admin.ErrInvalid, err)
	case errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("%w: %w", admin.ErrUpstream, err)
}

func errorKnown(err error) bool {
	for known := range panelErrors {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// lineOf is a line of an order about a customer.
func (p panelDesk) lineOf(id string) (Line, error) {
	l, ok := p.a.plan.plant.Load().line(id)
	if !ok {
		return l, fmt.Errorf("%w: there is no line %q", admin.ErrInvalid, id)
	}
	return l, nil
}

// Customer implements admin.CustomerDesk. Somebody sees a customer with whom a call of theirs is, or runs, and whoever has taken the
// customer's wish to be called back.
func (p panelDesk) Customer(ctx context.Context, id string, s admin.Scope) (bridge.Customer, error) {
	c, err := p.a.store.Customer(ctx, id)
	if errors.Is(err, store.ErrInvalid) {
		err = store.ErrNotFound
	}
	if err != nil {
		return bridge.Customer{}, panelError(err)
	}
	sees, err := p.sees(ctx, c.ID, s)
	if err != nil {
		return bridge.Customer{}, panelError(err)
	}
	if !sees {
		return bridge.Customer{}, fmt.Errorf("customer %s: %w", id, admin.ErrNotFound)
	}
	return c, nil
}

func (p panelDesk) sees(ctx context.Context, customer string, s admin.Scope) (bool, error) {
	if s.All {
		return true, nil
	}
	if len(s.Targets) == 0 {
		return false, nil
	}
	if len(p.running(customer, s)) > 0 {
		return true, nil
	}
	q := store.CallSearch{Limit: 1, Customer: customer, Targets: s.Targets, Rang: s.Rang}
	for range 10 { // a page may be empty and have a next
		found, err := p.a.store.SearchCalls(ctx, q)
		if err != nil || len(found.Calls) > 0 {
			return err == nil, err
		}
		if q.After = found.Next; q.After == "" {
			break
		}
	}
	page, err := p.a.store.Callbacks(ctx, store.CallbackQuery{Live: true, Customer: customer, Span: store.Span{Limit: 100}})
	if err != nil {
		return false, err
	}
	for _, cb := range page.Items {
		if contains(s.Targets, cb.Owner) {
			return true, nil
		}
	}
	return false, nil
}

// running are the customer's calls that run now, within a scope.
func (p panelDesk) running(customer string, s admin.Scope) (list []bridge.CDR) {
	for _, c := range p.a.exchange.Calls() {
		if c.CDR.Customer.ID == customer && inScope(&c.CDR, s) {
			list = append(list, c.CDR)
		}
	}
	return list
}

// CustomerLines implements admin.CustomerDesk. Meta is asked where only its answer is missing; while it does not come, the decision says
// that it is not known.
func (p panelDesk) CustomerLines(ctx context.Context, id string) ([]admin.CustomerLine, error) {
	c, err := p.a.store.Customer(ctx, id)
	if err != nil {
		return nil, panelError(err)
	}
	live, cancel := context.WithTimeout(ctx, standingWait)
	defer cancel()
	var list []admin.CustomerLine
	for _, l := range p.a.plan.plant.Load().settings.Lines {
		if !l.Enabled {
			continue
		}
		out := admin.CustomerLine{Line: l.ID, Name: l.Label()}
		for action, d := range map[policy.Action]*policy.Decision{policy.ActionCall: &out.Call, policy.ActionAsk: &out.Ask, policy.ActionButton: &out.Button} {
			if *d, err = p.explain(ctx, live, l, c, action); err != nil {
				return nil, deskError(err)
			}
		}
		pair, _, _, err := p.a.store.PolicyState(ctx, l.ID, c.ID)
		if err != nil {
			return nil, panelError(err)
		}
		now := p.a.opt.Now()
		out.Permission = pair.Permission(now)
		if open, until := pair.Window(now); open {
			out.Window = until
		}
		list = append(list, out)
	}
	return list, nil
}

// explain decides with Meta's answer, and without it where it does not come.
func (p panelDesk) explain(ctx, live context.Context, l Line, c bridge.Customer, action policy.Action) (policy.Decision, error) {
	d, err := p.a.desk.Explain(live, l.ID, c, action, time.Time{}, action != policy.ActionButton)
	if err != nil {
		p.a.log.Debug("a decision is shown without Meta's answer", "line", l.ID, "action", string(action), "err", err)
		d, err = p.a.desk.Explain(ctx, l.ID, c, action, time.Time{}, false)
	}
	// Outside the message window a call button goes as the line's template, which policy knows nothing of.
	if err == nil && action == policy.ActionButton && d.Rule == policy.RuleWindow && l.Messages.ButtonTemplate.Name != "" {
		d.Allowed, d.Rule, d.Key, d.Template = true, policy.RuleAllowed, policy.RuleAllowed+".template", true
		d.Sentence = d.Render("en", l.zone())
	}
	return d, err
}

func (p panelDesk) request(ctx context.Context, o admin.DeskOrder) (frontdesk.Request, error) {
	if _, err := p.lineOf(o.Line); err != nil {
		return frontdesk.Request{}, err
	}
	c, err := p.a.store.Customer(ctx, o.Customer)
	return frontdesk.Request{Line: o.Line, Customer: c, By: o.By, Text: o.Text,
		Template: frontdesk.Template{Name: o.Template, Language: o.Language, Parameters: o.Parameters}}, panelError(err)
}

func (p panelDesk) send(ctx context.Context, o admin.DeskOrder, do func(context.Context, frontdesk.Request) (frontdesk.Sent, error)) (admin.DeskSent, error) {
	r, err := p.request(ctx, o)
	if err != nil {
		return admin.DeskSent{}, err
	}
	got, err := do(ctx, r)
	if err != nil {
		return admin.DeskSent{}, deskError(err)
	}
	out := admin.DeskSent{Sent: got.Decision.Allowed && got.Err == nil, Decision: got.Decision}
	if got.Message.ID != "" {
		m := messageRecord(got.Message)
		out.Message = &m
	}
	switch e := graph.AsError(got.Err); {
	case got.Err == nil:
	case errors.Is(got.Err, graph.ErrUncertain):
		out.Problem = "Nobody knows whether WhatsApp took it. It is not sent again; its status will tell."
	case e != nil:
		out.Problem = fmt.Sprintf("WhatsApp refused it: %s (%d)", firstOf(e.UserMessage, e.Message), e.Code)
	default:
		out.Problem = got.Err.Error()
	}
	return out, nil
}

// Ask implements admin.CustomerDesk.
func (p panelDesk) Ask(ctx context.Context, o admin.DeskOrder) (admin.DeskSent, error) {
	return p.send(ctx, o, p.a.desk.Ask)
}

// SendButton implements admin.CustomerDesk.
func (p panelDesk) SendButton(ctx context.Context, o admin.DeskOrder) (admin.DeskSent, error) {
	return p.send(ctx, o, p.a.desk.Button)
}

// SendMessage implements admin.CustomerDesk.
func (p panelDesk) SendMessage(ctx context.Context, o admin.DeskOrder) (admin.DeskSent, error) {
	return p.send(ctx, o, p.a.desk.Text)
}

// CallCustomer implements admin.CustomerDesk. The decision is made before the agent's telephone rings, so that nobody picks up to hear a
// refusal; it is made again, and counted, when the customer is called.
func (p panelDesk) CallCustomer(ctx context.Context, line, customer, target string) (string, policy.Decision, error) {
	l, err := p.lineOf(line)
	if err != nil {
		return "", policy.Decision{}, err
	}
	c, err := p.a.store.Customer(ctx, customer)
	if err != nil {
		return "", policy.Decision{}, panelError(err)
	}
	plant := p.a.plan.plant.Load()
	t, ok := plant.target(target)
	if !ok {
		return "", policy.Decision{}, fmt.Errorf("%w: there is no telephone %q", admin.ErrInvalid, target)
	}
	peer := peerOfTarget(target)
	if !plant.caller(bridge.Offer{Peer: peer}).may(line) {
		return "", policy.Decision{}, fmt.Errorf("%w: %s may not dial over line %q: name the line in its settings", admin.ErrInvalid, target, line)
	}
	d, err := p.a.desk.Explain(ctx, l.ID, c, policy.ActionCall, time.Time{}, true)
	if err != nil || !d.Allowed {
		return "", d, deskError(err)
	}
	return p.a.exchange.Summon(bridge.Summons{Line: l.ID, LineName: l.Label(), Customer: c, Dialled: c.Dialable(), Agent: t, RingTimeout: summonRing,
		Peer: peer, From: t.Address}), d, nil
}

// Block implements admin.CustomerDesk. The blocklist is that of all lines; the event is kept with the first.
func (p panelDesk) Block(ctx context.Context, customer, by, reason string) error {
	return p.control(ctx, customer, by, reason, p.a.desk.Block)
}

// Unblock implements admin.CustomerDesk.
func (p panelDesk) Unblock(ctx context.Context, customer, by, reason string) error {
	return p.control(ctx, customer, by, reason, p.a.desk.Unblock)
}

func (p panelDesk) control(ctx context.Context, customer, by, reason string, do func(context.Context, frontdesk.Control) error) error {
	lines := p.a.plan.plant.Load().settings.Lines
	if len(lines) == 0 {
		return fmt.Errorf("%w: there is no line yet", admin.ErrInvalid)
	}
	c, err := p.a.store.Customer(ctx, customer)
	if err != nil {
		return panelError(err)
	}
	return deskError(do(ctx, frontdesk.Control{Line: lines[0].ID, Customer: c, By: by, Reason: reason}))
}

// Override implements admin.CustomerDesk.
func (p panelDesk) Override(ctx context.Context, line, customer, by, reason string, until time.Time) (policy.Decision, error) {
	if _, err := p.lineOf(line); err != nil {
		return policy.Decision{}, err
	}
	c, err := p.a.store.Customer(ctx, customer)
	if err != nil {
		return policy.Decision{}, panelError(err)
	}
	d, err := p.a.desk.Override(ctx, frontdesk.Control{Line: line, Customer: c, By: by, Reason: reason, Until: until}, policy.ActionCall)
	return d, deskError(err)
}

// Decision implements admin.CustomerDesk.
func (p panelDesk) Decision(ctx context.Context, call string) (admin.KeptDecision, error) {
	if _, err := p.a.store.Decision(ctx, call); err != nil {
		return admin.KeptDecision{}, panelError(err)
	}
	e, err := p.a.ExplainCall(ctx, call)
	if err != nil {
		return admin.KeptDecision{}, panelError(err)
	}
	return admin.KeptDecision{Decision: e.Decision, Permission: e.Permission, Replayed: e.Replayed != nil && *e.Replayed}, nil
}
