//go:build e2e

package e2e

import (
	"crypto/md5" //nolint:gosec // what SIP digest is made of
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/media"
	"deskbridge/simulator"
)

// besieged is a house with a call in progress that nothing may disturb.
type besieged struct {
	*office
	tk talk
}

// webrtcRange is below the kernel's own ports, so that a port in it is the appliance's and nobody else's.
const webrtcMin, webrtcMax = 31000, 31999

func newBesieged(t *testing.T) *besieged {
	t.Helper()
	o := newOffice(t, houseOptions{config: func(c *appliance.Config) { c.WebRTC.PortMin, c.WebRTC.PortMax = webrtcMin, webrtcMax }},
		simulator.PhoneConfig{Codecs: []media.Codec{media.PCMA}, Source: simulator.PhoneSource{Tone: 1000}, KeepHeard: 5 * time.Minute})
	tk := o.desks[0].rung(simulator.CustomerConfig{Behaviour: simulator.Behaviour{Play: simulator.Playback{Tone: 440}, MaxSilence: longestSilence}})
	tk.bothHear(1000, 440)
	return &besieged{o, tk}
}

// undisturbed runs an attack of at least a second and checks that the call's audio went on: not a packet fewer than the
// clock says, none lost or doubled, and the tones whole.
func (b *besieged) undisturbed(t *testing.T, attack func()) {
	t.Helper()
	since := time.Now()
	before, rate := b.tk.desk.Heard()
	st := b.tk.desk.Stats()
	attack()
	(&house{t: t}).until("a second to pass", func() bool { return time.Since(since) > 1200*time.Millisecond })
	took := time.Since(since).Seconds()
	mine, _ := b.tk.desk.Heard()
	mine = mine[len(before):]
	theirs := b.tk.customerPCM(since)
	now := b.tk.desk.Stats()
	stood := standstill(since.Add(-time.Second))
	var bad []string
	note := func(format string, a ...any) { bad = append(bad, fmt.Sprintf(format, a...)) }
	bad = append(bad, notTone("the customer", theirs, 16000, 1000, false)...)
	bad = append(bad, notTone("the phone", mine, rate, 440, false)...)
	for who, heard := range map[string]float64{"customer": float64(len(theirs)) / 16000, "phone": float64(len(mine)) / float64(rate)} {
		if heard < took-0.1 || heard > took+0.1 {
			note("the %s heard %.2f s in %.2f s", who, heard, took)
		}
	}
	if now.Lost != st.Lost || now.Late != st.Late || now.Duplicates != st.Duplicates {
		note("packets lost or doubled at the phone: %+v, before %+v", now, st)
	}
	for _, s := range bad {
		if stood > 30*time.Millisecond {
			t.Logf("while the machine stood still for %s: %s", stood, s)
			continue
		}
		t.Error(s)
	}
	if now.Sources != 1 || now.SSRCs != 1 || now.Jumps != 0 {
		t.Errorf("the phone heard somebody else: %+v", now)
	}
	h := b.office.house.as(t)
	if n := h.metric("deskbridge_sip_panics_total") + h.metric("deskbridge_webrtc_panics_total") + h.metric("deskbridge_whatsapp_panics_total") +
		h.metric("deskbridge_sip_media_panics_total") + h.metric("deskbridge_call_panics_total"); n != 0 {
		t.Errorf("%v panics", n)
	}
}

// openUDP lists the addresses this process has UDP sockets on in a range of ports, as the kernel tells it.
func openUDP(t *testing.T, lo, hi uint16) (all []netip.AddrPort) {
	t.Helper()
	mine := map[string]bool{}
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if s, err := os.Readlink(fd); err == nil {
			mine[strings.Trim(strings.TrimPrefix(s, "socket:"), "[]")] = true
		}
	}
	b, err := os.ReadFile("/proc/self/net/udp")
	if err != nil {
		t.Skip(err)
	}
	for l := range strings.Lines(string(b)) {
		f := strings.Fields(l)
		if len(f) < 10 || !mine[f[9]] {
			continue
		}
		ip, port, ok := strings.Cut(f[1], ":")
		p, err := strconv.ParseUint(port, 16, 16)
		raw, err2 := hex.DecodeString(ip)
		if !ok || err != nil || err2 != nil || len(raw) != 4 || uint16(p) < lo || uint16(p) > hi {
			continue
		}
		a := netip.AddrFrom4([4]byte{raw[3], raw[2], raw[1], raw[0]})
		if a.IsUnspecified() {
			a = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		all = append(all, netip.AddrPortFrom(a, uint16(p)))
	}
	return all
}

// stranger is a socket of somebody who has no business here. It counts what it is sent.
type stranger struct {
	*net.UDPConn
	got chan []byte
}

