package sip

import (
	"log/slog"
	"net/netip"
	"strconv"
	"time"

	msg "github.com/emiago/sipgo/sip"
)

// onRegister serves phones (RFC 3261 §10.3).
func (e *Endpoint) onRegister(in *inbound) {
	user, ok := e.login(in)
	if !ok {
		return
	}
	// A phone registers itself only: the address of record must be the account.
	if to := in.req.To(); to.Address.User != user {
		in.refuse(reply{status: 403, phrase: "Not Your Address"}, "address_of_record")
		return
	}
	u, bad := parseUpdate(in.req, flow{transport: in.transport, addr: in.src, reuse: true})
	if bad.status != 0 {
		var extra []msg.Header
		if bad.status == 423 {
			extra = append(extra, msg.NewHeader("Min-Expires", strconv.Itoa(int(minExpires/time.Second))))
		}
		in.respond(bad, nil, extra...)
		return
	}
	now := e.cfg.Now()
	bound, ok := e.registrar.apply(user, u, now)
	if !ok {
		in.respond(reply{status: 500, phrase: "Out Of Order"}, nil)
		return
	}
	if in.transport == "TCP" && len(bound) > 0 {
		e.trustConn(in.src)
	}
	in.respond(reply{status: 200, phrase: "OK"}, nil, boundHeaders(bound, now)...)
}

func boundHeaders(bs []binding, now time.Time) []msg.Header {
	var out []msg.Header
	for _, b := range bs {
		left := int((b.expires.Sub(now) + time.Second - 1) / time.Second)
		out = append(out, &msg.ContactHeader{
			Address: *b.uri.Clone(), Params: msg.HeaderParams{{K: "expires", V: strconv.Itoa(left)}},
		})
	}
	return out
}

func (e *Endpoint) trustConn(a netip.AddrPort) {
	for _, l := range e.tcp {
		if c := l.get(a); c != nil {
			c.trust()
		}
	}
}

// login authenticates a request as one of our phones, or answers it.
func (e *Endpoint) login(in *inbound) (user string, ok bool) {
	phones := e.view.Load().phones
	if len(phones) == 0 {
		in.refuse(reply{status: 403, phrase: "Forbidden"}, "no_phones")
		return "", false
	}
	now := e.cfg.Now()
	user, verdict := e.digest.check(in.req, in.src.Addr(), now, func(u string) (Secret, bool) {
		if p, ok := phones[u]; ok {
			return p.cfg.Password, true
		}
		return "no such phone", false // hashed all the same: an unknown user must cost what a wrong password costs
	})
	switch verdict {
	case loginOK:
		return user, true
	case loginBad:
		in.refuse(reply{status: 400, phrase: "Bad Authorization"}, "bad_authorization")
	case loginLocked:
		in.refuse(reply{status: 403, phrase: "Too Many Failures", retryAfter: int(loginWindow / time.Second)}, "login_locked")
	default:
		if verdict == loginFailed {
			e.metrics.refused.WithLabelValues("login_failed").Inc()
			e.logLimited(slog.LevelWarn, "SIP login failed", slog.Any("user", masked(headerText(user))),
				slog.String("source", in.src.Addr().String()))
		}
		in.refuse(reply{status: 401, phrase: "Unauthorized"}, "",
			e.digest.challengeHeaders(now, in.req, in.src.Addr(), verdict == loginStale)...)
	}
	return "", false
}
