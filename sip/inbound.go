package sip

import (
	"log/slog"
	"net/netip"
	"strconv"
	"strings"

	msg "github.com/emiago/sipgo/sip"

	"github.com/emiago/sipgo"
)

const allowedMethods = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"

// inbound is a request that passed the checks every request must pass.
type inbound struct {
	e         *Endpoint
	req       *msg.Request
	tx        msg.ServerTransaction
	src       netip.AddrPort
	transport string
	trunk     *Trunk // set when it came from a trunk's address
}

// routes tells sipgo which handler serves which method.
func (e *Endpoint) routes() {
	for method, h := range map[msg.RequestMethod]func(*inbound){
		msg.INVITE: e.onInvite, msg.ACK: e.onAck, msg.BYE: e.onInDialog, msg.UPDATE: e.onInDialog, msg.INFO: e.onInDialog,
		msg.CANCEL: e.onStrayCancel, msg.OPTIONS: e.onOptions, msg.REGISTER: e.onRegister, msg.REFER: e.onInDialog,
		msg.PRACK: e.onInDialog, msg.NOTIFY: e.onInDialog, msg.MESSAGE: e.onUnsupported, msg.SUBSCRIBE: e.onUnsupported,
		msg.PUBLISH: e.onUnsupported,
	} {
		e.srv.OnRequest(method, e.handler(h))
	}
	e.srv.OnNoRoute(e.handler(e.onUnknown))
}

// handler wraps a method's handler: panic fence, life, rate on streams, and the checks of RFC 3261 §8.2 that make the
// rest safe to read.
func (e *Endpoint) handler(h func(*inbound)) sipgo.RequestHandler {
	return func(req *msg.Request, tx msg.ServerTransaction) {
		defer e.fence("request " + methodLabel(string(req.Method)))
		if !e.enter() {
			return
		}
		defer e.wg.Done()
		in := &inbound{e: e, req: req, tx: tx, src: parseSource(req.Source()), transport: strings.ToUpper(req.Transport())}
		if in.transport != "UDP" && !e.admit(in.src.Addr()) {
			e.hangUpConn(in.src)
			return
		}
		if why, status := in.malformed(); why != "" {
			e.metrics.refused.WithLabelValues("malformed").Inc()
			e.logLimited(slog.LevelInfo, "malformed SIP request", slog.String("err", why), slog.String("source", in.src.Addr().String()))
			if status != 0 && !req.IsAck() {
				in.refuse(reply{status: status, phrase: why}, "")
			} else {
				tx.Terminate()
			}
			return
		}
		in.trunk = e.trunkAt(in.src)
		h(in)
	}
}

// malformed says what is wrong with a request, and the status to answer; 0 for none, when an answer would repeat it.
func (in *inbound) malformed() (why string, status int) {
	r := in.req
	if n := len(r.Headers()); n > maxHeaders {
		return "Too Many Headers", 400
	}
	for _, h := range r.Headers() {
		v := h.Value()
		if strings.ContainsAny(v, "\r\n\x00") || strings.ContainsAny(h.Name(), "\r\n\x00") {
			return "Control Character In Header", 0
		}
		if len(v) > maxHeaderLine {
			return "Header Too Long", 400
		}
	}
	if !in.src.IsValid() || r.Via() == nil {
		return "No Via", 0
	}
	from, to, id, seq := r.From(), r.To(), r.CallID(), r.CSeq()
	if from == nil || to == nil || id == nil || seq == nil {
		return "Missing Header", 400
	}
	tag, _ := from.Params.Get("tag")
	toTag, _ := to.Params.Get("tag")
	switch {
	case r.SipVersion != "SIP/2.0":
		return "Version Not Supported", 505
	case string(seq.MethodName) != string(r.Method):
		return "CSeq Method Mismatch", 400
	case id.Value() == "" || len(id.Value()) > maxText || tag == "" || len(tag) > maxID || len(toTag) > maxID:
		return "Bad Call-ID Or Tag", 400
	case r.Recipient.Scheme != "sip" && r.Recipient.Scheme != "sips" && r.Recipient.Scheme != "tel":
		return "Unsupported URI Scheme", 416
	case r.ContentLength() != nil && int(*r.ContentLength()) != len(r.Body()):
		return "Bad Content-Length", 400
	}
	return "", 0
}

