package sip

import (
	"context"
	"net/netip"
	"strings"
	"time"

	msg "github.com/emiago/sipgo/sip"
)

// A NAT forgets a UDP mapping after 30 s without traffic (RFC 5626 §4.4.2 advises 24–29 s), and a phone refreshes its
// registration only every few minutes: in between it could not be rung.
const (
	keepAliveEvery   = 25 * time.Second
	keepAliveTick    = time.Second
	keepAliveTimeout = 4 * time.Second
	// keepAliveAtOnce are sent per tick at most; with the timeout it bounds what is under way.
	keepAliveAtOnce = 64
)

// natted tells that a phone registered from another address than it believes to have.
func (b *binding) natted() bool {
	a, err := netip.ParseAddr(strings.Trim(b.uri.Host, "[]"))
	return err != nil || netip.AddrPortFrom(a.Unmap(), defaultPort(b.uri.Port)) != b.flow.addr
}

// due returns devices behind a NAT that nothing was sent to for keepAliveEvery, and counts them as served. What is over the
// limit waits for the next call.
func (r *registrar) due(now time.Time, limit int) []binding {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []binding
	for _, bs := range r.m {
		for i := range bs {
			b := &bs[i]
			if len(out) == limit {
				return out
			}
			if b.expires.After(now) && now.Sub(b.kept) >= keepAliveEvery && b.natted() {
				b.kept = now
				out = append(out, *b)
			}
		}
	}
	return out
}

// keepAlive keeps the NATs before registered phones open until the endpoint stops.
func (e *Endpoint) keepAlive() {
	t := time.NewTicker(keepAliveTick)
	defer t.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-t.C:
			e.keepAliveOnce()
		}
	}
}

// keepAliveOnce asks with OPTIONS rather than CRLF: many NATs count only what comes from inside, and this gets an answer.
// What it says is no matter.
func (e *Endpoint) keepAliveOnce() {
	defer e.fence("keep-alive")
	for _, b := range e.registrar.due(e.cfg.Now(), keepAliveAtOnce) {
		e.spawn("keep-alive", func() {
			ctx, cancel := context.WithTimeout(e.ctx, keepAliveTimeout)
			defer cancel()
			_, _ = e.do(ctx, e.options(b.uri, "deskbridge", b.flow), b.flow)
		})
	}
}

// options asks whether somebody is there.
func (e *Endpoint) options(uri msg.Uri, ourUser string, f flow) *msg.Request {
	req := msg.NewRequest(msg.OPTIONS, *uri.Clone())
	from := msg.Uri{Scheme: "sip", User: ourUser, Host: uriHost(e.host(f.addr))}
	appendIDs(req, token(12), msg.FromHeader{Address: from}, token(8), msg.ToHeader{Address: uri}, "", randomSeq())
	req.AppendHeader(e.contact(ourUser, f))
	req.AppendHeader(msg.NewHeader("User-Agent", e.cfg.UserAgent))
	req.SetBody(nil)
	e.address(req, f, newBranch())
	return req
}
