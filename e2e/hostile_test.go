//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"

	"deskbridge/media"
	"deskbridge/simulator"
)

// TestHostileNetworkDuringACall lets strangers at every open port while a customer and an agent talk.
func TestHostileNetworkDuringACall(t *testing.T) {
	b := newBesieged(t)
	for _, attack := range []struct {
		name string
		run  func(*testing.T, *besieged)
	}{
		{"webhook bodies", attackWebhookBodies}, {"webhook paths and methods", attackWebhookPaths}, {"slow webhooks", attackSlowly},
		{"SIP rubbish", attackSIPRubbish}, {"INVITEs from a stranger", attackINVITEs}, {"RFC 4475", attackTorture},
		{"SIP connections", attackConnections}, {"RTP port", attackRTP}, {"WebRTC port", attackWebRTC}, {"hostile SDP", attackSDP},
	} {
		t.Run(attack.name, func(t *testing.T) { attack.run(t, b) })
	}
	b.tk.hears(1000, 440, 2*time.Second, false)
	b.tk.clean(true)
	b.tk.over()
	b.nothingLeft()
}

func (b *besieged) webhook(path string) string { return "http://" + b.app.WebhookAddr() + path }

// post sends a webhook body and returns the status; sign "" is no signature.
func (b *besieged) post(t *testing.T, body []byte, sign string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.webhook("/webhook/meta"), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if sign != "" {
		r.Header.Set("X-Hub-Signature-256", sign)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil { // the server may hang up on an oversized body before it was sent
		return 0
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode
}

func attackWebhookBodies(t *testing.T, b *besieged) {
	h := b.house.as(t)
	good := []byte(`{"object":"whatsapp_business_account","entry":[]}`)
	deep := []byte(strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000))
	big := bytes.Repeat([]byte("x"), 3<<20+1)
	b.undisturbed(t, func() {
		for _, c := range []struct {
			name   string
			body   []byte
			sign   func([]byte) string
			want   int
			result string
		}{
			{"good", good, signed, 200, "stored"},
			{"unsigned", good, nobody, 401, "bad_signature"},
			{"signed with another secret", good, func(b []byte) string { return simulator.Sign("wrong", b) }, 401, "bad_signature"},
			{"signature cut off", good, func(b []byte) string { return signed(b)[:40] }, 401, "bad_signature"},
			{"signature of nothing", good, func([]byte) string { return "sha256=" }, 401, "bad_signature"},
			{"SHA-1", good, func(b []byte) string { return strings.Replace(signed(b), "sha256=", "sha1=", 1) }, 401, "bad_signature"},
			{"rubbish, signed", rubbish(2000), signed, 400, "malformed"},
			{"rubbish, unsigned", rubbish(2000), nobody, 401, "bad_signature"},
			{"cut off, signed", good[:30], signed, 400, "malformed"},
			{"empty, signed", nil, signed, 400, "malformed"},
			{"nested 5000 deep, signed", deep, signed, 400, "malformed"},
			{"another object, signed", []byte(`{"object":"page","entry":[{"id":"1","changes":[{"field":"feed","value":{}}]}]}`), signed, 0, ""},
			{"wrong types, signed", []byte(`{"object":"whatsapp_business_account","entry":[{"id":7,"changes":[{"field":"calls","value":{"calls":"no"}}]}]}`), signed, 0, ""},
			{"too large, signed", big, signed, 413, "too_large"},
			{"too large, unsigned", big, nobody, 413, "too_large"},
		} {
			before := h.metric("deskbridge_webhook_requests_total", "result="+c.result)
			got := b.post(t, c.body, c.sign(c.body))
			switch {
			case c.want == 0 && (got != 200 && got != 400):
				t.Errorf("%s: status %d, want 200 or 400", c.name, got)
			case c.want != 0 && got != c.want && (got != 0 || c.want != 413):
				t.Errorf("%s: status %d, want %d", c.name, got, c.want)
			case c.result != "" && h.metric("deskbridge_webhook_requests_total", "result="+c.result) != before+1:
				t.Errorf("%s: not counted as %s", c.name, c.result)
			}
		}
	})
	if n := len(h.app.Exchange().Calls()); n != 1 {
		t.Errorf("%d calls, want the one", n)
	}
}

func signed(b []byte) string { return simulator.Sign(appSecret, b) }
func nobody([]byte) string   { return "" }

func attackWebhookPaths(t *testing.T, b *besieged) {
	for _, path := range []string{"/", "/webhook", "/webhook/meta/", "/webhook/meta/x", "/metrics", "/api/v1", "/healthz", "/../etc/passwd", "//webhook/meta", "/debug/pprof/", "/webhook%2fmeta%00"} {
		res, err := http.Get(b.webhook(path))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotFound || len(body) > 0 {
			t.Errorf("GET %s: %d %q, want a bare 404", path, res.StatusCode, body)
		}
	}
	for _, method := range []string{"PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "HEAD", "FOO"} {
		r, _ := http.NewRequestWithContext(t.Context(), method, b.webhook("/webhook/meta"), nil)
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d, want 405", method, res.StatusCode)
		}
	}
	res, err := http.Get(b.webhook("/webhook/meta?hub.mode=subscribe&hub.verify_token=guess&hub.challenge=1234"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("handshake with a guess: %d, want 403", res.StatusCode)
	}
	if err := b.meta.Subscribe(t.Context()); err != nil {
		t.Errorf("Meta's own handshake: %v", err)
	}
}

// attackSlowly holds connections open in every stage of a request: Meta's webhooks pass all the same.
func attackSlowly(t *testing.T, b *besieged) {
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	open := func(n int, say string) {
		for range n {
			// From several addresses, for there is a limit on each.
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 2, byte(1+len(conns)/40))}, Timeout: time.Second}
			c, err := d.Dial("tcp", b.app.WebhookAddr())
			if err != nil {
				return // refused: as good as dropped
			}
			conns = append(conns, c)
			_, _ = io.WriteString(c, say)
		}
	}
	b.undisturbed(t, func() {
		open(60, "")
		open(60, "POST /webhook/meta HTTP/1.1\r\nHost: x\r\nX-A: ")
		open(80, "POST /webhook/meta HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{")
		open(40, "POST /webhook/meta HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n{")
		open(40, "POST /webhook/meta HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
		for i := range 20 {
			begin := time.Now()
			body := fmt.Appendf(nil, `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"weather","value":{"n":%d}}]}]}`, i)
			if got := b.post(t, body, signed(body)); got != 200 {
				t.Fatalf("Meta's webhook during the attack: %d after %s", got, time.Since(begin))
			}
			if took := time.Since(begin); took > 500*time.Millisecond+standstill(begin) {
				t.Errorf("Meta's webhook took %s", took)
			}
		}
	})
}