func (e *Endpoint) hangUpConn(a netip.AddrPort) {
	for _, l := range e.tcp {
		if c := l.get(a); c != nil {
			_ = c.Close()
		}
	}
}

// response builds an answer. Allow and Supported are where RFC 3261 wants them.
func (in *inbound) response(r reply, body []byte, extra ...msg.Header) *msg.Response {
	res := msg.NewResponseFromRequest(in.req, r.status, r.phrase, nil)
	if via := res.Via(); via != nil && via.Host != in.src.Addr().String() {
		via.Params.Add("received", in.src.Addr().String()) // RFC 3261 §18.2.1
	}
	if r.status == 405 || (in.req.Method == msg.OPTIONS || in.req.IsInvite()) && r.status/100 == 2 {
		res.AppendHeader(msg.NewHeader("Allow", allowedMethods))
	}
	if r.reason != "" {
		res.AppendHeader(msg.NewHeader("Reason", r.reason))
	}
	if r.warning != "" {
		res.AppendHeader(msg.NewHeader("Warning", r.warning))
	}
	if r.retryAfter > 0 {
		res.AppendHeader(msg.NewHeader("Retry-After", strconv.Itoa(r.retryAfter)))
	}
	for _, h := range extra {
		res.AppendHeader(h)
	}
	res.AppendHeader(msg.NewHeader("Server", in.e.cfg.UserAgent))
	if body != nil {
		res.AppendHeader(msg.NewHeader("Content-Type", "application/sdp"))
	}
	res.SetBody(body)
	return res
}

// respond answers a request.
func (in *inbound) respond(r reply, body []byte, extra ...msg.Header) *msg.Response {
	res := in.response(r, body, extra...)
	in.send(res)
	return res
}

func (in *inbound) send(res *msg.Response) {
	if res.StatusCode >= 200 {
		in.e.metrics.requests.WithLabelValues(methodLabel(string(in.req.Method)), statusClass(res.StatusCode)).Inc()
	}
	if err := in.tx.Respond(res); err != nil {
		in.e.logLimited(slog.LevelDebug, "SIP answer not sent", slog.String("err", cut(err.Error())))
	}
}

// refuse answers once and forgets: strangers get at most one packet per packet, so no retransmissions of our answer.
func (in *inbound) refuse(r reply, why string, extra ...msg.Header) {
	if why != "" {
		in.e.metrics.refused.WithLabelValues(why).Inc()
	}
	in.respond(r, nil, extra...)
	in.tx.Terminate()
}

// known tells whether the sender is a trunk or an address a phone is registered from.
func (in *inbound) known() bool { return in.trunk != nil || in.e.registrar.knows(in.src.Addr()) }

func (e *Endpoint) onOptions(in *inbound) {
	if _, has := in.req.To().Params.Get("tag"); has {
		e.onInDialog(in)
		return
	}
	r := reply{status: 200, phrase: "OK"}
	if !in.known() {
		in.refuse(r, "", msg.NewHeader("Accept", "application/sdp"))
		return
	}
	in.respond(r, nil, msg.NewHeader("Accept", "application/sdp"))
}

func (e *Endpoint) onUnsupported(in *inbound) {
	in.refuse(reply{status: 405, phrase: "Method Not Allowed"}, "method")
}

func (e *Endpoint) onUnknown(in *inbound) {
	in.refuse(reply{status: 501, phrase: "Not Implemented"}, "method", msg.NewHeader("Allow", allowedMethods))
}

// onStrayCancel is a CANCEL whose INVITE is unknown: sipgo serves the others (RFC 3261 §9.2).
func (e *Endpoint) onStrayCancel(in *inbound) {
	in.refuse(reply{status: 481, phrase: "Call/Transaction Does Not Exist"}, "")
}
