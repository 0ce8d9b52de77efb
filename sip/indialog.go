package sip

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	msg "github.com/emiago/sipgo/sip"

	"deskbridge/bridge"
	"deskbridge/media"
)

// dialogRequest is a request inside a dialog on its way through the leg's loop. Exactly one side answers it.
type dialogRequest struct {
	in      *inbound
	claimed atomic.Bool
	done    chan struct{}
	ok      *msg.Response // the 2xx to a re-INVITE, to be repeated until its ACK
}

func (d *dialogRequest) claim() bool { return d.claimed.CompareAndSwap(false, true) }

// onInDialog brings a request to its leg and stays with it until it is answered.
func (e *Endpoint) onInDialog(in *inbound) {
	tag, _ := in.req.To().Params.Get("tag")
	l := e.legs.find(in.req.CallID().Value(), tag)
	if l == nil || !l.owns(in) {
		in.refuse(reply{status: 481, phrase: "Call/Transaction Does Not Exist"}, "")
		return
	}
	if in.req.IsInvite() || in.req.Method == msg.UPDATE {
		l.letAckPass()
	}
	d := &dialogRequest{in: in, done: make(chan struct{})}
	if l.post(happening{kind: hapRequest, req: d}) {
		select {
		case <-d.done:
		case <-l.done:
		}
	}
	if d.claim() {
		in.respond(reply{status: 481, phrase: "Call/Transaction Does Not Exist"}, nil)
		return
	}
	<-d.done
	if d.ok != nil {
		l.confirm(in, d.ok)
	}
}