func (b *besieged) metricInFlight(h *house) float64 {
	return h.metric("deskbridge_webhook_requests_total")
}

// answers counts what a stranger has been sent, and fails when it is more than he sent.
func (s *stranger) answers(t *testing.T, sent int) {
	t.Helper()
	// Whatever is repeated is repeated after half a second (T1), again after one.
	end := time.After(1700 * time.Millisecond)
	<-end
	if n := len(s.got); n > sent {
		t.Errorf("a stranger was sent %d packets for %d", n, sent)
	} else {
		t.Logf("%d packets for %d", n, sent)
	}
}

func attackSIPRubbish(t *testing.T, b *besieged) {
	s := newStranger(t, "127.0.0.66")
	valid := []byte("OPTIONS sip:x@127.0.0.10 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.66;branch=z9hG4bKx\r\nContent-Length: 0\r\n\r\n")
	const n = 4000
	b.undisturbed(t, func() {
		s.storm(n, 2000, b.sip, func(i int) []byte {
			switch i % 4 {
			case 0:
				return rubbish(20 + i%1300)
			case 1:
				return valid[:i%len(valid)]
			case 2:
				m := append([]byte(nil), valid...)
				m[i%len(m)] ^= byte(1 + i%255)
				return m
			}
			return []byte("INVITE sip:" + strings.Repeat("a", i%1000) + "\r\n\r\n")
		})
	})
	s.answers(t, n)
}

