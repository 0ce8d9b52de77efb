package simulator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	msg "github.com/emiago/sipgo/sip"

	"deskbridge/media"
)

// PhoneEnd is how a call ended.
type PhoneEnd struct {
	By     string // "phone", "far end", "network", "phone closed"
	Status int    // of the INVITE's final response when the call was never answered
	Reason string // the Reason header of BYE, CANCEL or the response, if any
	Text   string // the response's phrase or the error
}

// PhoneCall is one call on the phone.
type PhoneCall struct {
	p        *Phone
	incoming bool
	id       string
	audio    *phoneAudio

	rang, answered, done chan struct{}

	mu         sync.Mutex
	invite     *msg.Request // as last sent, or as received
	sentTo     string       // where the INVITE went to or came from
	local      msg.FromHeader
	remote     msg.ToHeader
	target     msg.Uri
	route      []string
	cseq       uint32
	acks       map[uint32][]byte            // ACKs sent, for repeated 200s
	waitAck    map[uint32]chan *msg.Request // 200s sent, by CSeq
	progress   bool                         // outgoing: a provisional response came
	gaveUp     bool                         // outgoing: Hangup before the answer
	cancelSent bool
	up         bool
	held       bool // by us
	version    int  // of our SDP
	finish     PhoneEnd
	over       bool
}

func (p *Phone) newCall(id string, incoming bool) (*PhoneCall, error) {
	c := &PhoneCall{
		p: p, id: id, incoming: incoming, version: 1,
		rang: make(chan struct{}), answered: make(chan struct{}), done: make(chan struct{}),
		acks: map[uint32][]byte{}, waitAck: map[uint32]chan *msg.Request{},
	}
	var err error
	if c.audio, err = newPhoneAudio(p); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.byID) >= maxPhoneCalls {
		c.audio.close()
		return nil, errors.New("the phone takes no calls")
	}
	p.byID[id] = c
	return c, nil
}

// ID is the SIP Call-ID.
func (c *PhoneCall) ID() string { return c.id }

// Incoming tells calls that came in from those dialled.
func (c *PhoneCall) Incoming() bool { return c.incoming }

// Header returns a header of the INVITE: what the phone would show or log of an incoming call.
func (c *PhoneCall) Header(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.invite.GetHeader(name); h != nil {
		return h.Value()
	}
	return ""
}

// Ringing is closed when the far end rings (outgoing) or this phone does (incoming).
func (c *PhoneCall) Ringing() <-chan struct{} { return c.rang }

// Answered is closed when the call is answered.
func (c *PhoneCall) Answered() <-chan struct{} { return c.answered }

// Done is closed when the call is over.
func (c *PhoneCall) Done() <-chan struct{} { return c.done }

// End tells how the call ended. It is the zero value before Done.
func (c *PhoneCall) End() PhoneEnd {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.finish
}

