package sip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	msg "github.com/emiago/sipgo/sip"

	"deskbridge/bridge"
)

// EndOrphan ends at the far end a leg that a process before this one left: BYE in its dialog, CANCEL for an INVITE of ours
// that was still ringing, 480 for one of the far end that we had not answered. It returns when the far end has answered (481 included: it knows nothing of it any more) or ctx ends.
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
		answered, err := e.cancelSaved(ctx, d, s)
		if err != nil || !answered || s.RemoteTag == "" {
			return err
		}
	}
	if s.Refusal != "" {
		acked, err := e.refuseSaved(ctx, d, s)
		if err != nil || acked {
			return err
		}
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

// cancelSaved cancels an INVITE of ours. True: the far end knows no such INVITE (481); perhaps it answered meanwhile.
func (e *Endpoint) cancelSaved(ctx context.Context, d *dialog, s savedDialog) (answered bool, err error) {
	var uri msg.Uri
	if err := msg.ParseUri(s.URI, &uri); err != nil {
		return false, fmt.Errorf("saved INVITE: %w", err)
	}
	req := msg.NewRequest(msg.CANCEL, uri)
	appendIDs(req, d.callID, msg.FromHeader{Address: d.local}, d.localTag, msg.ToHeader{Address: d.remote}, "", s.Seq)
	req.PrependHeader(msg.NewHeader("Via", s.Via))
	req.AppendHeader(msg.NewHeader("Reason", `SIP;cause=500;text="interrupted"`))
	req.SetBody(nil)
	if req.Via() == nil {
		return false, errors.New("saved Via is malformed")
	}
	e.aim(req, d.flow)
	res, err := e.do(ctx, req, d.flow)
	return err == nil && res.StatusCode == 481, err
}

// refusalTries times the 480 is sent, T1 apart, then twice that, for want of a transaction that would do it.
const refusalTries = 3

// refuseSaved gives an INVITE of the far end its final answer: a BYE would not do (RFC 3261 §15), a PBX lets the caller ring
// on. Without an ACK the call was perhaps answered after the record was written.
func (e *Endpoint) refuseSaved(ctx context.Context, d *dialog, s savedDialog) (acked bool, err error) {
	ack, forget := e.legs.awaitAck(dialogKey{d.callID, d.localTag})
	defer forget()
	send, done, err := e.answerTo(ctx, d.flow, s.Refusal)
	if err != nil {
		return false, err
	}
	defer done()
	wait := e.t1()
	for range refusalTries {
		if err := send(); err != nil {
			return false, fmt.Errorf("refuse a call left unanswered: %w", err)
		}
		select {
		case <-ack:
			return true, nil
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(wait):
			wait *= 2
		}
	}
	return false, nil
}

// answerTo is the way of an answer without a transaction (RFC 3261 §18.2.2): over UDP where the request came from, over TCP
// a new connection to the port of the top Via, if we may open one to there.
func (e *Endpoint) answerTo(ctx context.Context, f flow, text string) (send func() error, done func(), err error) {
	if f.transport == "UDP" {
		s := e.socketFor(f.addr.Addr())
		if s == nil {
			return nil, nil, fmt.Errorf("no UDP listener for %s", f.addr)
		}
		return func() error {
			_, err := s.WriteToUDPAddrPort([]byte(text), f.addr)
			return err
		}, func() {}, nil
	}
	m, err := msg.ParseMessage([]byte(text))
	if err != nil || m.Via() == nil {
		return nil, nil, errors.New("saved answer is malformed")
	}
	to := netip.AddrPortFrom(f.addr.Addr(), defaultPort(m.Via().Port))
	if f.reuse || !e.mayDial(to) {
		return nil, nil, errNoConnection
	}
	d := net.Dialer{Timeout: firstAnswer}
	c, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, nil, err
	}
	return func() error {
		_ = c.SetWriteDeadline(time.Now().Add(tcpWriteTime))
		_, err := c.Write([]byte(text))
		return err
	}, func() { _ = c.Close() }, nil
}
