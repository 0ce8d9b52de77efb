//go:build e2e

package e2e

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/simulator"
)

// TestSIPpIsOurRegistrar: a trunk that wants a REGISTER with digest, and challenges our INVITE as well. It calls us at
// the Contact we registered, and gets the registration back when we stop.
func TestSIPpIsOurRegistrar(t *testing.T) {
	for _, algorithm := range []string{"MD5", "SHA-256"} {
		for _, transport := range []string{"udp", "tcp"} {
			t.Run(algorithm+"/"+transport, func(t *testing.T) {
				p := startSIPp(t, sippOptions{
					scenario: "uas_registrar", transport: map[string]string{"udp": "u1", "tcp": "t1"}[transport], args: []string{"-rtp_echo"},
					vars: map[string]any{"challenge": `Digest realm="pbx.test", nonce="5f0c3a", opaque="o1", algorithm=` + algorithm + `, qop="auth"`},
				})
				trunk := pbx("pbx", p.addr)
				trunk.Transport, trunk.Register, trunk.Username, trunk.Domain = transport, true, "700", "pbx.test"
				trunk.Password = appliance.NewSecret("pw-of-700")
				h := newHouse(t, houseOptions{settings: withTrunks([]string{"trunk:pbx/200"}, trunk)})

				login := p.receives("REGISTER", 2)
				proves(t, login, "Authorization", algorithm, "700", "pw-of-700")
				if to := login.header("To"); !strings.Contains(to, "sip:700@pbx.test") {
					t.Errorf("To: %s", to)
				}
				poll(t, "the answer to REGISTER", func() bool { return len(p.said("SIP/2.0 200")) > 0 })

				cust := h.customer(erika())
				call, err := cust.Call(t.Context(), displayNumber, simulator.CallOptions{})
				if err != nil {
					t.Fatal(err)
				}
				proves(t, p.receives("INVITE", 2), "Proxy-Authorization", algorithm, "700", "pw-of-700")
				h.customerHears(call, 440)
				call.Hangup()
				h.waitNoCalls()
				h.clean(call)

				contact := regexp.MustCompile(`sip:700@([0-9.]+:\d+)`).FindStringSubmatch(login.header("Contact"))
				if contact == nil {
					t.Fatalf("Contact: %s", login.header("Contact"))
				}
				caller := startSIPp(t, sippOptions{scenario: "uac_closed", to: netip.MustParseAddrPort(contact[1]), service: dialled})
				var out *simulator.CustomerCall
				select {
				case out = <-cust.Calls():
				case <-time.After(wait):
					t.Fatal("no call at the customer")
				}
				h.until("talk", func() bool { c := h.app.Exchange().Calls(); return len(c) == 1 && c[0].State == "talking" })
				out.Hangup()
				h.waitNoCalls()
				caller.finish()
				h.clean(out)

				ctx, cancel := context.WithTimeout(context.Background(), wait)
				defer cancel()
				if err := h.app.Stop(ctx); err != nil {
					t.Error(err)
				}
				if e := p.receives("REGISTER", 3).header("Expires"); e != "0" {
					t.Errorf("Expires of the last REGISTER: %s", e)
				}
				if transport == "udp" { // over TCP SIPp takes the end of our connection for the failure of what it carried last
					p.finish()
				}
			})
		}
	}
}

var digestPart = regexp.MustCompile(`(\w+)=(?:"([^"]*)"|([^",\s]+))`)

// proves recomputes a digest (RFC 7616 §3.4.1).
func proves(t *testing.T, m traced, header, algorithm, user, password string) {
	t.Helper()
	part := map[string]string{}
	for _, f := range digestPart.FindAllStringSubmatch(m.header(header), -1) {
		part[f[1]] = f[2] + f[3]
	}
	hash := func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) }
	if algorithm == "SHA-256" {
		hash = func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
	}
	method, _, _ := strings.Cut(m.text, " ")
	_, uri, _ := strings.Cut(strings.SplitN(m.text, "\n", 2)[0], " ")
	uri, _, _ = strings.Cut(uri, " ")
	want := hash(fmt.Sprintf("%s:%s:%s:%s:auth:%s",
		hash(user+":pbx.test:"+password), part["nonce"], part["nc"], part["cnonce"], hash(method+":"+part["uri"])))
	if part["response"] != want || part["username"] != user || part["uri"] != uri || part["realm"] != "pbx.test" {
		t.Errorf("%s: %s, want the response %s for %s", header, m.header(header), want, uri)
	}
}