func attackINVITEs(t *testing.T, b *besieged) {
	s := newStranger(t, "127.0.0.67")
	asked, recorded := len(b.meta.Requests()), len(b.records())
	const n = 5000
	b.undisturbed(t, func() {
		s.storm(n, 2500, b.sip, func(i int) []byte {
			sdp := "v=0\r\no=- 1 1 IN IP4 127.0.0.67\r\ns=-\r\nc=IN IP4 127.0.0.67\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
			return fmt.Appendf(nil, "INVITE sip:+4915112345678@127.0.0.10 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%d;rport\r\nMax-Forwards: 70\r\nFrom: <sip:1001@127.0.0.10>;tag=t%d\r\nTo: <sip:+4915112345678@127.0.0.10>\r\nCall-ID: c%d\r\nCSeq: 1 INVITE\r\nContact: <sip:1001@%s>\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
				s.addr(), i, i, i, s.addr(), len(sdp), sdp)
		})
	})
	s.answers(t, n)
	for len(s.got) > 0 {
		if a := string(<-s.got); !strings.HasPrefix(a, "SIP/2.0 401 ") && !strings.HasPrefix(a, "SIP/2.0 403 ") && !strings.HasPrefix(a, "SIP/2.0 100 ") {
			t.Errorf("a stranger's INVITE was answered %q", strings.SplitN(a, "\r\n", 2)[0])
			break
		}
	}
	if got := b.meta.Requests()[asked:]; len(got) != 0 {
		t.Errorf("Meta was asked %d times", len(got))
	}
	if got := len(b.records()); got != recorded {
		t.Errorf("%d calls were recorded", got-recorded)
	}
}

// attackTorture sends each message from an address of its own, so that none is stopped by the rate.
func attackTorture(t *testing.T, b *besieged) {
	files, err := filepath.Glob("../sip/testdata/torture/*.dat")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d torture messages: %v", len(files), err)
	}
	recorded := len(b.records())
	b.undisturbed(t, func() {
		for i, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			s := newStranger(t, fmt.Sprintf("127.0.1.%d", i+1))
			_, _ = s.WriteToUDPAddrPort(text, b.sip)
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(fmt.Sprintf("127.0.1.%d", i+1))}, Timeout: time.Second}
			if c, err := d.Dial("tcp", b.sip.String()); err == nil {
				_, _ = c.Write(text)
				_ = c.Close()
			} else {
				t.Errorf("after %s: %v", filepath.Base(f), err)
			}
		}
	})
	if got := len(b.records()); got != recorded {
		t.Errorf("%d calls were recorded", got-recorded)
	}
	// The sockets still work: a phone registers over each.
	for _, tr := range []string{"udp", "tcp"} {
		p := b.house.as(t).newPhone("1002", simulator.PhoneConfig{Transport: tr})
		_ = p.Close()
	}
}

func attackConnections(t *testing.T, b *besieged) {
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	b.undisturbed(t, func() {
		for i := range 300 {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.68")}, Timeout: time.Second}
			c, err := d.Dial("tcp", b.sip.String())
			if err != nil {
				continue
			}
			conns = append(conns, c)
			if i%2 == 0 {
				_, _ = io.WriteString(c, "INVITE sip:a@b SIP/2.0\r\nVia: ")
			}
		}
	})
	p := b.house.as(t).newPhone("1003", simulator.PhoneConfig{Transport: "tcp"})
	defer p.Close()
	// All but the allowed few were closed at once.
	alive := 0
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		if _, err := bufio.NewReader(c).ReadByte(); err != nil && strings.Contains(err.Error(), "timeout") {
			alive++
		}
	}
	if alive > 8 {
		t.Errorf("%d connections of one address are open, want 8 at most", alive)
	}
}

