package simulator

import (
	"fmt"
	"strings"
	"time"

	msg "github.com/emiago/sipgo/sip"
)

// phoneServed is a request that was answered: its last response, for repetitions.
type phoneServed struct {
	text []byte
	to   string
	call *PhoneCall // INVITE
}

func servedKey(r *msg.Request, method msg.RequestMethod) string {
	return r.Via().Params.GetOr("branch", "") + string(method)
}

// takeRequest is the phone as a server.
func (p *Phone) takeRequest(r *msg.Request) {
	if r.Via() == nil || r.CSeq() == nil || r.CallID() == nil || r.From() == nil || r.To() == nil {
		return
	}
	p.mu.Lock()
	s, c, closed := p.served[servedKey(r, r.Method)], p.byID[string(*r.CallID())], p.closed
	p.mu.Unlock()
	switch {
	case r.Method == msg.ACK:
		if c != nil {
			c.acked(r)
		}
	case s != nil:
		if s.text != nil {
			_ = p.wire.send(p.ctx, s.text, s.to)
		}
	case r.Method == msg.CANCEL:
		p.takeCancel(r)
	case r.Method == msg.OPTIONS:
		p.reply(r, nil, 200, "OK", nil)
	case r.Method == msg.INVITE && c == nil && !closed && !r.To().Params.Has("tag"):
		p.takeInvite(r)
	case c == nil:
		p.reply(r, nil, 481, "Call/Transaction Does Not Exist", nil)
	case r.Method == msg.INVITE:
		p.do(func() { c.takeReinvite(r) })
	case r.Method == msg.BYE:
		p.reply(r, c, 200, "OK", nil)
		p.do(func() { c.end(PhoneEnd{By: "far end", Reason: reasonOf(r)}) })
	case r.Method == msg.INFO:
		c.takeInfo(r)
	default:
		p.reply(r, c, 405, "Method Not Allowed", nil)
	}
}

// reply answers a request and remembers the answer for repetitions of the request.
func (p *Phone) reply(r *msg.Request, c *PhoneCall, status int, text string, body []byte, headers ...msg.Header) []byte {
	res := msg.NewResponseFromRequest(r, status, text, nil)
	if c != nil && status > 100 {
		if tag, ok := c.local.Params.Get("tag"); ok && !r.To().Params.Has("tag") {
			res.To().Params.Remove("tag")
			res.To().Params.Add("tag", tag)
		}
		res.AppendHeader(p.contact())
	}
	for _, h := range headers {
		res.AppendHeader(h)
	}
	if body != nil {
		res.AppendHeader(msg.NewHeader("Content-Type", "application/sdp"))
	}
	res.SetBody(body)
	s := &phoneServed{text: []byte(res.String()), to: r.Source(), call: c}
	key := servedKey(r, r.Method)
	p.mu.Lock()
	if p.served[key] == nil {
		p.order = append(p.order, key)
		if len(p.order) > maxServed {
			delete(p.served, p.order[0])
			p.order = append(p.order[:0], p.order[1:]...)
		}
	}
	p.served[key] = s
	p.mu.Unlock()
	_ = p.wire.send(p.ctx, s.text, s.to)
	return s.text
}

// takeInvite begins a call that came in.
func (p *Phone) takeInvite(r *msg.Request) {
	if r.Contact() == nil {
		p.reply(r, nil, 400, "No Contact", nil)
		return
	}
	c, err := p.newCall(string(*r.CallID()), true)
	if err != nil {
		p.reply(r, nil, 486, "Busy Here", nil)
		return
	}
	c.mu.Lock()
	c.invite, c.sentTo, c.target = r, r.Source(), *r.Contact().Address.Clone()
	c.local = r.To().AsFrom()
	c.local.Params.Add("tag", msg.GenerateTagN(10))
	c.remote = r.From().AsTo()
	c.cseq = 1000
	for _, h := range r.GetHeaders("Record-Route") {
		c.route = append(c.route, h.Value())
	}
	once(c.rang)
	c.mu.Unlock()
	p.reply(r, c, 180, "Ringing", nil)
	select {
	case p.calls <- c:
	default: // nobody looks
	}
	if !p.cfg.Answer.Manual {
		p.do(c.answerByItself)
	}
}

// answerByItself does what the configuration says.
func (c *PhoneCall) answerByItself() {
	t := time.NewTimer(c.p.cfg.Answer.After)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.done:
		return
	case <-c.p.ctx.Done():
		return
	}
	var err error
	if s := c.p.cfg.Answer.Decline; s != 0 {
		err = c.Decline(s)
	} else {
		err = c.Accept()
	}
	if err != nil {
		c.p.log.Debug("call not answered", "err", err)
	}
}

// Accept answers a call that came in. An INVITE without SDP gets our offer, and the answer is expected in the ACK.
func (c *PhoneCall) Accept() error {
	c.mu.Lock()
	if !c.incoming || c.over || c.up {
		c.mu.Unlock()
		return fmt.Errorf("accept: the call does not ring here")
	}
	r := c.invite
	c.mu.Unlock()
	body := c.p.phoneSDP(c.audio.addr(), nil, "sendrecv", 1)
	if len(r.Body()) > 0 {
		f, err := c.p.readPhoneSDP(r.Body(), false)
		if err != nil {
			_ = c.Decline(488)
			return fmt.Errorf("accept: %w", err)
		}
		body = c.p.phoneSDP(c.audio.addr(), f, direction(f), 1)
		c.audio.use(f)
	}
	c.answerNow()
	c.final(r, 200, "OK", body)
	return nil
}

