package sip

import (
	"context"
	"slices"
	"sync"
	"time"

	msg "github.com/emiago/sipgo/sip"

	"deskbridge/bridge"
)

// firstAnswer is how long all addresses of a peer together have to say anything at all (reliability.md, promise 8).
const firstAnswer = 4 * time.Second

// branch is one INVITE of a leg: a leg rings all devices of a phone at once, a trunk's addresses one after the other.
// Its goroutine outlives the leg until the far end has answered: a CANCEL can cross a 200 (RFC 3261 §9.1).
type branch struct {
	l    *Leg
	to   msg.ToHeader
	from msg.FromHeader
	uri  msg.Uri
	head []msg.Header
	body []byte
	// where gives the addresses to try in order.
	where func(context.Context) ([]flow, error)

	stop     chan struct{}
	stopOnce sync.Once
	why      bridge.Cause // before stop is closed

	mu     sync.Mutex
	dialog *dialog
	via    string // of the INVITE under way, for CANCEL after a crash
}

// outcome of one INVITE.
type outcome struct {
	answered bool
	cause    bridge.Cause
	next     bool // another address may do better
}

// cancel asks the branch to give up. It answers nothing: the leg does not wait.
func (b *branch) cancel(c bridge.Cause) {
	b.stopOnce.Do(func() {
		b.why = c
		close(b.stop)
	})
}

func (b *branch) stopped() bool {
	select {
	case <-b.stop:
		return true
	default:
		return false
	}
}

// save is the branch for LegRecord: its dialog and the Via a CANCEL needs.
func (b *branch) save() (savedDialog, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dialog == nil {
		return savedDialog{}, false
	}
	s := b.dialog.save(b.l.party.name)
	s.Via, s.URI = b.via, b.uri.String()
	return s, true
}

// run tries the addresses and reports one result to the leg.
func (b *branch) run() {
	e := b.l.e
	defer e.legs.end()
	through := false
	defer func() {
		if !through { // a panic on its way to the fence: without this the leg would ring until somebody gives up
			b.l.failed(b, bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonInternal})
		}
	}()
	ctx, cancel := context.WithTimeout(e.ctx, firstAnswer)
	flows, err := b.where(ctx)
	cancel()
	last := outcome{cause: bridge.Cause{Fault: bridge.FaultUpstream, Reason: bridge.ReasonUnreachable}}
	if err != nil {
		last.cause.Text = headerText(err.Error())
	}
	deadline := time.Now().Add(firstAnswer)
	for i, f := range flows {
		if b.stopped() {
			break
		}
		wait := max(time.Until(deadline)/time.Duration(len(flows)-i), 500*time.Millisecond)
		last = b.invite(f, wait)
		if last.answered || !last.next {
			break
		}
	}
	through = true
	if !last.answered {
		b.l.failed(b, last.cause)
	}
}

// failed reports that a branch is through. The loop may be gone.
func (l *Leg) failed(b *branch, c bridge.Cause) {
	l.post(happening{kind: hapFailed, branch: b, cause: c})
}

// invite sends the INVITE to one address and follows it to its end, authentication included.
func (b *branch) invite(f flow, wait time.Duration) outcome {
	e := b.l.e
	d := &dialog{
		callID: token(16), localTag: token(8), local: b.from.Address, remote: b.to.Address, target: b.uri,
		localSeq: randomSeq(), flow: f,
	}
	b.mu.Lock()
	b.dialog = d
	b.mu.Unlock()
	e.legs.bind(d, b.l, true)
	keep := false
	defer func() {
		if !keep {
			e.legs.unbind(d, true)
		}
	}()
	var auth attempt
	var challenge *msg.Response
	for {
		req := b.request(d)
		if challenge != nil {
			if err := b.l.party.creds.authorize(req, challenge, &auth); err != nil {
				c := causeOf(challenge.StatusCode, challenge.Reason, 0)
				c.Text = err.Error()
				return outcome{cause: c}
			}
		}
		res, out := b.transact(d, req, f, wait)
		if res != nil && (res.StatusCode == 401 || res.StatusCode == 407) && !b.stopped() {
			challenge = res
			continue
		}
		keep = out.answered
		return out
	}
}