// attackRTP sends rubbish, and a well-forged continuation of the phone's own stream, to the call's RTP ports.
func attackRTP(t *testing.T, b *besieged) {
	ports := openUDP(t, 20000, 29999)
	if len(ports) == 0 {
		t.Fatal("no RTP port is open")
	}
	seen := sniffRTP(t, ports)
	enc, err := media.NewEncoder(media.PCMA, 8000)
	if err != nil {
		t.Fatal(err)
	}
	tone := media.Tone(2500, 8000, 20*time.Millisecond)
	refused := b.metric("deskbridge_sip_rtp_refused_total")
	b.undisturbed(t, func() {
		for _, ip := range []string{"127.0.0.1", "127.0.0.69"} { // the phone's own host too, from another port
			s := newStranger(t, ip)
			for _, at := range ports {
				s.storm(600, 2000, at, func(i int) []byte {
					if i%3 == 0 {
						return rubbish(i%1400 + 1)
					}
					payload := make([]byte, 160)
					_, _ = enc.Encode(tone, payload)
					h := seen
					h.SequenceNumber += uint16(i)
					h.Timestamp += uint32(160 * i)
					p, _ := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
					return p
				})
			}
			if n := len(s.got); n != 0 {
				t.Errorf("the attacker at %s was sent %d packets", ip, n)
			}
		}
	})
	if level := media.ToneLevel(lastSecond(b.tk.customerPCM(time.Now().Add(-1500*time.Millisecond)), 16000), 16000, 2500); level > 0.001 {
		t.Errorf("the customer hears the attacker: %.3f", level)
	}
	if got := b.metric("deskbridge_sip_rtp_refused_total"); got <= refused {
		t.Error("the refused packets are not counted")
	}
}

func lastSecond(pcm []int16, rate int) []int16 { return pcm[max(0, len(pcm)-rate):] }

// sniffRTP reads the header of a packet of the phone's own stream, as somebody on the path could. Without the right to, an
// attacker guesses.
func sniffRTP(t *testing.T, ports []netip.AddrPort) rtp.Header {
	t.Helper()
	guess := rtp.Header{Version: 2, PayloadType: 8, SSRC: 0x12345678, SequenceNumber: 1000}
	c, err := net.ListenPacket("ip4:udp", ports[0].Addr().String())
	if err != nil {
		t.Logf("no sniffing here: %v", err)
		return guess
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
	buf := make([]byte, 2000)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			t.Logf("nothing sniffed: %v", err)
			return guess
		}
		for _, p := range ports {
			var pkt rtp.Packet
			if n > 8+12 && binary.BigEndian.Uint16(buf[2:]) == p.Port() && pkt.Unmarshal(buf[8:n]) == nil && pkt.PayloadType == 8 {
				h := pkt.Header
				h.SequenceNumber++
				h.Timestamp += 160
				return h
			}
		}
	}
}

func attackWebRTC(t *testing.T, b *besieged) {
	ports := openUDP(t, webrtcMin, webrtcMax)
	if len(ports) != 1 {
		t.Fatalf("%d WebRTC ports are open, want the call's one", len(ports))
	}
	s := newStranger(t, "127.0.0.70")
	dropped := b.metric("deskbridge_webrtc_dropped_packets_total")
	const n = 3000
	b.undisturbed(t, func() {
		s.storm(n, 2000, ports[0], func(i int) []byte {
			body := rubbish(40 + i%1200)
			switch i % 5 {
			case 0: // a STUN binding request nobody signed
				stun := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, rubbish(12)...)
				return stun
			case 1: // STUN with attributes of rubbish
				binary.BigEndian.PutUint16(body[2:], uint16(len(body)-20))
				copy(body, []byte{0, 1})
				copy(body[4:], []byte{0x21, 0x12, 0xa4, 0x42})
			case 2: // DTLS handshake records
				copy(body, []byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, byte(i), byte((len(body) - 13) >> 8), byte(len(body) - 13), 1})
			case 3: // SRTP
				copy(body, []byte{0x80, 111})
			}
			return body
		})
	})
	for _, got := range drain(s) {
		if len(got) >= 20 && got[0] == 1 && got[1] == 1 {
			t.Error("a STUN request without credentials was answered with success")
			break
		}
	}
	s.answers(t, n)
	if got := b.metric("deskbridge_webrtc_dropped_packets_total"); got <= dropped {
		t.Error("the dropped packets are not counted")
	}
}

