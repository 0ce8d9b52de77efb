package ivr

import (
	"sync"
	"sync/atomic"
	"time"

	"deskbridge/media"
)

const (
	frameSamples = Rate / 50
	frameTicks   = 960 // 20 ms on Opus's RTP clock
	framePTime   = 20 * time.Millisecond
)

// stream is a menu's audio as the call sees it: we are the far end, so what we say is "received" and what the caller says
// is "sent".
type stream struct {
	wake func() // the sink changed, the first frame or a key came; never blocks
	key  func(media.Digit)

	mu     sync.Mutex // held while the sink is called, so that SetSink means what it promises
	sink   media.Sink
	packet media.Packet
	said   uint64
	first  time.Time // first packet of ours

	heard      atomic.Uint64
	firstHeard atomic.Pointer[time.Time]
}

var _ media.Stream = (*stream)(nil)

// Format implements media.Stream: Opus, always. The call converts.
func (s *stream) Format() media.Format { return media.Format{Codec: media.Opus, PTime: framePTime} }

// SetSink implements media.Stream.
func (s *stream) SetSink(k media.Sink) {
	s.mu.Lock()
	s.sink = k
	s.mu.Unlock()
	s.wake()
}

// SendFrame implements media.Stream. A menu listens to keys only.
func (s *stream) SendFrame(*media.Frame) {
	if s.heard.Add(1) == 1 {
		now := time.Now()
		s.firstHeard.Store(&now)
		s.wake()
	}
}

// SendDigit implements media.Stream.
func (s *stream) SendDigit(d media.Digit) { s.key(d) }

// Stats implements media.Stream.
func (s *stream) Stats() media.Stats {
	s.mu.Lock()
	st := media.Stats{Received: s.said, FirstReceived: s.first, Sent: s.heard.Load(), RemoteLoss: -1}
	s.mu.Unlock()
	if at := s.firstHeard.Load(); at != nil {
		st.FirstSent = *at
	}
	return st
}

func (s *stream) joined() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sink != nil
}

// push gives the sink one packet of our line; false when there is none to take it.
func (s *stream) push(payload []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sink == nil {
		return false
	}
	now := time.Now()
	if s.said == 0 {
		s.first = now
	}
	s.packet = media.Packet{Payload: payload, Arrival: now, Timestamp: s.packet.Timestamp + frameTicks, Sequence: s.packet.Sequence + 1, Marker: s.said == 0}
	s.said++
	s.sink.ReceivePacket(&s.packet)
	return true
}
