package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	msg "github.com/emiago/sipgo/sip"

	"deskbridge/bridge"
)

// EndOrphan ends at the far end a leg that a process before this one left: BYE in its dialog, CANCEL for an INVITE that
// was still ringing. It returns when the far end has answered (481 included: it knows nothing of it any more) or ctx ends.
func (e *Endpoint) EndOrphan(ctx context.Context, r bridge.LegRecord) error {
	saved, err := parseSaved(r.Dialog)
	if err != nil {
		return fmt.Errorf("end leg of %q: %w", r.Peer, err)
	}
	var errs []error
	for _, s := range saved {
		if err := e.endSaved(ctx, s); err != nil {
			errs = append(errs, fmt.Errorf("end leg of %q: %w", r.Peer, err))
		}
	}
	return errors.Join(errs...)
}

func (e *Endpoint) endSaved(ctx context.Context, s savedDialog) error {
	d, err := s.dialog()
	if err != nil {
		return err
	}
	p := party{name: s.Peer}
	if t, ok := e.Trunk(s.Peer); ok {
		p = t.party()
	} else if ph, ok := e.Phone(s.Peer); ok {
		p = ph.party()
	}
	if s.Via != "" {
		return e.cancelSaved(ctx, d, s)
	}
	d.localSeq += seqHeadroom
	const reason = `SIP;cause=500;text="interrupted"`
	res, err := e.inDialog(ctx, d, p, msg.BYE, reason)
	if err != nil {
		return err
	}
	if !res.IsSuccess() && res.StatusCode != 481 {
		return refusal{status: res.StatusCode, phrase: headerText(res.Reason)}
	}
	return nil
}

func (e *Endpoint) cancelSaved(ctx context.Context, d *dialog, s savedDialog) error {
	req := msg.NewRequest(msg.CANCEL, *d.target.Clone())
	appendIDs(req, d.callID, msg.FromHeader{Address: d.local}, d.localTag, msg.ToHeader{Address: d.remote}, "", s.Seq)
	req.PrependHeader(msg.NewHeader("Via", s.Via))
	req.AppendHeader(msg.NewHeader("Reason", `SIP;cause=500;text="interrupted"`))
	req.SetBody(nil)
	if req.Via() == nil {
		return errors.New("saved Via is malformed")
	}
	f := flow{transport: s.Transport, addr: netip.AddrPortFrom(d.flow.addr.Addr(), d.flow.addr.Port())}
	e.aim(req, f)
	_, err := e.do(ctx, req, f)
	return err
}
