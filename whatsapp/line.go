package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"deskbridge/bridge"
	"deskbridge/graph"
)

// LineConfig is one WhatsApp business number.
type LineConfig struct {
	ID            string // ours
	PhoneNumberID string
	Account       string       // WABA ID; empty: templates cannot be managed
	DisplayNumber string       // digits, to match account-level webhooks
	AppSecret     graph.Secret // signs the webhooks of the line's app
	VerifyToken   graph.Secret // of the webhook handshake
	Graph         *graph.Client
	Hub           *Hub
}

// Line dials customers from one business number and knows its webhooks. It holds no calls: replacing a Line when settings
// change disturbs none.
type Line struct {
	id, number, display string
	account             string
	secret, verify      graph.Secret
	graph               *graph.Client
	hub                 *Hub
	log                 *slog.Logger
}

var _ bridge.Dialer = (*Line)(nil)

// NewLine makes a Line. It sends nothing.
func NewLine(cfg LineConfig) (*Line, error) {
	var problems []error
	need := func(ok bool, what string) {
		if !ok {
			problems = append(problems, fmt.Errorf("line %q: %s is missing", cfg.ID, what))
		}
	}
	need(cfg.ID != "", "id")
	need(cfg.PhoneNumberID != "", "phone number id")
	need(!cfg.AppSecret.Empty(), "app secret")
	need(!cfg.VerifyToken.Empty(), "verify token")
	need(cfg.Graph != nil && cfg.Hub != nil, "graph client or hub")
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return &Line{id: cfg.ID, number: cfg.PhoneNumberID, account: cfg.Account, display: onlyDigits(cfg.DisplayNumber),
		secret: cfg.AppSecret, verify: cfg.VerifyToken, graph: cfg.Graph, hub: cfg.Hub, log: cfg.Hub.log.With("line", cfg.ID)}, nil
}

// ID is our name for the line.
func (l *Line) ID() string { return l.id }

// Number is Meta's ID of the line's number, Account that of its WhatsApp business account.
func (l *Line) Number() string { return l.number }

// Account is Meta's ID of the WhatsApp business account; empty when it was not given.
func (l *Line) Account() string { return l.account }

// Display are the digits of the line's number; empty when they were not given.
func (l *Line) Display() string { return l.display }

// Dial calls a customer. Ringing, answer and end come as events.
func (l *Line) Dial(_ context.Context, inv bridge.Invite, notify bridge.Notify) (bridge.Leg, error) {
	to := graph.Recipient{Phone: inv.Customer.Phone, BSUID: inv.Customer.BSUID}
	if to.Phone == "" && to.BSUID == "" {
		return nil, dialError(bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonBadNumber}, graph.ErrRecipient)
	}
	leg := newLeg(l, inv.Call, notify)
	if leg.media == nil {
		return nil, dialError(bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonOverload}, errors.New("no media socket"))
	}
	leg.outbound, leg.to, leg.decideBy = true, to, inv.Deadline
	l.hub.calls.expect(leg)
	leg.start(phConnecting)
	leg.worker.do(leg.connect)
	return leg, nil
}

func dialError(c bridge.Cause, err error) error {
	return &bridge.CauseError{Cause: c, Err: fmt.Errorf("dial customer: %w", err)}
}

// answer makes the leg of an inbound call, when the switchboard asks for it.
func (l *Line) answer(call string, ev *graph.Event, notify bridge.Notify) *Leg {
	leg := newLeg(l, call, notify)
	leg.wacid, leg.offer = ev.ID, ev.Call.SDP
	leg.log = leg.log.With("wacid", ev.ID)
	leg.start(phOffered)
	l.hub.calls.bind(leg, ev.ID)
	return leg
}

// end ends a call at Meta, by terminate or reject, and by the other when that is refused (§6.5). Outbound calls know no
// reject.
func (l *Line) end(ctx context.Context, wacid string, terminate, outbound bool) error {
	first, second := l.graph.Reject, l.graph.Terminate
	if terminate {
		first, second = second, first
	}
	err := first(ctx, l.number, wacid)
	e := graph.AsError(err)
	if err == nil || outbound || ctx.Err() != nil || e == nil || e.Unavailable() || e.RateLimited() {
		// Meta's trouble does not make the other word the right one: a reject of a call that talks is answered as if the
		// call were gone, and nobody would try again.
		return err
	}
	return second(ctx, l.number, wacid)
}

// Terminate ends a call by Meta's ID, for calls found open after a crash. A call already over is no error.
func (l *Line) Terminate(ctx context.Context, wacid string) error {
	l.hub.Over(wacid)
	if err := l.graph.Terminate(ctx, l.number, wacid); err != nil {
		return fmt.Errorf("line %q: %w", l.id, err)
	}
	return nil
}

// Disown makes sure that an outbound call found open after a crash, before Meta had named it, is ended should a webhook
// ever mention it.
func (l *Line) Disown(call string) { l.hub.calls.orphan(call, l) }

func isUncertain(err error) bool { return errors.Is(err, graph.ErrUncertain) }

func onlyDigits(s string) string {
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			b = append(b, s[i])
		}
	}
	return string(b)
}
