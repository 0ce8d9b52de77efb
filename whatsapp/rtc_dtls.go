package whatsapp

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
)

// dtlsFlight is the first retransmission interval, doubled each time. RFC 9147 §5.8.2 suggests 1 s for want of knowledge;
// we only start once ICE has measured the path, and a lost flight is silence at the start of the call.
const dtlsFlight = 300 * time.Millisecond

// newCertificate makes the self-signed ECDSA P-256 certificate of one session (RFC 8827 §6.5: small, not linkable).
func newCertificate(now time.Time) (tls.Certificate, fingerprint, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fingerprint{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63))
	if err != nil {
		return tls.Certificate{}, fingerprint{}, err
	}
	t := x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "WebRTC"},
		NotBefore:    now.Add(-24 * time.Hour), // clocks differ
		NotAfter:     now.Add(30 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, &t, &t, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fingerprint{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, sha256.Sum256(der), nil
}

// verifyFingerprint is what replaces a certificate authority: the certificate must be the one the SDP named (RFC 8122 §6.2).
func verifyFingerprint(want []fingerprint) func([][]byte, [][]*x509.Certificate) error {
	return func(raw [][]byte, _ [][]*x509.Certificate) error {
		if len(raw) == 0 {
			return fmt.Errorf("%w: no certificate", ErrMediaFingerprint)
		}
		got := sha256.Sum256(raw[0])
		ok := 0
		for _, w := range want {
			ok |= subtle.ConstantTimeCompare(got[:], w[:])
		}
		if ok != 1 {
			return ErrMediaFingerprint
		}
		return nil
	}
}

// handshake runs DTLS over the session's datagrams until both sides have keys.
func (s *mediaSession) handshake(ctx context.Context) (*dtls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.f.cfg.HandshakeLimit)
	defer cancel()
	var bad error // what the peer's certificate lacked; the library keeps only the text of it
	verify := verifyFingerprint(s.remote.fingerprints)
	opts := []dtls.Option{
		dtls.WithCertificates(s.cert),
		dtls.WithSRTPProtectionProfiles(srtpProfiles...),
		dtls.WithInsecureSkipVerify(true), // no chain: verifyFingerprint decides
		dtls.WithVerifyPeerCertificate(func(raw [][]byte, chains [][]*x509.Certificate) error {
			bad = verify(raw, chains)
			return bad
		}),
		dtls.WithFlightInterval(dtlsFlight),
		dtls.WithLoggerFactory(pionLoggers{s.log}),
	}
	var conn *dtls.Conn
	var err error
	if s.dtlsClient {
		conn, err = dtls.ClientWithOptions(s.dtlsIn, s.dtlsIn.RemoteAddr(), asClient(opts)...)
	} else {
		conn, err = dtls.ServerWithOptions(s.dtlsIn, s.dtlsIn.RemoteAddr(), asServer(opts)...)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMediaDTLS, err)
	}
	if err = conn.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		if bad != nil {
			return nil, bad
		}
		return nil, fmt.Errorf("%w: %w", ErrMediaDTLS, err)
	}
	return conn, nil
}

func asClient(opts []dtls.Option) (c []dtls.ClientOption) {
	for _, o := range opts {
		c = append(c, o)
	}
	return c
}

func asServer(opts []dtls.Option) (c []dtls.ServerOption) {
	for _, o := range opts {
		c = append(c, o)
	}
	// A client without a certificate proves nothing (RFC 5763 §5). The cookie exchange would only cost a round trip: ICE
	// has already shown that the address answers.
	return append(c, dtls.WithClientAuth(dtls.RequireAnyClientCert), dtls.WithInsecureSkipVerifyHello(true))
}

// drainDTLS reads what the peer sends inside DTLS after the handshake, which is nothing but alerts, until the connection
// ends; then it tells the session.
func (s *mediaSession) drainDTLS(conn *dtls.Conn) {
	buf := make([]byte, 2048)
	for range 1 << 16 {
		if _, err := conn.Read(buf); errors.Is(err, io.EOF) {
			break
		}
	}
	close(s.dtlsGone)
}

// dtlsPipe is the packet connection DTLS believes to have: in come the datagrams the demultiplexer recognised, out they go
// on the ICE connection. The library waits for packets with deadlines, which it uses to stop its reader.
type dtlsPipe struct {
	queue chan []byte
	conn  func() *ice.Conn

	mu       sync.Mutex
	deadline time.Time
	changed  chan struct{} // closed when deadline changes
	once     sync.Once
	closed   chan struct{}
}

// A handshake flight is at most six datagrams; twice that for a retransmission.
const dtlsQueue = 12

func newDTLSPipe(conn func() *ice.Conn) *dtlsPipe {
	return &dtlsPipe{queue: make(chan []byte, dtlsQueue), conn: conn, changed: make(chan struct{}), closed: make(chan struct{})}
}

// push hands over one datagram, or reports that nobody reads.
func (p *dtlsPipe) push(b []byte) bool {
	select {
	case p.queue <- bytes.Clone(b):
		return true
	default:
		return false
	}
}

func (p *dtlsPipe) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		p.mu.Lock()
		deadline, changed := p.deadline, p.changed
		p.mu.Unlock()
		var timer *time.Timer
		var expired <-chan time.Time
		if !deadline.IsZero() {
			timer = time.NewTimer(time.Until(deadline))
			expired = timer.C
		}
		n, err, again := p.wait(b, expired, changed)
		if timer != nil {
			timer.Stop()
		}
		if !again {
			return n, p.RemoteAddr(), err
		}
	}
}

func (p *dtlsPipe) wait(b []byte, expired <-chan time.Time, changed <-chan struct{}) (n int, err error, again bool) {
	select {
	case d := <-p.queue:
		return copy(b, d), nil, false
	case <-p.closed:
		return 0, net.ErrClosed, false
	case <-expired:
		return 0, os.ErrDeadlineExceeded, false
	case <-changed:
		return 0, nil, true
	}
}

func (p *dtlsPipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	c := p.conn()
	if c == nil {
		return 0, net.ErrClosed
	}
	return c.Write(b)
}

func (p *dtlsPipe) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	close(p.changed)
	p.changed = make(chan struct{})
	return nil
}

// Close ends the pipe, not the ICE connection, which belongs to the session.
func (p *dtlsPipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *dtlsPipe) SetDeadline(t time.Time) error    { return p.SetReadDeadline(t) }
func (p *dtlsPipe) SetWriteDeadline(time.Time) error { return nil }
func (p *dtlsPipe) LocalAddr() net.Addr              { return dtlsAddr{} }
func (p *dtlsPipe) RemoteAddr() net.Addr             { return dtlsAddr{} }

// dtlsAddr stands for whatever pair ICE has selected.
type dtlsAddr struct{}

func (dtlsAddr) Network() string { return "ice" }
func (dtlsAddr) String() string  { return "ice" }
