package sip

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	msg "github.com/emiago/sipgo/sip"
)

func TestPhonesBehindNATAreAskedForAsLongAsTheyAreRegistered(t *testing.T) {
	var clock atomic.Int64
	clock.Store(time.Now().UnixNano())
	pass := func(d time.Duration) { clock.Add(int64(d)) }
	r := newRig(t, func(c *Config) { c.Now = func() time.Time { return time.Unix(0, clock.Load()) } })
	r.apply(t, Settings{Phones: []PhoneConfig{{User: "1001", Password: "pw"}, {User: "1002", Password: "pw2"}}})
	p, open := newPeer(t, r.UDPAddr()), newPeer(t, r.UDPAddr())
	newPhone(p, "1001").login(t, "pw") // its Contact is another address than it comes from

	q := newPhone(open, "1002") // no NAT: Contact and source agree
	contact := fmt.Sprintf("Contact: <sip:1002@127.0.0.1:%d>\n", open.port())
	q.register(contact)
	q.register(contact + credentialsFor(t, open.response(401), "REGISTER", "1002", "pw2", "SHA-256", 1))
	open.response(200)

	r.keepAliveOnce() // the REGISTER has just opened the NAT
	for range 2 {
		pass(keepAliveEvery)
		r.keepAliveOnce()
		ask := p.request("OPTIONS")
		if ask.Recipient.User != "1001" || ask.Recipient.Host != "10.1.2.3" {
			t.Errorf("asked %s", ask.StartLine())
		}
		p.reply(ask, 404, "Who Cares", "x", "", "")
	}
	pass(2 * time.Hour) // the bindings are over
	r.keepAliveOnce()
	if n := len(r.registrar.due(time.Unix(0, clock.Load()), keepAliveAtOnce)); n != 0 {
		t.Errorf("%d devices due after their registration", n)
	}
	r.registrar.drop("1001")
	pass(keepAliveEvery)
	r.keepAliveOnce()
	for _, x := range []*peer{p, open} {
		for len(x.in) > 0 {
			if m, ok := (<-x.in).(*msg.Request); ok {
				t.Errorf("unexpected %s to %s", m.Method, m.Recipient.String())
			}
		}
	}
}

func TestKeepAlivesAreBoundedAndServeEverybody(t *testing.T) {
	r := newRegistrar(func(int) {})
	now := time.Unix(1_700_000_000, 0)
	for i := range 10 {
		uri := msg.Uri{Scheme: "sip", User: "u", Host: "192.0.2.1", Port: 5060}
		f := flow{transport: "UDP", addr: netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), uint16(1000+i))}
		r.apply(fmt.Sprint(i), update{contacts: []contactUpdate{{uri: uri, ttl: time.Hour}}, callID: "c", seq: 1, flow: f}, now)
	}
	now = now.Add(keepAliveEvery)
	seen := map[netip.AddrPort]bool{}
	for _, want := range []int{4, 4, 2, 0} {
		got := r.due(now, 4)
		if len(got) != want {
			t.Errorf("%d due, want %d", len(got), want)
		}
		for _, b := range got {
			seen[b.flow.addr] = true
		}
	}
	if len(seen) != 10 {
		t.Errorf("%d of 10 served", len(seen))
	}
}