func drain(s *stranger) (all [][]byte) {
	for len(s.got) > 0 {
		all = append(all, <-s.got)
	}
	return all
}

// attackSDP dials from a real account with SDP that no phone would send.
func attackSDP(t *testing.T, b *besieged) {
	h := b.house.as(t)
	cust := h.person(simulator.Behaviour{React: simulator.ReactAnswer})
	p := &rawPhone{stranger: newStranger(t, "127.0.0.1"), t: t, to: b.sip, user: "1002", pass: phonePassword("1002")}
	head := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
	audio := "m=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
	b.undisturbed(t, func() {
		for name, sdp := range map[string]string{
			"not SDP":          "hello",
			"binary":           string(rubbish(300)),
			"no audio":         head + "m=video 40000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n",
			"no media":         head,
			"no codec of ours": head + "m=audio 40000 RTP/AVP 3\r\na=rtpmap:3 GSM/8000\r\n",
			"port 0":           head + strings.Replace(audio, "40000", "0", 1),
			"port 70000":       head + strings.Replace(audio, "40000", "70000", 1),
			"port -1":          head + strings.Replace(audio, "40000", "-1", 1),
			"port is a word":   head + strings.Replace(audio, "40000", "http", 1),
			"payload type 300": head + "m=audio 40000 RTP/AVP 300\r\na=rtpmap:300 PCMA/8000\r\n",
			"clock rate 0":     head + "m=audio 40000 RTP/AVP 97\r\na=rtpmap:97 PCMA/0\r\n",
			"300 media":        head + strings.Repeat(audio, 300),
			"DTLS only":        head + strings.Replace(audio, "RTP/AVP", "UDP/TLS/RTP/SAVPF", 1),
		} {
			status, _, ack := p.invite("+"+cust.Config().Phone, "application/sdp", sdp)
			ack()
			if status < 400 || status > 499 || status == 403 {
				t.Errorf("%s: answered %d, want 400 to 488", name, status)
			}
		}
		status, _, ack := p.invite("+"+cust.Config().Phone, "text/plain", "hello")
		ack()
		if status != 415 && status != 488 && status != 400 {
			t.Errorf("a body that says it is not SDP: answered %d", status)
		}
	})
	select {
	case <-cust.Calls():
		t.Error("the customer was called for a call that cannot have audio")
	default:
	}
	victim := newStranger(t, "127.0.0.99")
	for name, sdp := range map[string]string{
		"media for somebody else": fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.99\r\ns=-\r\nc=IN IP4 127.0.0.99\r\nt=0 0\r\nm=audio %d RTP/AVP 8\r\n", victim.addr().Port()),
		"RTCP for somebody else":  head + audio + fmt.Sprintf("a=rtcp:%d IN IP4 127.0.0.99\r\n", victim.addr().Port()),
		"a name for an address":   strings.Replace(head, "c=IN IP4 127.0.0.1", "c=IN IP4 localhost", 1) + audio,
		"2000 attributes":         head + audio + strings.Repeat("a=x\r\n", 2000),
	} {
		t.Run(name, func(t *testing.T) { oddCall(t, b, victim, sdp) })
	}
}

// oddCall lets an account call with SDP that names somebody who has nothing to do with it: the call may come about, but
// nobody else is sent anything.
func oddCall(t *testing.T, b *besieged, victim *stranger, sdp string) {
	h := b.house.as(t)
	p := &rawPhone{stranger: newStranger(t, "127.0.0.1"), t: t, to: b.sip, user: "1003", pass: phonePassword("1003")}
	cust := h.person(simulator.Behaviour{Play: simulator.Playback{Tone: 440}})
	status, _, ack := p.invite("+"+cust.Config().Phone, "application/sdp", sdp)
	ack()
	if status/100 == 2 {
		call := <-cust.Calls()
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		<-ctx.Done() // what comes in that time
		call.Hangup()
	}
	if got := drain(victim); len(got) > 0 {
		t.Errorf("a stranger named in SDP was sent %d packets", len(got))
	}
	h.until("only the besieged call to be left", func() bool { return len(h.app.Exchange().Calls()) == 1 })
}