func newStranger(t *testing.T, ip string) *stranger {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 0)))
	if err != nil {
		t.Fatal(err)
	}
	s := &stranger{c, make(chan []byte, 1<<16)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			n, _, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			select {
			case s.got <- append([]byte(nil), buf[:n]...):
			default:
			}
		}
	}()
	t.Cleanup(func() { _ = c.Close(); <-done })
	return s
}

func (s *stranger) addr() netip.AddrPort { return s.LocalAddr().(*net.UDPAddr).AddrPort() }

// storm sends n packets at a rate, each made anew.
func (s *stranger) storm(n, perSecond int, to netip.AddrPort, packet func(i int) []byte) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 0; i < n; <-tick.C {
		for k := 0; k < perSecond/100 && i < n; k++ {
			_, _ = s.WriteToUDPAddrPort(packet(i), to)
			i++
		}
	}
}

func rubbish(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// rawPhone is a registered phone's user with a SIP stack of two functions, to say what no phone would.
type rawPhone struct {
	*stranger
	t    *testing.T
	to   netip.AddrPort
	user string
	pass string
	cseq int
}

var challengeField = regexp.MustCompile(`(\w+)="?([^",\r]+)"?`)

// invite sends an INVITE with a body, answers the challenge, and returns the final status and its body.
func (p *rawPhone) invite(dial, contentType, sdp string) (status int, body string, ack func()) {
	p.t.Helper()
	callID, tag := hex.EncodeToString(rubbish(8)), hex.EncodeToString(rubbish(4))
	uri := fmt.Sprintf("sip:%s@%s", dial, p.to.Addr())
	auth := ""
	for range 3 {
		p.cseq++
		branch := "z9hG4bK" + hex.EncodeToString(rubbish(6))
		head := func(method, extra string, n int) string {
			return fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%s;rport\r\nMax-Forwards: 70\r\nFrom: <sip:%s@%s>;tag=%s\r\nTo: <sip:%s@%s>%s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:%s@%s>\r\n",
				method, uri, p.addr(), branch, p.user, p.to.Addr(), tag, dial, p.to.Addr(), extra, callID, n, method, p.user, p.addr())
		}
		_, _ = p.WriteToUDPAddrPort([]byte(head("INVITE", "", p.cseq)+auth+fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n\r\n%s", contentType, len(sdp), sdp)), p.to)
		res := p.final(fmt.Sprintf("%d INVITE", p.cseq))
		status, _ = strconv.Atoi(strings.Fields(res + " 0 0")[1])
		_, toTag, _ := strings.Cut(headerOf(res, "To"), ";")
		if toTag != "" {
			toTag = ";" + toTag
		}
		n := p.cseq
		ack = func() {
			if status/100 == 2 {
				branch = "z9hG4bK" + hex.EncodeToString(rubbish(6))
			}
			_, _ = p.WriteToUDPAddrPort([]byte(head("ACK", toTag, n)+"Content-Length: 0\r\n\r\n"), p.to)
		}
		if status != 401 && status != 407 {
			_, body, _ = strings.Cut(res, "\r\n\r\n")
			return status, body, ack
		}
		ack()
		auth = p.credentials("INVITE", uri, res)
	}
	return status, "", ack
}

func headerOf(msg, name string) string {
	for l := range strings.SplitSeq(msg, "\r\n") {
		if k, v, ok := strings.Cut(l, ":"); ok && strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func (p *rawPhone) final(cseq string) string {
	p.t.Helper()
	limit := time.After(wait)
	for {
		select {
		case b := <-p.got:
			s := string(b)
			if strings.HasPrefix(s, "SIP/2.0 ") && !strings.HasPrefix(s, "SIP/2.0 1") && headerOf(s, "CSeq") == cseq {
				return s
			}
		case <-limit:
			p.t.Fatalf("no final answer to %s", cseq)
		}
	}
}

func (p *rawPhone) credentials(method, uri, res string) string {
	var challenge map[string]string
	for l := range strings.SplitSeq(res, "\r\n") {
		k, v, _ := strings.Cut(l, ":")
		if !strings.HasSuffix(strings.ToLower(k), "-authenticate") {
			continue
		}
		f := map[string]string{}
		for _, m := range challengeField.FindAllStringSubmatch(v, -1) {
			f[strings.ToLower(m[1])] = m[2]
		}
		if a := f["algorithm"]; a == "" || a == "MD5" {
			challenge = f
		}
	}
	hash := func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) } //nolint:gosec // as above
	const nc, cnonce = "00000001", "0a4f113b"
	response := hash(strings.Join([]string{hash(p.user + ":" + challenge["realm"] + ":" + p.pass), challenge["nonce"], nc, cnonce, "auth", hash(method + ":" + uri)}, ":"))
	return fmt.Sprintf("Authorization: Digest username=%q, realm=%q, nonce=%q, uri=%q, response=%q, algorithm=MD5, qop=auth, nc=%s, cnonce=%q\r\n",
		p.user, challenge["realm"], challenge["nonce"], uri, response, nc, cnonce)
}
