package whatsapp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"deskbridge/media"
)

// maxDatagram is the largest packet we take; nothing in this protocol is larger than an Ethernet frame.
const maxDatagram = 1500

// socket is the UDP socket of one call as the ICE agent sees it. The agent's reader goroutine calls ReadFromAddrPort; STUN
// goes on to the agent, while packets from addresses of the peer that passed a check are used right here: no copy and no
// second goroutine per packet. Whatever comes from elsewhere takes the agent's way or is dropped, so nothing gets around
// its checks.
type socket struct {
	s    *mediaSession
	conn *media.Socket

	answered bool      // the packet last returned was the answer to a check
	agentSaw time.Time // when a media packet last went the agent's way
}

func (k *socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	if k.answered {
		k.answered = false
		k.s.nudge() // the agent has digested it by now
	}
	for errs := 0; ; {
		n, src, err := k.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			// The agent stops reading for good on any error, so it only hears of the end.
			if errs++; errs > 100 || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
				return 0, src, err
			}
			continue
		}
		errs = 0
		src = netip.AddrPortFrom(src.Addr().Unmap(), src.Port())
		if k.arrive(b[:n], src) {
			k.answered = isCheckAnswer(b[:n])
			return n, src, nil
		}
	}
}

// isCheckAnswer recognises a STUN binding success response (RFC 8489 §5).
func isCheckAnswer(b []byte) bool { return len(b) >= 20 && b[0] == 0x01 && b[1] == 0x01 }

func (k *socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if isCheckAnswer(b) {
		k.s.checked(netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
	}
	return k.conn.WriteToUDPAddrPort(b, to)
}

func (k *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, src, err := k.ReadFromAddrPort(b)
	return n, net.UDPAddrFromAddrPort(src), err
}

func (k *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	if u, ok := to.(*net.UDPAddr); ok {
		return k.WriteToAddrPort(b, u.AddrPort())
	}
	return k.conn.WriteTo(b, to)
}

func (k *socket) Close() error                       { return k.conn.Close() }
func (k *socket) LocalAddr() net.Addr                { return k.conn.LocalAddr() }
func (k *socket) SetDeadline(t time.Time) error      { return k.conn.SetDeadline(t) }
func (k *socket) SetReadDeadline(t time.Time) error  { return k.conn.SetReadDeadline(t) }
func (k *socket) SetWriteDeadline(t time.Time) error { return k.conn.SetWriteDeadline(t) }

// maxChecked bounds the peer's addresses that may send us media.
const maxChecked = 16

// checked notes an address of the peer: the agent answers only checks that carry our password. The peer may send on any such
// pair, and browsers do choose another than we (RFC 8445 §12.2: receive on all of them, whatever was nominated).
func (s *mediaSession) checked(a netip.AddrPort) {
	s.checkedMu.Lock()
	defer s.checkedMu.Unlock()
	known := s.checkedAddrs.Load()
	if known == nil {
		known = &[]netip.AddrPort{}
	}
	if len(*known) < maxChecked && !slices.Contains(*known, a) {
		more := append(slices.Clone(*known), a)
		s.checkedAddrs.Store(&more)
	}
}

func (s *mediaSession) isChecked(a netip.AddrPort) bool {
	known := s.checkedAddrs.Load()
	return known != nil && slices.Contains(*known, a)
}

// arrive looks at one datagram of the socket and reports whether the agent shall have it.
func (k *socket) arrive(b []byte, src netip.AddrPort) (toAgent bool) {
	s := k.s
	defer s.fence()
	now := time.Now()
	peer := s.peer.Load()
	selected := peer != nil && *peer == src
	switch {
	case len(b) == 0 || len(b) > maxDatagram:
		s.drop(dropSize)
		return false
	case b[0] < 4: // STUN, RFC 7983 §7
		return s.admitSTUN(src, selected, now)
	case !selected && (!s.up.Load() || !s.isChecked(src)):
		return s.admitUnselected(now)
	case now.Sub(k.agentSaw) > time.Second:
		// Once a second a packet goes the long way: the agent counts it as a sign of life beside the consent checks.
		k.agentSaw = now
		return true
	}
	s.datagram(b, now)
	return false
}

// admitSTUN limits what reaches the agent, which allocates and computes an HMAC for every message. A flood from elsewhere
// doesn't use up the share of the addresses the SDP named.
func (s *mediaSession) admitSTUN(src netip.AddrPort, selected bool, now time.Time) bool {
	limit := s.stunOther
	if selected || s.isCandidate(src) {
		limit = s.stunKnown
	}
	if !limit.AllowN(now, 1) {
		s.drop(dropRate)
		return false
	}
	return true
}

func (s *mediaSession) isCandidate(a netip.AddrPort) bool {
	for _, c := range s.remote.candidates {
		if c.addr == a {
			return true
		}
	}
	return false
}

// admitUnselected lets the agent judge a packet from an address it hasn't selected while the keys aren't there yet: the
// peer may begin DTLS on a pair it knows to be good before we do. Afterwards one that passed no check is a stranger's.
func (s *mediaSession) admitUnselected(now time.Time) bool {
	if s.up.Load() || !s.stunOther.AllowN(now, 1) {
		s.drop(dropSource)
		return false
	}
	return true
}

// readAgent takes what comes the agent's way, until the agent closes.
func (s *mediaSession) readAgent() {
	defer s.wg.Done()
	buf := make([]byte, 8192) // the agent passes any size on
	for {
		n, err := s.ice.Load().Read(buf)
		if err != nil {
			return
		}
		s.takeFromAgent(buf[:n])
	}
}

func (s *mediaSession) takeFromAgent(b []byte) {
	defer s.fence()
	s.datagram(b, time.Now())
}

// datagram tells DTLS, RTP and RTCP apart (RFC 7983 §7, RFC 5761 §4). b is valid until it returns.
func (s *mediaSession) datagram(b []byte, now time.Time) {
	switch {
	case len(b) < 2 || len(b) > maxDatagram:
		s.drop(dropSize)
	case b[0] >= 20 && b[0] <= 63:
		if !s.dtlsRate.AllowN(now, 1) {
			s.drop(dropRate)
		} else if !s.dtlsIn.push(b) {
			s.drop(dropQueue)
		}
	case b[0] < 128 || b[0] > 191:
		s.drop(dropKind)
	case b[1] >= 192 && b[1] <= 223:
		s.rx.receiveRTCP(b, now)
	default:
		s.rx.receiveRTP(b, now)
	}
}

func (s *mediaSession) drop(r dropReason) { s.f.metrics.drops[r].Inc() }