// request is the INVITE itself.
func (b *branch) request(d *dialog) *msg.Request {
	seq := d.next()
	req := msg.NewRequest(msg.INVITE, *b.uri.Clone())
	from := b.from
	appendIDs(req, d.callID, from, d.localTag, b.to, "", seq)
	f := d.where()
	req.AppendHeader(b.l.e.contact("deskbridge", f))
	for _, h := range b.head {
		req.AppendHeader(msg.HeaderClone(h))
	}
	req.AppendHeader(msg.NewHeader("Allow", allowedMethods))
	req.AppendHeader(msg.NewHeader("User-Agent", b.l.e.cfg.UserAgent))
	req.AppendHeader(msg.NewHeader("Content-Type", "application/sdp"))
	req.SetBody(b.body)
	return req
}

// transact runs one INVITE transaction. The response is the final one if there was one.
func (b *branch) transact(d *dialog, req *msg.Request, f flow, wait time.Duration) (*msg.Response, outcome) {
	e := b.l.e
	e.address(req, f, newBranch())
	ctx, cancel := context.WithTimeout(e.ctx, wait)
	defer cancel()
	if p := e.pick(ctx, req, f); p != f {
		f = p
		d.mu.Lock()
		d.flow = f
		d.mu.Unlock()
		e.address(req, f, newBranch())
	}
	b.mu.Lock()
	b.via = req.Via().Value()
	b.mu.Unlock()
	w := &waiting{b: b, d: d, req: req, f: f}
	tx, err := e.start(ctx, req, f, w.again)
	if err != nil {
		return nil, outcome{next: true, cause: bridge.Cause{
			Fault: bridge.FaultUpstream, Reason: bridge.ReasonUnreachable, Text: headerText(err.Error()),
		}}
	}
	w.tx = tx
	res, out := w.follow(wait)
	class := "none"
	if res != nil {
		class = statusClass(res.StatusCode)
	}
	e.metrics.sent.WithLabelValues("INVITE", class).Inc()
	return res, out
}

// waiting is an INVITE under way.
type waiting struct {
	b   *branch
	d   *dialog
	req *msg.Request
	f   flow
	tx  *msg.ClientTx

	heard bool // anything came: only now may a CANCEL be sent (RFC 3261 §9.1)
	early []byte

	mu  sync.Mutex
	tag string       // of the 2xx taken
	ack *msg.Request // sent for it, repeated with every repetition of the 2xx
}

// follow waits for the final answer. When the branch is stopped it sends CANCEL and goes on waiting, for 64·T1.
func (w *waiting) follow(wait time.Duration) (*msg.Response, outcome) {
	e, b := w.b.l.e, w.b
	silent := time.NewTimer(wait)
	defer silent.Stop()
	var giveUp <-chan time.Time
	stop := b.stop
	for {
		select {
		case res := <-w.tx.Responses():
			if !w.heard {
				w.heard = true
				silent.Stop()
				if stop == nil { // it was stopped before anything came
					w.cancel()
				}
			}
			if res.IsProvisional() {
				w.provisional(res)
				continue
			}
			return res, w.final(res)
		case <-silent.C:
			if !w.heard {
				w.tx.Terminate()
				return nil, outcome{next: true, cause: bridge.Cause{
					Fault: bridge.FaultUpstream, Reason: bridge.ReasonUnreachable, Text: "no answer to INVITE",
				}}
			}
		case <-stop:
			stop = nil
			giveUp = time.After(64 * e.t1())
			if w.heard {
				w.cancel()
			}
		case <-w.tx.Done():
			return nil, outcome{next: !w.heard, cause: bridge.Cause{Fault: bridge.FaultUpstream, Reason: bridge.ReasonUnreachable}}
		case <-giveUp:
			w.tx.Terminate()
			return nil, outcome{cause: b.why}
		case <-e.ctx.Done():
			w.tx.Terminate()
			return nil, outcome{cause: bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonDrain}}
		}
	}
}

func (w *waiting) provisional(res *msg.Response) {
	if res.StatusCode == 100 {
		return
	}
	if len(res.Body()) > 0 {
		w.early = slices.Clone(res.Body()) // a peer that puts its answer here may leave it out of the 200
	}
	if to := res.To(); to != nil && to.Params.Has("tag") {
		w.d.confirm(res)
	}
	w.b.l.post(happening{kind: hapProvisional, branch: w.b})
}

