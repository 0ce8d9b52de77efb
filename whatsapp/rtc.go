package whatsapp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"deskbridge/media"

	"github.com/prometheus/client_golang/prometheus"
)

// MediaConfig is what all media sessions with WhatsApp share. The zero value works: any port, the address the route to
// the peer uses, IPv4 only.
type MediaConfig struct {
	PortMin, PortMax uint16     // UDP ports, one per call; both 0: any
	IP               netip.Addr // local address to bind and to name; zero: bind all, name the one the route to the peer uses
	PublicIP         netip.Addr // named instead of the local one behind a 1:1 NAT
	IPv6             bool       // a second candidate, for peers that prefer IPv6
	OutboundSetup    string     // a=setup of our offers: "actpass" (default) or "active"

	DisconnectedAfter time.Duration // without any answer to consent checks; default 10 s, only counted and logged
	DeadAfter         time.Duration // the same; default 30 s, the session is dead
	HandshakeLimit    time.Duration // DTLS, default 10 s
	ReportInterval    time.Duration // RTCP, default 5 s

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Errors a session dies of, given to mediaHandlers.Dead.
var (
	ErrMediaICE         = errors.New("media: no connection to the customer's side (ICE)")
	ErrMediaDTLS        = errors.New("media: DTLS handshake")
	ErrMediaFingerprint = errors.New("media: certificate doesn't match the SDP fingerprint")
	ErrMediaClosed      = errors.New("media: closed by the customer's side (DTLS)")
	ErrMediaPanic       = errors.New("media: internal error")
)

// mediaHandlers are called one at a time from the session's own goroutine and under no lock. They may call any method
// of the session, Close included. None is called after Close has returned, unless Close was called while it ran.
type mediaHandlers struct {
	Up    func()            // keys are there, audio can flow both ways (but for the gate)
	Digit func(media.Digit) // the customer pressed a key
	Dead  func(err error)   // at most once; Close is still to be called

	Logger *slog.Logger // with the call's attributes; nil: the factory's
}

// mediaFactory opens the media sessions of all calls and owns the port range.
type mediaFactory struct {
	cfg     MediaConfig
	log     *slog.Logger
	ports   *portPool
	metrics *rtcMetrics
}

func newMediaFactory(cfg MediaConfig) (*mediaFactory, error) {
	switch cfg.OutboundSetup {
	case "":
		cfg.OutboundSetup = string(setupActpass)
	case string(setupActpass), string(setupActive):
	default:
		return nil, fmt.Errorf("outbound_dtls %q: want %q or %q", cfg.OutboundSetup, setupActpass, setupActive)
	}
	if cfg.PortMin > cfg.PortMax {
		return nil, fmt.Errorf("media ports %d-%d: first above last", cfg.PortMin, cfg.PortMax)
	}
	if cfg.PortMin == 0 && cfg.PortMax != 0 {
		return nil, fmt.Errorf("media ports 0-%d: port 0 can't be the first", cfg.PortMax)
	}
	cfg.IP, cfg.PublicIP = cfg.IP.Unmap(), cfg.PublicIP.Unmap()
	if cfg.IP.IsValid() && cfg.IP.IsUnspecified() {
		cfg.IP = netip.Addr{}
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&cfg.DisconnectedAfter, 10*time.Second)
	def(&cfg.DeadAfter, 30*time.Second)
	def(&cfg.HandshakeLimit, 10*time.Second)
	def(&cfg.ReportInterval, 5*time.Second)
	if cfg.DeadAfter <= cfg.DisconnectedAfter {
		return nil, fmt.Errorf("media timers: dead after %v must be above disconnected after %v", cfg.DeadAfter, cfg.DisconnectedAfter)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	metrics, err := newRTCMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("media metrics: %w", err)
	}
	return &mediaFactory{cfg: cfg, log: cfg.Logger, ports: newPortPool(cfg.PortMin, cfg.PortMax), metrics: metrics}, nil
}

// open binds the socket of one call. Nothing is sent before Start.
func (f *mediaFactory) open(h mediaHandlers) (*mediaSession, error) {
	s, err := newMediaSession(f, h)
	if err != nil {
		return nil, fmt.Errorf("open media session: %w", err)
	}
	f.metrics.open.Inc()
	return s, nil
}
