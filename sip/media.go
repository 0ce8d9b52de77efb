package sip

import (
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deskbridge/media"
)

// MediaConfig sets up the audio of the SIP side.
type MediaConfig struct {
	// PortMin and PortMax bound the RTP ports, both included; both zero lets the kernel choose.
	PortMin, PortMax uint16
	// IP is the address media sockets bind to. Unset or unspecified: the address the system would use towards the peer.
	IP netip.Addr
	// AdvertisedIP is what our SDP says where a 1:1 NAT stands before us. Unset: the bound address.
	AdvertisedIP netip.Addr

	Drain      time.Duration // a used port pair rests so long before its next call; 0 means 5 s
	Timeout    time.Duration // silence of the far end, hold excepted, before mediaHandlers.Timeout; 0 means 30 s
	ReportTime time.Duration // RTCP interval; 0 means 5 s (RFC 3550 §6.2)

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// mediaEngine owns the RTP ports and one goroutine that keeps time for all sessions: RTCP reports and the watch for
// silence. Each session has a reader goroutine per socket of its own.
type mediaEngine struct {
	cfg     MediaConfig
	log     *slog.Logger
	ports   *portPool
	metrics *mediaMetrics

	mu       sync.Mutex
	sessions map[*mediaSession]struct{}
	closed   bool

	stop chan struct{}
	done chan struct{}
}

// engineTick is how often sessions are looked at: it bounds the error of the timeout and of the RTCP interval.
const engineTick = 250 * time.Millisecond

func newMediaEngine(cfg MediaConfig) (*mediaEngine, error) {
	setDefault(&cfg.Drain, 5*time.Second)
	setDefault(&cfg.Timeout, 30*time.Second)
	setDefault(&cfg.ReportTime, 5*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ports, err := newPortPool(cfg.PortMin, cfg.PortMax, cfg.Drain)
	if err != nil {
		return nil, err
	}
	e := &mediaEngine{
		cfg: cfg, log: cfg.Logger, ports: ports,
		sessions: map[*mediaSession]struct{}{},
		stop:     make(chan struct{}), done: make(chan struct{}),
	}
	e.metrics = newMediaMetrics(e)
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(e.metrics); err != nil {
			return nil, fmt.Errorf("register media metrics: %w", err)
		}
	}
	go e.run()
	return e, nil
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d == 0 {
		*d = v
	}
}

// Close ends every session and waits.
func (e *mediaEngine) Close() {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		<-e.done
		return
	}
	e.closed = true
	e.mu.Unlock()
	for _, s := range e.snapshot() {
		s.Close()
	}
	close(e.stop)
	<-e.done
	if e.cfg.Registerer != nil {
		e.cfg.Registerer.Unregister(e.metrics)
	}
}

func (e *mediaEngine) run() {
	defer close(e.done)
	t := time.NewTicker(engineTick)
	defer t.Stop()
	for {
		select {
		case <-e.stop:
			return
		case now := <-t.C:
			for _, s := range e.snapshot() {
				s.tick(now)
			}
		}
	}
}

func (e *mediaEngine) snapshot() []*mediaSession {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]*mediaSession, 0, len(e.sessions))
	for s := range e.sessions {
		out = append(out, s)
	}
	return out
}

// fence keeps a bug in one session from taking the process along: the session goes silent and its watch for silence ends
// the call.
func (e *mediaEngine) fence(s *mediaSession, where string) {
	if r := recover(); r != nil {
		e.metrics.panics.Inc()
		e.log.Error("panic in media", "where", where, "panic", r, "stack", string(debug.Stack()))
		s.broken.Store(true)
	}
}

// mediaSessionConfig is what one leg wants of its media.
type mediaSessionConfig struct {
	Codecs       []media.Codec // in order of preference
	PTime        time.Duration // what we ask for; 0 means 20 ms
	LocalIP      netip.Addr    // overrides MediaConfig.IP
	AdvertisedIP netip.Addr    // overrides MediaConfig.AdvertisedIP
	// RemoteAllowed are the networks media may come from and go to; nil trusts the address in the far end's SDP.
	RemoteAllowed []netip.Prefix
	// SignallingPeer is the address SIP comes from. Media from it is always allowed: behind a NAT it is the true one.
	SignallingPeer netip.Addr
}

// mediaHandlers take what a session notices. They are called from the session's goroutines and must not block, nor call
// Close.
type mediaHandlers struct {
	Digit   func(media.Digit)
	Timeout func() // nothing came for MediaConfig.Timeout while we were not on hold; once per silence
	Format  func() // Stream().Format changed without an offer: the far end went over to another agreed codec
}
