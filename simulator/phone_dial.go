package simulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	msg "github.com/emiago/sipgo/sip"
)

// dialPatience is how long a dialled call may ring.
const dialPatience = 3 * time.Minute

// Dial calls a number ("1002", through the registrar) or a URI ("sip:1002@127.0.0.1:5080"). It returns when the INVITE is
// under way; ctx bounds only that. WaitAnswer and Done tell the rest.
func (p *Phone) Dial(ctx context.Context, uri string, headers ...string) (*PhoneCall, error) {
	to, dest, err := p.destination(uri)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", uri, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	id := msg.GenerateTagN(24)
	c, err := p.newCall(id, false)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", uri, err)
	}
	r := p.newRequest(msg.INVITE, to)
	from := msg.FromHeader{Address: p.aor()}
	from.Params.Add("tag", msg.GenerateTagN(10))
	callID := msg.CallIDHeader(id)
	r.AppendHeader(&from)
	r.AppendHeader(&msg.ToHeader{Address: *to.Clone()})
	r.AppendHeader(&callID)
	r.AppendHeader(&msg.CSeqHeader{SeqNo: 1, MethodName: msg.INVITE})
	r.AppendHeader(p.contact())
	r.AppendHeader(msg.NewHeader("Allow", "INVITE, ACK, CANCEL, BYE, INFO, OPTIONS"))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		r.AppendHeader(msg.NewHeader(strings.TrimSpace(name), strings.TrimSpace(value)))
	}
	r.AppendHeader(msg.NewHeader("Content-Type", "application/sdp"))
	r.SetBody(p.phoneSDP(c.audio.addr(), nil, "sendrecv", 1))
	c.local, c.sentTo, c.target, c.invite = from, dest, to, r.Clone()
	p.do(func() { c.dialling(r, dest) })
	return c, nil
}

// destination reads what to dial and where to send it.
func (p *Phone) destination(s string) (msg.Uri, string, error) {
	if !strings.HasPrefix(s, "sip:") {
		s = "sip:" + s
	}
	if !strings.Contains(s, "@") {
		s += "@" + p.cfg.Domain
	}
	var u msg.Uri
	if err := msg.ParseUri(s, &u); err != nil {
		return u, "", err
	}
	if u.Host == p.cfg.Domain && u.Port == 0 && p.cfg.Registrar != "" {
		return u, p.cfg.Registrar, nil
	}
	if u.Port == 0 && net.ParseIP(u.Host) == nil && p.cfg.Registrar != "" {
		return u, p.cfg.Registrar, nil
	}
	return u, hostPort(u), nil
}

// dialling carries a call to its answer or end.
func (c *PhoneCall) dialling(r *msg.Request, dest string) {
	ctx, cancel := context.WithTimeout(c.p.ctx, dialPatience)
	defer cancel()
	res, err := c.inviteRounds(ctx, r, dest)
	if err != nil {
		c.end(PhoneEnd{By: "network", Text: err.Error()})
		return
	}
	if !res.IsSuccess() {
		c.p.ackFailure(r, res, dest)
		by := "far end"
		if c.hasGivenUp() {
			by = "phone"
		}
		c.end(PhoneEnd{By: by, Status: res.StatusCode, Text: res.Reason, Reason: reasonOf(res)})
		return
	}
	c.establish(res)
	c.ack(r.CSeq().SeqNo, nil)
	f, err := c.p.readPhoneSDP(res.Body(), true)
	if err == nil {
		c.audio.use(f)
	}
	c.answerNow()
	if err != nil || c.hasGivenUp() { // the 200 crossed our CANCEL, or is no use
		_ = c.bye(ctx)
	}
}

func (c *PhoneCall) hasGivenUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gaveUp
}

type headerGetter interface{ GetHeader(string) msg.Header }

func reasonOf(m headerGetter) string {
	if h := m.GetHeader("Reason"); h != nil {
		return h.Value()
	}
	return ""
}

// inviteRounds sends the INVITE, again with credentials if asked.
func (c *PhoneCall) inviteRounds(ctx context.Context, r *msg.Request, dest string) (*msg.Response, error) {
	for round := 0; ; round++ {
		c.p.addVia(r)
		c.mu.Lock()
		c.invite, c.cseq = r.Clone(), r.CSeq().SeqNo
		gone := c.gaveUp
		c.progress = false
		c.mu.Unlock()
		if gone {
			return nil, errors.New("given up")
		}
		res, err := c.p.transact(ctx, r, dest, c.early)
		if err != nil || round == 2 || !c.p.authorize(r, res) {
			return res, err
		}
		c.p.ackFailure(r, res, dest)
		r.CSeq().SeqNo++
	}
}

// early takes a provisional response.
func (c *PhoneCall) early(res *msg.Response) {
	c.mu.Lock()
	c.progress = true
	if res.StatusCode > 100 {
		once(c.rang)
	}
	cancelNow := c.gaveUp
	c.mu.Unlock()
	if f, err := c.p.readPhoneSDP(res.Body(), true); err == nil {
		c.audio.use(f) // early media
	}
	if cancelNow {
		c.p.do(func() { _ = c.sendCancel(c.p.ctx) })
	}
}

// establish learns the dialog from a 2xx (RFC 3261 §12.1.2).
func (c *PhoneCall) establish(res *msg.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := res.To(); h != nil {
		c.remote = *msg.HeaderClone(h).(*msg.ToHeader)
	}
	if h := res.Contact(); h != nil {
		c.target = *h.Address.Clone()
	}
	rr := res.GetHeaders("Record-Route")
	c.route = nil
	for i := len(rr) - 1; i >= 0; i-- {
		c.route = append(c.route, rr[i].Value())
	}
}

// giveUp cancels a call that was not answered. A CANCEL may go only after a provisional response (RFC 3261 §9.1).
func (c *PhoneCall) giveUp(ctx context.Context) error {
	c.mu.Lock()
	first, progress := !c.gaveUp, c.progress
	c.gaveUp = true
	c.mu.Unlock()
	if first && progress {
		return c.sendCancel(ctx)
	}
	return nil
}

func (c *PhoneCall) sendCancel(ctx context.Context) error {
	c.mu.Lock()
	if c.cancelSent {
		c.mu.Unlock()
		return nil
	}
	c.cancelSent = true
	inv, to := c.invite, c.sentTo
	r := c.p.newRequest(msg.CANCEL, inv.Recipient)
	r.PrependHeader(msg.HeaderClone(inv.Via()))
	r.AppendHeader(msg.HeaderClone(inv.From()))
	r.AppendHeader(msg.HeaderClone(inv.To()))
	r.AppendHeader(msg.HeaderClone(inv.CallID()))
	r.AppendHeader(&msg.CSeqHeader{SeqNo: inv.CSeq().SeqNo, MethodName: msg.CANCEL})
	r.SetBody(nil)
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := c.p.transact(ctx, r, to, nil)
	return err
}
