package sip

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	msg "github.com/emiago/sipgo/sip"
)

// Limits of the registrar.
const (
	maxContacts   = 5 // devices per phone
	minExpires    = 60 * time.Second
	maxExpires    = time.Hour
	defaultExpire = time.Hour
)

// binding is one device of a phone. Requests go to flow, the address it registered from (RFC 3581, RFC 5626 in spirit):
// what its Contact says is only the Request-URI.
type binding struct {
	uri     msg.Uri
	flow    flow
	callID  string
	seq     uint32
	expires time.Time
	agent   string
	kept    time.Time // when something last crossed the NAT before it
}

// Registration is a device as operators see it.
type Registration struct {
	User    string    `json:"user"`
	Contact string    `json:"contact"`
	Source  string    `json:"source"`
	Agent   string    `json:"agent,omitempty"`
	Expires time.Time `json:"expires"`
}

// registrar keeps the devices registered with us (RFC 3261 §10.3). It is pure but for the mutex: time comes in.
type registrar struct {
	mu      sync.Mutex
	m       map[string][]binding
	ips     map[netip.Addr]int // how many bindings come from an address
	changed func(n int)
}

func newRegistrar(changed func(int)) *registrar {
	return &registrar{m: map[string][]binding{}, ips: map[netip.Addr]int{}, changed: changed}
}

// contactUpdate is one Contact of a REGISTER.
type contactUpdate struct {
	uri msg.Uri
	ttl time.Duration // 0 removes
}

// update is a REGISTER as the registrar understands it.
type update struct {
	contacts []contactUpdate
	wildcard bool // "Contact: *" with Expires: 0
	callID   string
	seq      uint32
	flow     flow
	agent    string
}

// parseUpdate reads a REGISTER. The reply is set (status not 0) when it must be refused.
func parseUpdate(req *msg.Request, f flow) (update, reply) {
	u := update{callID: req.CallID().Value(), seq: req.CSeq().SeqNo, flow: f}
	if h := req.GetHeader("user-agent"); h != nil {
		u.agent = headerText(h.Value())
	}
	general, ok := expiresHeader(req)
	if !ok {
		return u, reply{status: 400, phrase: "Bad Expires"}
	}
	for _, h := range req.GetHeaders("contact") {
		c, isContact := h.(*msg.ContactHeader)
		if !isContact {
			return u, reply{status: 400, phrase: "Bad Contact"}
		}
		if c.Address.Wildcard {
			u.wildcard = true
			continue
		}
		if len(u.contacts) == maxContacts {
			return u, reply{status: 400, phrase: "Too Many Contacts"}
		}
		ttl := general
		if v, has := c.Params.Get("expires"); has {
			if ttl, ok = seconds(v); !ok {
				return u, reply{status: 400, phrase: "Bad Expires"}
			}
		}
		if ttl > 0 && ttl < minExpires {
			return u, reply{status: 423, phrase: "Interval Too Brief"}
		}
		if c.Address.Scheme != "sip" || c.Address.Host == "" || len(c.Address.String()) > 2*maxText {
			return u, reply{status: 400, phrase: "Bad Contact"}
		}
		u.contacts = append(u.contacts, contactUpdate{uri: *c.Address.Clone(), ttl: min(ttl, maxExpires)})
	}
	if u.wildcard && (len(u.contacts) > 0 || general != 0 || req.GetHeader("expires") == nil) { // RFC 3261 §10.3 step 6
		return u, reply{status: 400, phrase: "Bad Wildcard"}
	}
	return u, reply{}
}

func expiresHeader(req *msg.Request) (time.Duration, bool) {
	h := req.GetHeader("expires")
	if h == nil {
		return defaultExpire, true
	}
	return seconds(h.Value())
}

// seconds reads delta-seconds; huge values are valid and mean very long (RFC 3261 §25.1).
func seconds(v string) (time.Duration, bool) {
	v = strings.TrimSpace(v)
	if v == "" || len(v) > 20 || strings.Trim(v, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil {
		return maxExpires, true
	}
	return min(time.Duration(n)*time.Second, 24*time.Hour), true
}

// apply changes a phone's bindings, all or nothing, and returns what is bound now. False: out of order (RFC 3261 §10.3
// step 7: a lower CSeq of the same Call-ID).
func (r *registrar) apply(user string, u update, now time.Time) ([]binding, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := live(r.m[user], now)
	for _, b := range old {
		if b.callID == u.callID && u.seq <= b.seq && (u.wildcard || touches(u, b)) {
			return old, false
		}
	}
	next := make([]binding, 0, len(old)+len(u.contacts))
	for _, b := range old {
		if !u.wildcard && !touches(u, b) {
			next = append(next, b)
		}
	}
	for _, c := range u.contacts {
		if c.ttl > 0 {
			next = append(next, binding{
				uri: c.uri, flow: u.flow, callID: u.callID, seq: u.seq, expires: now.Add(c.ttl), agent: u.agent, kept: now,
			})
		}
	}
	if len(next) > maxContacts { // the oldest give way: phones that lost their address register as new
		next = next[len(next)-maxContacts:]
	}
	r.set(user, next)
	return next, true
}

func touches(u update, b binding) bool {
	for _, c := range u.contacts {
		if sameContact(c.uri, b.uri) {
			return true
		}
	}
	return false
}

// sameContact compares what tells devices apart: user, host, port and transport (after RFC 3261 §19.1.4).
func sameContact(a, b msg.Uri) bool {
	ta, _ := a.UriParams.Get("transport")
	tb, _ := b.UriParams.Get("transport")
	return a.User == b.User && strings.EqualFold(a.Host, b.Host) && a.Port == b.Port && strings.EqualFold(ta, tb)
}

func live(bs []binding, now time.Time) []binding {
	var out []binding
	for _, b := range bs {
		if b.expires.After(now) {
			out = append(out, b)
		}
	}
	return out
}

// set is called with mu held.
func (r *registrar) set(user string, bs []binding) {
	for _, b := range r.m[user] {
		a := b.flow.addr.Addr()
		if r.ips[a]--; r.ips[a] <= 0 {
			delete(r.ips, a)
		}
	}
	for _, b := range bs {
		r.ips[b.flow.addr.Addr()]++
	}
	if len(bs) == 0 {
		delete(r.m, user)
	} else {
		r.m[user] = bs
	}
	n := 0
	for _, b := range r.m {
		n += len(b)
	}
	r.changed(n)
}

// contacts returns a phone's devices.
func (r *registrar) contacts(user string, now time.Time) []binding {
	r.mu.Lock()
	defer r.mu.Unlock()
	return live(r.m[user], now)
}

// drop forgets a phone.
func (r *registrar) drop(user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set(user, nil)
}

// knows tells whether a phone is registered from the address.
func (r *registrar) knows(a netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ips[a] > 0
}

func (r *registrar) list() []Registration {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Registration
	for user, bs := range r.m {
		for _, b := range bs {
			out = append(out, Registration{
				User: user, Contact: b.uri.String(), Source: b.flow.String(), Agent: b.agent, Expires: b.expires,
			})
		}
	}
	return out
}

// expire forgets devices whose time is up, until ctx ends.
func (r *registrar) expire(ctx context.Context, now func() time.Time) {
	t := time.NewTicker(10 * time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			r.purge(now())
		}
	}
}

func (r *registrar) purge(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for user, bs := range r.m {
		if l := live(bs, now); len(l) != len(bs) {
			r.set(user, l)
		}
	}
}
