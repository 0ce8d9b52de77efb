package whatsapp

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/transport/v5"
)

const (
	// checkInterval is Ta of RFC 8445 §14.2. pion's own default of 200 ms is what makes a stock PeerConnection slow.
	checkInterval = 50 * time.Millisecond
	// consentInterval is how often the selected pair is checked (RFC 7675 §5.1: 4 to 6 s).
	consentInterval = 4 * time.Second
	// maxNudges bounds the checks we send ahead of the interval.
	maxNudges = 32
)

// newAgent makes the ICE agent over our own sockets: host candidates only, no gathering, no mDNS, no STUN or TURN server.
func (s *mediaSession) newAgent() (*ice.Agent, error) {
	cfg := s.f.cfg
	checks := cfg.DeadAfter / checkInterval // a pair must not be given up before the session is
	agent, err := ice.NewAgentWithOptions(
		ice.WithNet(noNet{}),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}),
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6}),
		ice.WithLocalCredentials(s.ufrag, s.pwd),
		ice.WithCheckInterval(checkInterval),
		ice.WithMaxBindingRequests(uint16(min(checks+1, 1<<15))),
		ice.WithKeepaliveInterval(min(consentInterval, cfg.DisconnectedAfter/3)),
		ice.WithDisconnectedTimeout(cfg.DisconnectedAfter),
		ice.WithFailedTimeout(cfg.DeadAfter-cfg.DisconnectedAfter), // counted from disconnected
		ice.WithPrflxAcceptanceMinWait(100*time.Millisecond),       // a little patience for better pairs
		ice.WithLoggerFactory(pionLoggers{s.log}),
	)
	if err != nil {
		return nil, fmt.Errorf("ICE agent: %w", err)
	}
	if err = s.wireAgent(agent); err != nil {
		return nil, errors.Join(fmt.Errorf("ICE agent: %w", err), agent.GracefulClose())
	}
	return agent, nil
}

func (s *mediaSession) wireAgent(agent *ice.Agent) error {
	if err := agent.OnConnectionStateChange(s.onICEState); err != nil {
		return err
	}
	if err := agent.OnSelectedCandidatePairChange(s.onICEPair); err != nil {
		return err
	}
	for i, sock := range s.socks {
		local, err := hostCandidate(s.addrs[i], hostPriority(i))
		if err != nil {
			return err
		}
		if err = agent.AddVirtualCandidate(local, sock); err != nil {
			return err
		}
	}
	for _, c := range s.remote.candidates {
		// To us every remote candidate is a host: what its address is good for the checks will tell.
		remote, err := hostCandidate(c.addr, c.priority)
		if err != nil {
			return err
		}
		if err = agent.AddRemoteCandidate(remote); err != nil {
			return err
		}
	}
	return agent.SetRemoteICELite(s.remote.iceLite)
}

func hostCandidate(a netip.AddrPort, priority uint32) (ice.Candidate, error) {
	return ice.NewCandidateHost(&ice.CandidateHostConfig{
		Network: "udp", Address: a.Addr().String(), Port: int(a.Port()), Component: ice.ComponentRTP, Priority: priority,
	})
}

func (s *mediaSession) onICEState(state ice.ConnectionState) {
	defer s.fence()
	switch state {
	case ice.ConnectionStateConnected:
		s.connectedOnce.Do(func() { close(s.connected) })
	case ice.ConnectionStateDisconnected:
		s.f.metrics.disconnected.Inc()
		s.log.Info("customer's side stopped answering")
	case ice.ConnectionStateFailed:
		s.fail(ErrMediaICE)
	}
}

// onICEPair learns the address from which packets take the short way (socket.go).
func (s *mediaSession) onICEPair(_, remote ice.Candidate) {
	defer s.fence()
	if ip, err := netip.ParseAddr(remote.Address()); err == nil {
		addr := netip.AddrPortFrom(ip.Unmap(), uint16(remote.Port()))
		s.peer.Store(&addr)
	}
}

// nudge makes the agent act on a check's answer now instead of at its next tick: nominate, so that media is up after two
// round trips. Setting what is already set is the way the library offers to wake it.
func (s *mediaSession) nudge() {
	select {
	case <-s.connected:
		return
	default:
	}
	if s.nudges.Add(1) <= maxNudges {
		_ = s.agent.SetRemoteICELite(s.remote.iceLite)
	}
}

// routeTo finds the local address the kernel would use towards the peer; no packet is sent.
func routeTo(peer netip.Addr) (netip.Addr, bool) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(peer, 9)))
	if err != nil {
		return netip.Addr{}, false
	}
	defer c.Close()
	a := localAddrPort(c).Addr().Unmap()
	return a, a.IsValid() && !a.IsUnspecified()
}

// Where the default route leads, asked when the peer isn't known yet: addresses nobody has (RFC 5737, RFC 3849).
var (
	somewhere4 = netip.MustParseAddr("192.0.2.1")
	somewhere6 = netip.MustParseAddr("2001:db8::1")
)

// localFor chooses the address of one family to name for ourselves.
func localFor(v6 bool, remote []remoteCandidate) (netip.Addr, bool) {
	for _, c := range remote {
		if c.addr.Addr().Is6() == v6 {
			if a, ok := routeTo(c.addr.Addr()); ok {
				return a, true
			}
		}
	}
	if v6 {
		return routeTo(somewhere6)
	}
	if a, ok := routeTo(somewhere4); ok {
		return a, true
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true // a machine without a network still has itself
}

// noNet keeps the agent from looking at interfaces: it gets its candidates from us, and asking the kernel for the list
// costs more than all the rest of opening a session.
type noNet struct{ transport.Net }

func (noNet) Interfaces() ([]*transport.Interface, error) { return nil, nil }

// pionLoggers passes the libraries' warnings on at debug level: strangers can cause any number of them. Their own debug
// level prints ICE passwords, so it goes nowhere.
type pionLoggers struct{ log *slog.Logger }

func (l pionLoggers) NewLogger(scope string) logging.LeveledLogger {
	return pionLogger{l.log.With("library", scope)}
}

type pionLogger struct{ log *slog.Logger }

func (l pionLogger) debug(msg string, args ...any) {
	if l.log.Enabled(nil, slog.LevelDebug) { //nolint:staticcheck // no context here
		l.log.Debug("media library", "text", fmt.Sprintf(msg, args...))
	}
}

func (pionLogger) Trace(string)                    {}
func (pionLogger) Tracef(string, ...any)           {}
func (pionLogger) Debug(string)                    {}
func (pionLogger) Debugf(string, ...any)           {}
func (pionLogger) Info(string)                     {}
func (pionLogger) Infof(string, ...any)            {}
func (l pionLogger) Warn(msg string)               { l.debug("%s", msg) }
func (l pionLogger) Warnf(msg string, args ...any) { l.debug(msg, args...) }
func (l pionLogger) Error(msg string)              { l.debug("%s", msg) }
func (l pionLogger) Errorf(msg string, a ...any)   { l.debug(msg, a...) }