// letAckPass gives an ACK that came just before a new offer the time to be seen first: sipgo handles every message in a
// goroutine of its own, so on one socket they can overtake each other, and the offer would get a needless 491.
func (l *Leg) letAckPass() {
	for range 20 {
		l.mu.Lock()
		waiting := len(l.acks) > 0
		l.mu.Unlock()
		if !waiting {
			return
		}
		select {
		case <-l.done:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// owns checks that a request comes from the far end of the dialog: its tag, and its address. Tags travel in clear, so on
// an open network they alone prove little.
func (l *Leg) owns(in *inbound) bool {
	l.mu.Lock()
	d := l.dialog
	l.mu.Unlock()
	tag, _ := in.req.From().Params.Get("tag")
	if d == nil {
		return l.fromParty(in)
	}
	return d.matches(tag) && (l.fromParty(in) || d.where().addr.Addr() == in.src.Addr())
}

func (l *Leg) fromParty(in *inbound) bool {
	if l.party.isTrunk {
		return in.trunk != nil && in.trunk.cfg.Name == l.party.name
	}
	return in.known()
}

// request handles one request inside the dialog, in the loop.
func (l *Leg) request(d *dialogRequest) {
	if !d.claim() {
		return
	}
	defer close(d.done)
	in := d.in
	dlg := l.current()
	if dlg == nil {
		l.early(in)
		return
	}
	if !dlg.accepts(in.req.CSeq().SeqNo) {
		in.respond(reply{status: 500, phrase: "Out Of Order", retryAfter: 1}, nil)
		return
	}
	if bad := required(in.req); bad != "" && in.req.Method != msg.BYE {
		in.respond(reply{status: 420, phrase: "Bad Extension"}, nil, msg.NewHeader("Unsupported", bad))
		return
	}
	switch in.req.Method {
	case msg.BYE:
		in.respond(reply{status: 200, phrase: "OK"}, nil)
		l.step(inBye, l.byeCause(in.req))
	case msg.INVITE, msg.UPDATE:
		l.reoffer(d, dlg)
	case msg.INFO:
		l.info(in)
	case msg.OPTIONS:
		in.respond(reply{status: 200, phrase: "OK"}, nil)
	case msg.REFER: // transfer is not offered yet
		in.respond(reply{status: 603, phrase: "Decline"}, nil)
	default:
		in.respond(reply{status: 405, phrase: "Method Not Allowed"}, nil)
	}
}

func (l *Leg) byeCause(req *msg.Request) bridge.Cause {
	if l.state == stIncoming || l.state == stAlerting {
		return bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonCancelled, Text: reasonText(req)}
	}
	return byeCause(req, bridge.FaultNobody)
}

func (l *Leg) current() *dialog {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dialog
}

// early serves requests of a far end that rings: our offer is outstanding, so it must not send one (RFC 3311 §5.2).
func (l *Leg) early(in *inbound) {
	switch {
	case in.req.Method == msg.UPDATE && len(in.req.Body()) > 0:
		in.respond(reply{status: 491, phrase: "Request Pending"}, nil)
	case in.req.Method == msg.UPDATE || in.req.Method == msg.INFO || in.req.Method == msg.OPTIONS || in.req.Method == msg.BYE:
		// A BYE from a called party that has not answered is not allowed (RFC 3261 §15.1.2): its INVITE answer decides. But one may
		// overtake that answer.
		if in.req.Method == msg.BYE {
			l.byeFirst = fromTag(in.req)
		}
		in.respond(reply{status: 200, phrase: "OK"}, nil)
	default:
		in.respond(reply{status: 481, phrase: "Call/Transaction Does Not Exist"}, nil)
	}
}

// reoffer serves re-INVITE and UPDATE: hold, resume, codec change, session refresh, target refresh.
func (l *Leg) reoffer(d *dialogRequest, dlg *dialog) {
	in := d.in
	invite := in.req.IsInvite()
	body := in.req.Body()
	switch {
	case l.state == stIncoming || l.state == stAlerting: // our answer to the first INVITE is still due (RFC 3261 §14.2)
		in.respond(reply{status: 500, phrase: "Not Yet", retryAfter: 5}, nil)
		return
	case l.lateRe, l.state == stAnswered && l.offer == nil: // our own offer is outstanding
		in.respond(reply{status: 491, phrase: "Request Pending"}, nil)
		return
	}
	var answer []byte
	var err error
	switch {
	case len(body) > 0:
		if ct := in.req.ContentType(); ct == nil || !isType(ct.Value(), "application/sdp") {
			in.respond(reply{status: 415, phrase: "Unsupported Media Type"}, nil, msg.NewHeader("Accept", "application/sdp"))
			return
		}
		answer, err = l.media.Answer(body)
	case invite:
		answer, err = l.media.Offer()
		l.lateRe = err == nil
	}
	if err != nil { // the session goes on as it was (RFC 3261 §14.2)
		in.respond(sdpReply(err), nil)
		return
	}
	dlg.refresh(in.req.Contact())
	if invite {
		l.ackPending(in.req.CSeq().SeqNo)
	}
	res := in.respond(reply{status: 200, phrase: "OK"}, answer, l.contact())
	if invite {
		d.ok = res
	}
	if len(body) > 0 {
		l.noteHold()
		l.noteFormat(true)
	}
}

// acked takes the ACK of our 200, with the answer to a late offer in it.
func (l *Leg) acked(req *msg.Request) {
	late := l.state == stAnswered && l.offer == nil
	if late || l.lateRe {
		l.lateRe = false
		if err := l.media.ApplyAnswer(req.Body()); err != nil {
			l.step(inDead, mediaCause(err))
			return
		}
		if late {
			l.media.Start()
		}
		l.noteFormat(!late)
	}
	l.step(inAcked, bridge.Cause{})
	if l.state == stUp {
		l.noteHold()
	}
}

// info takes digits as SIP INFO; other bodies are acknowledged and ignored (RFC 6086 §4.2.2 would be 469, which breaks
// PBXs that send "application/broadsoft" and the like).
func (l *Leg) info(in *inbound) {
	ct := ""
	if h := in.req.ContentType(); h != nil {
		ct = h.Value()
	}
	if d, ok := infoDigit(ct, in.req.Body()); ok {
		l.tell(bridge.Event{Kind: bridge.EventDigit, Digit: d})
	}
	in.respond(reply{status: 200, phrase: "OK"}, nil)
}

// infoDigit reads application/dtmf-relay ("Signal=5\r\nDuration=160") and application/dtmf ("5").
func infoDigit(contentType string, body []byte) (media.Digit, bool) {
	if len(body) > 256 {
		return 0, false
	}
	text := string(body)
	switch {
	case isType(contentType, "application/dtmf-relay"):
		for line := range strings.Lines(text) {
			k, v, _ := strings.Cut(line, "=")
			if strings.EqualFold(strings.TrimSpace(k), "signal") {
				return digitOf(strings.TrimSpace(v))
			}
		}
	case isType(contentType, "application/dtmf"):
		return digitOf(strings.TrimSpace(text))
	}
	return 0, false
}

func digitOf(s string) (media.Digit, bool) {
	switch s { // some phones send the event number of RFC 4733
	case "10":
		s = "*"
	case "11":
		s = "#"
	}
	if len(s) != 1 || !strings.Contains("0123456789*#ABCD", strings.ToUpper(s)) {
		return 0, false
	}
	return media.Digit(strings.ToUpper(s)[0]), true
}

// sendBye ends the far end's side of the dialog. The BYE outlives the leg.
func (l *Leg) sendBye() {
	d := l.current()
	if d == nil {
		return
	}
	l.e.legs.begin()
	if !l.e.spawn("bye", func() { defer l.e.legs.end(); l.e.bye(d, l.party, l.cause) }) {
		l.e.legs.end()
	}
}

// bye sends a BYE and sees to its answer, a challenge included.
func (e *Endpoint) bye(d *dialog, p party, c bridge.Cause) {
	ctx, cancel := context.WithTimeout(e.ctx, 64*e.t1())
	defer cancel()
	_, _ = e.inDialog(ctx, d, p, msg.BYE, endReason(c))
}

// inDialog sends a request inside a dialog, answering a challenge of a trunk.
func (e *Endpoint) inDialog(ctx context.Context, d *dialog, p party, method msg.RequestMethod, reason string) (*msg.Response, error) {
	f := e.nextHop(d, p)
	var auth attempt
	var challenge *msg.Response
	for range 4 {
		req := d.request(method, d.next())
		if reason != "" {
			req.AppendHeader(msg.NewHeader("Reason", reason))
		}
		req.AppendHeader(msg.NewHeader("User-Agent", e.cfg.UserAgent))
		req.SetBody(nil)
		if challenge != nil {
			if err := p.creds.authorize(req, challenge, &auth); err != nil {
				return challenge, err
			}
		}
		e.address(req, f, newBranch())
		res, err := e.do(ctx, req, f)
		if err != nil || (res.StatusCode != 401 && res.StatusCode != 407) {
			return res, err
		}
		challenge = res
	}
	return challenge, errRefused
}

// nextHop is where requests of a dialog go: what Contact and Record-Route say only when that lies in the trunk's own
// networks, else where the dialog came from. Phones are always reached the way they came (NAT).
func (e *Endpoint) nextHop(d *dialog, p party) flow {
	d.mu.Lock()
	f, uri := d.flow, d.target
	if len(d.routes) > 0 {
		uri = d.routes[0]
	}
	d.mu.Unlock()
	if !p.isTrunk {
		return f
	}
	t, ok := e.Trunk(p.name)
	a, err := netip.ParseAddr(strings.Trim(uri.Host, "[]"))
	if !ok || err != nil || !t.contains(a.Unmap()) || uri.Port < 0 || uri.Port > 65535 {
		return f
	}
	f.addr = netip.AddrPortFrom(a.Unmap(), defaultPort(uri.Port))
	f.transport = "UDP"
	if tp, _ := uri.UriParams.Get("transport"); strings.EqualFold(tp, "tcp") {
		f.transport = "TCP"
	}
	return f
}

func warningHeader(code int, text string) string {
	return fmt.Sprintf(`%d deskbridge "%s"`, code, quoteText(headerText(text)))
}

func phraseOf(status int) string {
	switch status {
	case 400:
		return "Bad Request"
	case 413:
		return "Request Entity Too Large"
	case 415:
		return "Unsupported Media Type"
	case 488:
		return "Not Acceptable Here"
	case 503:
		return "Service Unavailable"
	}
	return "Server Internal Error"
}

// t1 is RFC 3261's round-trip estimate.
func (e *Endpoint) t1() time.Duration {
	if e.timerT1 > 0 {
		return e.timerT1
	}
	return 500 * time.Millisecond
}

func fromTag(r *msg.Request) string {
	if h := r.From(); h != nil {
		tag, _ := h.Params.Get("tag")
		return tag
	}
	return ""
}

func toTag(r *msg.Response) string {
	if h := r.To(); h != nil {
		tag, _ := h.Params.Get("tag")
		return tag
	}
	return ""
}