// final handles the final answer: ACK to a 2xx is ours, to anything else sipgo's.
func (w *waiting) final(res *msg.Response) outcome {
	if !res.IsSuccess() {
		c := causeOf(res.StatusCode, res.Reason, retryAfterOf(res))
		if r := reasonText(res); r != "" {
			c.Text = r
		}
		return outcome{cause: c, next: res.StatusCode == 503 || res.StatusCode == 408}
	}
	if res.To() == nil || res.From() == nil || res.CallID() == nil { // no dialog can be made of it (RFC 3261 §8.1.1)
		return outcome{cause: bridge.Cause{Fault: bridge.FaultUpstream, Reason: bridge.ReasonUpstream, Text: "malformed answer to INVITE"}}
	}
	w.d.confirm(res)
	w.mu.Lock()
	w.tag, _ = res.To().Params.Get("tag")
	w.ack = w.makeAck(w.d)
	w.mu.Unlock()
	_ = w.b.l.e.write(w.ack)
	if !w.b.l.claim(w.b, w.d) {
		w.b.l.e.bye(w.d, w.b.l.party, w.b.giveUpCause())
		return outcome{cause: w.b.giveUpCause()}
	}
	if len(res.Body()) == 0 && w.early != nil {
		res.SetBody(w.early)
	}
	if !w.b.l.post(happening{kind: hapAnswer, branch: w.b, res: res}) {
		w.b.l.Hangup(bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonInternal})
	}
	return outcome{answered: true}
}

func (b *branch) giveUpCause() bridge.Cause {
	if b.stopped() {
		return b.why
	}
	return bridge.Cause{Fault: bridge.FaultNobody, Reason: bridge.ReasonAnsweredElsewhere}
}

// makeAck builds the ACK to a 2xx: a request of the dialog with the CSeq of the INVITE (RFC 3261 §13.2.2.4).
func (w *waiting) makeAck(d *dialog) *msg.Request {
	e := w.b.l.e
	ack := d.request(msg.ACK, w.req.CSeq().SeqNo)
	for _, name := range []string{"Authorization", "Proxy-Authorization"} { // RFC 3261 §22.3
		if h := w.req.GetHeader(name); h != nil {
			ack.AppendHeader(msg.HeaderClone(h))
		}
	}
	ack.SetBody(nil)
	e.address(ack, e.nextHop(d, w.b.l.party), newBranch())
	return ack
}

// again is another 2xx to the INVITE: the same one repeated, or that of another device behind a forking proxy, which gets
// ACK and BYE (RFC 3261 §13.2.2.4).
func (w *waiting) again(res *msg.Response) {
	tag := ""
	if to := res.To(); to != nil {
		tag, _ = to.Params.Get("tag")
	}
	w.mu.Lock()
	ack, same := w.ack, tag == w.tag
	w.mu.Unlock()
	if ack == nil {
		return
	}
	e := w.b.l.e
	if same {
		_ = e.write(ack)
		return
	}
	fork := w.d.fork(res)
	_ = e.write(w.makeAck(fork))
	e.spawn("bye to fork", func() {
		e.bye(fork, w.b.l.party, bridge.Cause{Fault: bridge.FaultNobody, Reason: bridge.ReasonAnsweredElsewhere})
	})
}

// cancel sends CANCEL for the INVITE (RFC 3261 §9.1) with the reason (RFC 3326).
func (w *waiting) cancel() {
	e := w.b.l.e
	req := cancelOf(w.req, endReason(w.b.why))
	e.aim(req, w.f)
	e.legs.begin()
	if !e.spawn("cancel", func() {
		defer e.legs.end()
		ctx, cancel := context.WithTimeout(e.ctx, 64*e.t1())
		defer cancel()
		_, _ = e.do(ctx, req, w.f)
	}) {
		e.legs.end()
	}
}

// cancelOf builds the CANCEL of an INVITE: same Via, Request-URI, Call-ID, From, To and CSeq number.
func cancelOf(invite *msg.Request, reason string) *msg.Request {
	req := msg.NewRequest(msg.CANCEL, *invite.Recipient.Clone())
	req.AppendHeader(invite.Via().Clone())
	msg.CopyHeaders("Route", invite, req)
	mf := msg.MaxForwardsHeader(70)
	req.AppendHeader(&mf)
	req.AppendHeader(msg.HeaderClone(invite.From()))
	req.AppendHeader(msg.HeaderClone(invite.To()))
	id := *invite.CallID()
	req.AppendHeader(&id)
	req.AppendHeader(&msg.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: msg.CANCEL})
	if reason != "" {
		req.AppendHeader(msg.NewHeader("Reason", reason))
	}
	req.SetBody(nil)
	return req
}
