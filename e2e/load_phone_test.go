//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"deskbridge/media"
)

// phoneBank is the PBX of a load: one SIP socket that answers every INVITE at once, and for every call a phone that sends
// frames encoded beforehand and counts what it gets.
type phoneBank struct {
	t     testing.TB
	codec media.Codec
	conn  *net.UDPConn
	wg    sync.WaitGroup
	rang  chan *bankPhone  // every call, when it is answered
	ring  time.Duration    // rings so long first
	onUp  func(*bankPhone) // at the 200, before anything else happens

	mu     sync.Mutex
	phones map[string]*bankPhone // by Call-ID
}

// bankPhone is one call of the bank.
type bankPhone struct {
	invitedAt, answeredAt, byeAt atomicTime
	caller                       string // user part of From
	answer                       []byte
	conn, control                *net.UDPConn
	peer                         netip.AddrPort
	line                         rtpLine
	rtpIn
}

func newPhoneBank(t testing.TB, codec media.Codec) *phoneBank {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(1 << 20)
	b := &phoneBank{t: t, codec: codec, conn: conn, phones: map[string]*bankPhone{}, rang: make(chan *bankPhone, 1024)}
	b.wg.Go(b.read)
	t.Cleanup(b.close)
	return b
}

func (b *phoneBank) addr() string { return b.conn.LocalAddr().String() }

func (b *phoneBank) close() {
	_ = b.conn.Close()
	b.mu.Lock()
	for _, p := range b.phones {
		_ = p.conn.Close()
		_ = p.control.Close()
	}
	b.mu.Unlock()
	b.wg.Wait()
}

func (b *phoneBank) read() {
	buf := make([]byte, 65536)
	for {
		n, src, err := b.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if r := readSIP(string(buf[:n])); r != nil {
			b.take(r, src)
		}
	}
}

// sipText is a SIP request as far as a phone bank cares.
type sipText struct {
	method, body string
	echo         []string // headers a response repeats
	callID, from string
}

var userPart = regexp.MustCompile(`sips?:([^@>;]*)@`)

func readSIP(text string) *sipText {
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	method, _, _ := strings.Cut(lines[0], " ")
	if strings.HasPrefix(method, "SIP/") || method == "" {
		return nil
	}
	r := &sipText{method: method, body: body}
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		switch strings.ToLower(name) {
		case "via", "cseq", "record-route":
		case "from":
			if m := userPart.FindStringSubmatch(value); m != nil {
				r.from = m[1]
			}
		case "to":
			if !strings.Contains(value, ";tag=") {
				l += ";tag=bank"
			}
		case "call-id":
			r.callID = strings.TrimSpace(value)
		default:
			continue
		}
		r.echo = append(r.echo, l)
	}
	return r
}

func (r *sipText) respond(status, extra, body string) []byte {
	return fmt.Appendf(nil, "SIP/2.0 %s\r\n%s\r\n%sContent-Length: %d\r\n\r\n%s", status, strings.Join(r.echo, "\r\n"), extra, len(body), body)
}

func (b *phoneBank) take(r *sipText, src netip.AddrPort) {
	b.mu.Lock()
	p := b.phones[r.callID]
	b.mu.Unlock()
	reply := func(out []byte) { _, _ = b.conn.WriteToUDPAddrPort(out, src) }
	switch {
	case r.method == "ACK":
	case r.method == "INVITE" && p == nil:
		p, err := b.newPhone(r)
		if err != nil {
			b.t.Errorf("phone bank: %v", err)
			return
		}
		if b.ring == 0 {
			b.accept(p, reply)
			return
		}
		reply(r.respond("180 Ringing", "", ""))
		time.AfterFunc(b.ring, func() { b.accept(p, reply) })
	case r.method == "INVITE":
		if !p.answeredAt.get().IsZero() {
			reply(p.answer)
		}
	case r.method == "BYE" && p != nil:
		p.byeAt.set()
		fallthrough
	default:
		reply(r.respond("200 OK", "", ""))
	}
}

// accept picks up.
func (b *phoneBank) accept(p *bankPhone, reply func([]byte)) {
	b.wg.Go(p.read)
	p.answeredAt.set()
	reply(p.answer)
	if b.onUp != nil {
		b.onUp(p)
	}
	b.rang <- p
}

var (
	mediaLine  = regexp.MustCompile(`m=audio (\d+) RTP/AVP`)
	mediaAddr  = regexp.MustCompile(`c=IN IP4 (\S+)`)
	opusNumber = regexp.MustCompile(`a=rtpmap:(\d+) opus/48000/2`)
)

func (b *phoneBank) newPhone(r *sipText) (*bankPhone, error) {
	p := &bankPhone{caller: r.from}
	p.invitedAt.set()
	port, addr := mediaLine.FindStringSubmatch(r.body), mediaAddr.FindStringSubmatch(r.body)
	if port == nil || addr == nil {
		return nil, fmt.Errorf("no audio in the offer %q", r.body)
	}
	var err error
	if p.peer, err = netip.ParseAddrPort(addr[1] + ":" + port[1]); err != nil {
		return nil, err
	}
	pt, static := b.codec.StaticPayloadType()
	if !static {
		m := opusNumber.FindStringSubmatch(r.body)
		if m == nil {
			return nil, fmt.Errorf("no Opus in the offer %q", r.body)
		}
		_, _ = fmt.Sscan(m[1], &pt)
	}
	for _, c := range []**net.UDPConn{&p.conn, &p.control} {
		if *c, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			return nil, err
		}
	}
	_ = p.conn.SetReadBuffer(1 << 20)
	name := b.codec.String() + "/" + fmt.Sprint(b.codec.ClockRate())
	if b.codec == media.Opus {
		name += "/2"
	}
	body := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP %d\r\na=rtpmap:%d %s\r\n"+
		"a=rtcp:%d\r\na=ptime:20\r\na=sendrecv\r\n", p.conn.LocalAddr().(*net.UDPAddr).Port, pt, pt, name, p.control.LocalAddr().(*net.UDPAddr).Port)
	p.answer = r.respond("200 OK", fmt.Sprintf("Contact: <sip:bank@%s>\r\nContent-Type: application/sdp\r\n", b.addr()), body)
	p.line = rtpLine{header: rtp.Header{Version: 2, PayloadType: pt, SSRC: uint32(p.peer.Port()), SequenceNumber: p.peer.Port()}, ticks: b.codec.Ticks(20 * time.Millisecond)}
	b.mu.Lock()
	b.phones[r.callID] = p
	b.mu.Unlock()
	return p, nil
}

func (p *bankPhone) read() {
	buf := make([]byte, 2048)
	for {
		n, _, err := p.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		p.count(buf[:n], time.Now())
	}
}

// send sends one frame.
func (p *bankPhone) send(payload []byte) error {
	out, err := p.line.next(payload)
	if err == nil {
		_, err = p.conn.WriteToUDPAddrPort(out, p.peer)
	}
	return err
}
