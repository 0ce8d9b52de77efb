package sip

import (
	"context"
	"fmt"

	msg "github.com/emiago/sipgo/sip"

	"deskbridge/bridge"
)

// Phone is an account that registers with us; dialling it rings all its devices.
type Phone struct {
	e   *Endpoint
	cfg PhoneConfig
}

var _ bridge.Dialer = (*Phone)(nil)

func (p *Phone) party() party {
	return party{name: p.cfg.User, codecs: p.cfg.Codecs, ptime: p.cfg.PTime}
}

// Registered tells whether any device is registered.
func (p *Phone) Registered() bool {
	return len(p.e.registrar.contacts(p.cfg.User, p.e.cfg.Now())) > 0
}

// Dial implements bridge.Dialer: every device rings, one wins.
func (p *Phone) Dial(_ context.Context, inv bridge.Invite, notify bridge.Notify) (bridge.Leg, error) {
	if cur, ok := p.e.Phone(p.cfg.User); !ok || cur != p {
		if !ok {
			return nil, fmt.Errorf("dial phone %q: %w", p.cfg.User, ErrRemoved)
		}
		p = cur
	}
	bound := p.e.registrar.contacts(p.cfg.User, p.e.cfg.Now())
	if len(bound) == 0 {
		return nil, fmt.Errorf("dial phone %q: %w", p.cfg.User, ErrNotRegistered)
	}
	inv.Target = p.cfg.User
	var branches []*branch
	for _, b := range bound {
		f := b.flow
		branches = append(branches, &branch{
			uri:   b.uri,
			to:    msg.ToHeader{Address: msg.Uri{Scheme: "sip", User: p.cfg.User, Host: uriHost(p.e.host(f.addr))}},
			from:  fromHeader(inv, uriHost(p.e.host(f.addr))),
			where: func(context.Context) ([]flow, error) { return []flow{f}, nil },
		})
	}
	leg, err := p.e.dial(p.party(), inv, bound[0].flow, notify, branches)
	if err != nil {
		return nil, fmt.Errorf("dial phone %q: %w", p.cfg.User, err)
	}
	return leg, nil
}

func (t *Trunk) party() party {
	return party{
		name: t.cfg.Name, codecs: t.cfg.Codecs, ptime: t.cfg.PTime, networks: t.networks(), creds: t.creds, isTrunk: true,
	}
}

// Dial implements bridge.Dialer: the target is an extension behind the trunk.
func (t *Trunk) Dial(ctx context.Context, inv bridge.Invite, notify bridge.Notify) (bridge.Leg, error) {
	fail := func(err error) (bridge.Leg, error) { return nil, fmt.Errorf("dial on trunk %q: %w", t.cfg.Name, err) }
	if cur, ok := t.e.Trunk(t.cfg.Name); !ok {
		return fail(ErrRemoved)
	} else if cur != t {
		return cur.Dial(ctx, inv, notify)
	}
	if !t.pattern.match(inv.Target) {
		return fail(ErrTarget)
	}
	if !t.usable() {
		return fail(ErrTrunkDown)
	}
	flows, err := t.flows(ctx)
	if err != nil {
		return fail(fmt.Errorf("%w: %w", ErrTrunkDown, err))
	}
	uri := msg.Uri{Scheme: "sip", User: userPart(inv.Target), Host: uriHostText(t.cfg.Host), Port: t.cfg.Port}
	if t.cfg.Transport == "tcp" {
		uri.UriParams = msg.HeaderParams{{K: "transport", V: "tcp"}}
	}
	to := uri
	to.UriParams = nil
	b := &branch{
		uri: uri, to: msg.ToHeader{Address: to}, from: fromHeader(inv, uriHost(t.e.host(flows[0].addr))), where: t.flows,
	}
	leg, err := t.e.dial(t.party(), inv, flows[0], notify, []*branch{b})
	if err != nil {
		return fail(err)
	}
	return leg, nil
}
