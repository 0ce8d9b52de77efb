//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v3"
	"github.com/pion/transport/v5/packetio"
)

// loadCustomer is a customer who costs little: one socket, one goroutine that reads it, answers to STUN as an ICE-lite
// end gives them, DTLS as the server, SRTP. It has nothing of the product's media code.
type loadCustomer struct {
	phone, wacid string
	conn         *net.UDPConn
	cert         tls.Certificate
	ufrag, pwd   string
	dtlsIn       *packetio.Buffer
	peer         atomic.Pointer[netip.AddrPort]
	wg           sync.WaitGroup

	rang, accepted, up          chan struct{}
	onceRang, onceAcc           sync.Once
	connectAt, firstCheck, upAt atomicTime
	terminated                  atomic.Bool // the product ended it

	in   *srtp.Context
	out  *srtp.Context
	line rtpLine
	rtpIn
	cipher [1600]byte
}

// atomicTime is a moment set once.
type atomicTime struct{ p atomic.Pointer[time.Time] }

func (a *atomicTime) set() { now := time.Now(); a.p.CompareAndSwap(nil, &now) }
func (a *atomicTime) get() time.Time {
	if p := a.p.Load(); p != nil {
		return *p
	}
	return time.Time{}
}

// rtpLine numbers what is sent.
type rtpLine struct {
	header rtp.Header
	ticks  uint32
	sent   atomic.Uint64
	buf    [1600]byte
}

// next lays out one packet.
func (l *rtpLine) next(payload []byte) ([]byte, error) {
	n, err := l.header.MarshalTo(l.buf[:])
	if err != nil {
		return nil, err
	}
	n += copy(l.buf[n:], payload)
	l.header.SequenceNumber++
	l.header.Timestamp += l.ticks
	l.sent.Add(1)
	return l.buf[:n], nil
}

// rtpIn counts what arrives.
type rtpIn struct {
	got, lost, bad atomic.Uint64
	begun          bool
	next           uint16
	h              rtp.Header
	heard          atomic.Pointer[func(h *rtp.Header, payload []byte, at time.Time)]
}

func (i *rtpIn) count(packet []byte, at time.Time) {
	n, err := i.h.Unmarshal(packet)
	if err != nil {
		i.bad.Add(1)
		return
	}
	if gap := int16(i.h.SequenceNumber - i.next); i.begun && gap > 0 {
		i.lost.Add(uint64(gap))
	} else if i.begun && gap < 0 {
		i.bad.Add(1)
		return
	}
	i.begun, i.next = true, i.h.SequenceNumber+1
	i.got.Add(1)
	if f := i.heard.Load(); f != nil {
		(*f)(&i.h, packet[n:], at)
	}
}

// loadCertificate is shared by all customers of a run: making one costs more than the rest of a call's set-up.
var loadCertificate = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &t, &t, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
})

func newLoadCustomer(n int) (*loadCustomer, error) {
	cert, err := loadCertificate()
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(1 << 20)
	c := &loadCustomer{
		phone: fmt.Sprintf("49151%08d", n), wacid: fmt.Sprintf("wacid.%s.%d", rand.Text(), n), conn: conn, cert: cert,
		ufrag: rand.Text()[:8], pwd: rand.Text(), dtlsIn: packetio.NewBuffer(),
		rang: make(chan struct{}), accepted: make(chan struct{}), up: make(chan struct{}),
	}
	c.line = rtpLine{header: rtp.Header{Version: 2, PayloadType: 111, SSRC: uint32(n)*1000 + 7, SequenceNumber: uint16(n * 13)}, ticks: 960}
	c.wg.Go(c.read)
	c.wg.Go(c.handshake)
	return c, nil
}

// offer is Meta's, in short.
func (c *loadCustomer) offer() string {
	a := c.conn.LocalAddr().(*net.UDPAddr)
	sum := sha256.Sum256(c.cert.Certificate[0])
	print := strings.TrimPrefix(strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":"), ":")
	return strings.ReplaceAll(fmt.Sprintf(`v=0
o=- 7000000000000000001 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE audio
a=ice-lite
m=audio %d UDP/TLS/RTP/SAVPF 111 126
c=IN IP4 127.0.0.1
a=candidate:1 1 udp 2113937151 127.0.0.1 %d typ host generation 0
a=ice-ufrag:%s
a=ice-pwd:%s
a=fingerprint:sha-256 %s
a=setup:actpass
a=mid:audio
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1
a=rtpmap:126 telephone-event/8000
a=maxptime:20
a=ptime:20
a=ssrc:%d cname:load
`, a.Port, a.Port, c.ufrag, c.pwd, print, c.line.header.SSRC), "\n", "\r\n")
}

