package sip

import (
	"sync/atomic"

	"github.com/pion/rtp"

	"deskbridge/media"
)

// maxRTPPacket is the largest packet we send or take.
const maxRTPPacket = 1500

// sendSide is the outgoing half of a session: one media.Outlet for the whole leg, made at the first agreement.
type sendSide struct {
	outlet atomic.Pointer[media.Outlet]
	early  atomic.Uint64 // frames that came before there was anything to send them with

	buf [maxRTPPacket]byte // under the outlet's lock
}

// adopt makes the outlet follow an agreement. Before Start nothing is sent. The caller holds the session's mu.
func (o *sendSide) adopt(s *mediaSession, g *agreement) {
	if s.closed {
		return
	}
	var digits *media.DigitFormat
	if g.digits != nil {
		digits = &media.DigitFormat{PayloadType: g.digits.send, ClockRate: g.digits.clock}
	}
	outlet := o.outlet.Load()
	if outlet == nil {
		outlet = media.NewOutlet(media.OutletConfig{
			Format: g.format(), PayloadType: g.audio.send, SSRC: s.ssrc, Digits: digits, Fill: true,
			Write: s.writeRTP,
			Panicked: func(v any) {
				s.e.metrics.panics.Inc()
				s.e.log.Error("panic in media", "where", "outlet", "panic", v)
				s.broken.Store(true)
			},
		})
		o.outlet.Store(outlet)
	} else {
		outlet.SetFormat(g.format(), g.audio.send, digits)
	}
	outlet.Pause(g.dir&dirSend == 0)
	if s.started {
		outlet.Start()
	}
}

func (o *sendSide) close() {
	if outlet := o.outlet.Load(); outlet != nil {
		outlet.Close()
	}
}

// writeRTP sends one packet. The outlet calls it with its lock held. While the far end's address is unknown there is
// nothing to do: the line goes on, so that its clock is right when the address comes.
func (s *mediaSession) writeRTP(h *rtp.Header, payload []byte) error {
	r := s.route.Load()
	if r == nil {
		return nil
	}
	to := r.to()
	if !to.IsValid() {
		return nil
	}
	n, err := h.MarshalTo(s.out.buf[:])
	if err != nil {
		return err
	}
	n += copy(s.out.buf[n:], payload)
	_, err = s.pair.rtp.WriteToUDPAddrPort(s.out.buf[:n], to)
	return err
}