// WaitAnswer waits for the answer, and says why there is none.
func (c *PhoneCall) WaitAnswer(ctx context.Context) error {
	select {
	case <-c.answered:
		return nil
	case <-c.done:
		select {
		case <-c.answered:
			return nil
		default:
		}
		e := c.End()
		return fmt.Errorf("not answered: %d %s %s", e.Status, e.Text, e.Reason)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Codec is what the call's audio uses; CodecNone before it is known.
func (c *PhoneCall) Codec() media.Codec { return c.audio.codec() }

// Heard returns what the phone has heard so far, and its sample rate.
func (c *PhoneCall) Heard() (pcm []int16, rate int) { return c.audio.heardSoFar() }

// Digits returns the digits received so far, by RFC 4733 and INFO.
func (c *PhoneCall) Digits() string { return c.audio.digitsSoFar() }

// Stats returns the call's counters.
func (c *PhoneCall) Stats() PhoneStats { return c.audio.statsSoFar() }

// Play changes what the phone says, from now on.
func (c *PhoneCall) Play(s PhoneSource) error { return c.audio.play(s) }

// once closes a channel of the call. The caller holds mu.
func once(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}

func (c *PhoneCall) end(e PhoneEnd) {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	c.over, c.finish = true, e
	c.mu.Unlock()
	c.audio.close()
	c.p.mu.Lock()
	delete(c.p.byID, c.id)
	c.p.mu.Unlock()
	close(c.done)
}

// answerNow marks the call as up.
func (c *PhoneCall) answerNow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up = true
	once(c.rang)
	once(c.answered)
}

// inDialog makes a request within the dialog.
func (c *PhoneCall) inDialog(method msg.RequestMethod) (r *msg.Request, to string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cseq++
	return c.dialogRequest(method, c.cseq)
}

// dialogRequest needs mu.
func (c *PhoneCall) dialogRequest(method msg.RequestMethod, cseq uint32) (r *msg.Request, to string) {
	r = c.p.newRequest(method, *c.target.Clone())
	id := msg.CallIDHeader(c.id)
	r.AppendHeader(msg.HeaderClone(&c.local))
	r.AppendHeader(msg.HeaderClone(&c.remote))
	r.AppendHeader(&id)
	r.AppendHeader(&msg.CSeqHeader{SeqNo: cseq, MethodName: method})
	r.AppendHeader(c.p.contact())
	to = hostPort(c.target)
	for i, v := range c.route {
		r.AppendHeader(msg.NewHeader("Route", v))
		if i == 0 {
			to = routeHost(v, to)
		}
	}
	if len(c.route) == 0 && c.p.cfg.Transport == "tcp" {
		to = c.sentTo // the connection the dialog began on
	}
	r.SetBody(nil)
	return r, to
}

func routeHost(v, otherwise string) string {
	v, _, _ = strings.Cut(strings.Trim(strings.TrimSpace(v), "<"), ">")
	var u msg.Uri
	if err := msg.ParseUri(v, &u); err != nil {
		return otherwise
	}
	return hostPort(u)
}

// Hangup ends the call in whatever state it is: BYE, CANCEL or 603.
func (c *PhoneCall) Hangup(ctx context.Context) error {
	c.mu.Lock()
	over, up := c.over, c.up
	c.mu.Unlock()
	switch {
	case over:
		return nil
	case up:
		return c.bye(ctx)
	case c.incoming:
		return c.Decline(603)
	}
	return c.giveUp(ctx)
}

func (c *PhoneCall) bye(ctx context.Context) error {
	r, to := c.inDialog(msg.BYE)
	c.p.addVia(r)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	res, err := c.p.transact(ctx, r, to, nil)
	c.end(PhoneEnd{By: "phone"})
	if err != nil {
		return fmt.Errorf("hang up: %w", err)
	}
	if !res.IsSuccess() {
		return fmt.Errorf("hang up: %d %s", res.StatusCode, res.Reason)
	}
	return nil
}

// Hold puts the far end on hold by re-INVITE, Resume takes it back.
func (c *PhoneCall) Hold(ctx context.Context) error { return c.reinvite(ctx, "sendonly") }

// Resume ends a hold.
func (c *PhoneCall) Resume(ctx context.Context) error { return c.reinvite(ctx, "sendrecv") }

func (c *PhoneCall) reinvite(ctx context.Context, dir string) error {
	f := c.audio.format()
	if f == nil {
		return errors.New("re-INVITE: no call yet")
	}
	r, to := c.inDialog(msg.INVITE)
	c.mu.Lock()
	c.version++
	r.AppendHeader(msg.NewHeader("Content-Type", "application/sdp"))
	r.SetBody(c.p.phoneSDP(c.audio.addr(), f, dir, c.version))
	c.mu.Unlock()
	c.p.addVia(r)
	res, err := c.p.transact(ctx, r, to, nil)
	if err != nil {
		return fmt.Errorf("re-INVITE: %w", err)
	}
	if !res.IsSuccess() {
		c.p.ackFailure(r, res, to)
		return fmt.Errorf("re-INVITE: %d %s", res.StatusCode, res.Reason)
	}
	c.mu.Lock()
	if h := res.Contact(); h != nil {
		c.target = *h.Address.Clone()
	}
	c.held = dir == "sendonly"
	c.mu.Unlock()
	c.ack(r.CSeq().SeqNo, nil)
	got, err := c.p.readPhoneSDP(res.Body(), true)
	if err != nil {
		return fmt.Errorf("re-INVITE: %w", err)
	}
	c.audio.use(got)
	return nil
}

// ack acknowledges a 200 (RFC 3261 §13.2.2.4) and remembers how.
func (c *PhoneCall) ack(cseq uint32, body []byte) {
	c.mu.Lock()
	r, to := c.dialogRequest(msg.ACK, cseq)
	c.p.addVia(r)
	if body != nil {
		r.AppendHeader(msg.NewHeader("Content-Type", "application/sdp"))
		r.SetBody(body)
	}
	text := []byte(r.String())
	c.acks[cseq] = text
	delete(c.acks, cseq-8)
	c.mu.Unlock()
	_ = c.p.wire.send(c.p.ctx, text, to)
}

func (c *PhoneCall) repeatAck(cseq uint32) {
	c.mu.Lock()
	text := c.acks[cseq]
	_, to := c.dialogRequest(msg.ACK, cseq)
	c.mu.Unlock()
	if text != nil {
		_ = c.p.wire.send(c.p.ctx, text, to)
	}
}

// SendDigits dials digits as RFC 4733 events. It returns when they are on their way, one after the other.
func (c *PhoneCall) SendDigits(digits string) error { return c.audio.dial(digits) }

// SendInfo dials digits by SIP INFO (application/dtmf-relay) and waits for each to be accepted.
func (c *PhoneCall) SendInfo(ctx context.Context, digits string) error {
	for _, d := range digits {
		r, to := c.inDialog(msg.INFO)
		r.AppendHeader(msg.NewHeader("Content-Type", "application/dtmf-relay"))
		r.SetBody(fmt.Appendf(nil, "Signal=%c\r\nDuration=160\r\n", d))
		c.p.addVia(r)
		res, err := c.p.transact(ctx, r, to, nil)
		if err != nil {
			return fmt.Errorf("send digit: %w", err)
		}
		if !res.IsSuccess() {
			return fmt.Errorf("send digit: %d %s", res.StatusCode, res.Reason)
		}
	}
	return nil
}