// graph is told of the product's Graph requests about this call.
func (c *loadCustomer) graph(action string) {
	switch action {
	case "pre_accept":
		c.onceRang.Do(func() { close(c.rang) })
	case "accept":
		c.onceAcc.Do(func() { close(c.accepted) })
	case "terminate", "reject":
		c.terminated.Store(true)
	}
}

func (c *loadCustomer) read() {
	buf := make([]byte, 2048)
	var plain [2048]byte
	for {
		n, src, err := c.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			_ = c.dtlsIn.Close()
			return
		}
		at, b := time.Now(), buf[:n]
		switch {
		case n < 2:
		case b[0] < 4:
			c.answerCheck(b, src)
		case b[0] < 64:
			_, _ = c.dtlsIn.Write(b, nil)
		case b[1] >= 192 && b[1] <= 223: // RTCP
		default:
			select {
			case <-c.up:
			default:
				continue // cannot be read yet: as in a browser, it is gone
			}
			p, err := c.in.DecryptRTP(plain[:0], b, nil)
			if err != nil {
				c.bad.Add(1)
				continue
			}
			c.count(p, at)
		}
	}
}

// answerCheck is all of ICE that a lite end does (RFC 8445 §2.5).
func (c *loadCustomer) answerCheck(b []byte, src netip.AddrPort) {
	m := &stun.Message{Raw: append([]byte(nil), b...)}
	if m.Decode() != nil || m.Type != stun.BindingRequest {
		return
	}
	c.firstCheck.set()
	c.peer.Store(&src)
	r, err := stun.Build(m, stun.BindingSuccess, &stun.XORMappedAddress{IP: src.Addr().AsSlice(), Port: int(src.Port())},
		stun.NewShortTermIntegrity(c.pwd), stun.Fingerprint)
	if err == nil {
		_, _ = c.conn.WriteToUDPAddrPort(r.Raw, src)
	}
}

// handshake waits for the product, which is the DTLS client.
func (c *loadCustomer) handshake() {
	conn, err := dtls.ServerWithOptions(loadDTLS{c}, loadAddr{}, dtls.WithCertificates(c.cert), dtls.WithInsecureSkipVerifyHello(true),
		dtls.WithClientAuth(dtls.RequireAnyClientCert), dtls.WithInsecureSkipVerify(true),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80))
	if err != nil || conn.Handshake() != nil {
		return
	}
	state, _ := conn.ConnectionState()
	chosen, _ := conn.SelectedSRTPProtectionProfile()
	cfg := srtp.Config{Profile: srtp.ProtectionProfileAeadAes128Gcm}
	if chosen == dtls.SRTP_AES128_CM_HMAC_SHA1_80 {
		cfg.Profile = srtp.ProtectionProfileAes128CmHmacSha1_80
	}
	if cfg.ExtractSessionKeysFromDTLS(&state, false) != nil {
		return
	}
	k := cfg.Keys
	if c.in, err = srtp.CreateContext(k.RemoteMasterKey, k.RemoteMasterSalt, cfg.Profile); err != nil {
		return
	}
	if c.out, err = srtp.CreateContext(k.LocalMasterKey, k.LocalMasterSalt, cfg.Profile); err != nil {
		return
	}
	c.upAt.set()
	close(c.up)
	buf := make([]byte, 2048)
	for {
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}

// send sends one frame.
func (c *loadCustomer) send(payload []byte) error {
	b, err := c.line.next(payload)
	if err != nil {
		return err
	}
	e, err := c.out.EncryptRTP(c.cipher[:0], b, nil)
	if err != nil {
		return err
	}
	_, err = c.conn.WriteToUDPAddrPort(e, *c.peer.Load())
	return err
}

func (c *loadCustomer) close() {
	_ = c.conn.Close()
	c.wg.Wait()
}

// loadDTLS is the customer's socket as DTLS sees it.
type loadDTLS struct{ c *loadCustomer }

type loadAddr struct{}

func (loadAddr) Network() string { return "udp" }
func (loadAddr) String() string  { return "product" }

func (d loadDTLS) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := d.c.dtlsIn.Read(b, nil)
	return n, loadAddr{}, err
}

func (d loadDTLS) WriteTo(b []byte, _ net.Addr) (int, error) {
	p := d.c.peer.Load()
	if p == nil {
		return 0, net.ErrClosed
	}
	return d.c.conn.WriteToUDPAddrPort(b, *p)
}

func (d loadDTLS) Close() error                      { return nil }
func (d loadDTLS) LocalAddr() net.Addr               { return d.c.conn.LocalAddr() }
func (d loadDTLS) SetDeadline(t time.Time) error     { return d.c.dtlsIn.SetReadDeadline(t) }
func (d loadDTLS) SetReadDeadline(t time.Time) error { return d.c.dtlsIn.SetReadDeadline(t) }
func (d loadDTLS) SetWriteDeadline(time.Time) error  { return nil }