// direction is the answer to what the far end wants: f has our view already.
func direction(f *phoneFormat) string {
	switch {
	case f.send && f.recv:
		return "sendrecv"
	case f.send:
		return "sendonly"
	case f.recv:
		return "recvonly"
	}
	return "inactive"
}

// Decline refuses a call that came in.
func (c *PhoneCall) Decline(status int) error {
	c.mu.Lock()
	if !c.incoming || c.over || c.up {
		c.mu.Unlock()
		return fmt.Errorf("decline: the call does not ring here")
	}
	r := c.invite
	c.mu.Unlock()
	c.final(r, status, "Declined", nil)
	c.end(PhoneEnd{By: "phone", Status: status})
	return nil
}

// final sends the final response to an INVITE and repeats it until the ACK (RFC 3261 §13.3.1.4, §17.2.1).
func (c *PhoneCall) final(r *msg.Request, status int, text string, body []byte) {
	ack := make(chan *msg.Request, 1)
	c.mu.Lock()
	c.waitAck[r.CSeq().SeqNo] = ack
	c.mu.Unlock()
	out := c.p.reply(r, c, status, text, body)
	c.p.do(func() {
		every := phoneT1
		t := time.NewTimer(every)
		defer t.Stop()
		limit := time.NewTimer(phoneTB)
		defer limit.Stop()
		over := c.done
		if status >= 300 {
			over = nil // the call ends with its refusal, which is repeated all the same
		}
		for {
			select {
			case a := <-ack:
				c.lateAnswer(r, a)
				return
			case <-t.C:
				_ = c.p.wire.send(c.p.ctx, out, r.Source())
				every = min(2*every, phoneT2)
				t.Reset(every)
			case <-limit.C:
				return
			case <-over:
				return
			case <-c.p.ctx.Done():
				return
			}
		}
	})
}

// lateAnswer takes the answer from the ACK when our 200 carried the offer.
func (c *PhoneCall) lateAnswer(invite, ack *msg.Request) {
	if len(invite.Body()) > 0 || len(ack.Body()) == 0 {
		return
	}
	f, err := c.p.readPhoneSDP(ack.Body(), true)
	if err != nil {
		c.p.log.Debug("answer in the ACK is no use", "err", err)
		return
	}
	c.audio.use(f)
}

func (c *PhoneCall) acked(r *msg.Request) {
	c.mu.Lock()
	ch := c.waitAck[r.CSeq().SeqNo]
	delete(c.waitAck, r.CSeq().SeqNo)
	c.mu.Unlock()
	if ch != nil {
		ch <- r
	}
}

// takeCancel ends a call that still rings.
func (p *Phone) takeCancel(r *msg.Request) {
	p.mu.Lock()
	s := p.served[servedKey(r, msg.INVITE)]
	p.mu.Unlock()
	if s == nil || s.call == nil {
		p.reply(r, nil, 481, "Call/Transaction Does Not Exist", nil)
		return
	}
	c := s.call
	p.reply(r, c, 200, "OK", nil)
	c.mu.Lock()
	late, inv := c.over || c.up, c.invite
	c.mu.Unlock()
	if late {
		return
	}
	c.final(inv, 487, "Request Terminated", nil)
	p.do(func() { c.end(PhoneEnd{By: "far end", Status: 487, Reason: reasonOf(r)}) })
}

// takeReinvite answers a re-INVITE (hold, resume, new address, session refresh).
func (c *PhoneCall) takeReinvite(r *msg.Request) {
	c.mu.Lock()
	c.version++
	version := c.version
	if h := r.Contact(); h != nil {
		c.target = *h.Address.Clone()
	}
	c.mu.Unlock()
	if len(r.Body()) == 0 {
		c.final(r, 200, "OK", c.p.phoneSDP(c.audio.addr(), c.audio.format(), "sendrecv", version))
		return
	}
	f, err := c.p.readPhoneSDP(r.Body(), false)
	if err != nil {
		c.final(r, 488, "Not Acceptable Here", nil)
		return
	}
	c.audio.use(f)
	c.final(r, 200, "OK", c.p.phoneSDP(c.audio.addr(), f, direction(f), version))
}

// takeInfo reads a digit (application/dtmf-relay, application/dtmf).
func (c *PhoneCall) takeInfo(r *msg.Request) {
	for l := range strings.Lines(string(r.Body())) {
		k, v, ok := strings.Cut(strings.TrimSpace(l), "=")
		if !ok {
			k, v = "Signal", strings.TrimSpace(l)
		}
		if strings.EqualFold(strings.TrimSpace(k), "Signal") && len(strings.TrimSpace(v)) == 1 {
			c.audio.gotDigit(strings.TrimSpace(v)[0])
			break
		}
	}
	c.p.reply(r, c, 200, "OK", nil)
}
