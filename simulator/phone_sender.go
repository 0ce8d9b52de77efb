package simulator

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/pion/rtp"

	"deskbridge/media"
)

// phoneSender is the talking half of a call: a frame each ptime, digits among them, through a line that may lose and delay.
type phoneSender struct {
	a     *phoneAudio
	rng   *rand.Rand
	h     rtp.Header
	delay []delayedPacket

	event     media.Digit // being sent, 0 for none
	eventTS   uint32
	eventStep int
	eventRest int // frames of silence before the next digit

	pcm     []int16
	payload [1500]byte
}

type delayedPacket struct {
	b   []byte
	due time.Time
	to  netip.AddrPort
}

// A digit lasts 160 ms and its end is sent three times (RFC 4733 §2.5.1.4).
const (
	eventLength = 160 * time.Millisecond
	eventEnds   = 3
)

func newPhoneSender(a *phoneAudio) *phoneSender {
	s := &phoneSender{a: a, rng: rand.New(rand.NewPCG(a.p.cfg.Seed, uint64(a.addr().Port())))}
	s.h = rtp.Header{
		Version: 2, SSRC: rand.Uint32(), SequenceNumber: uint16(rand.Uint32()), Timestamp: rand.Uint32(), Marker: true,
	}
	return s
}

// dial queues digits.
func (a *phoneAudio) dial(digits string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.f == nil || a.f.digits == 0 {
		return errors.New("send digits: no telephone-event negotiated")
	}
	for i := range len(digits) {
		d, ok := media.ParseDigit(digits[i])
		if !ok || len(a.dials) >= 64 {
			return errors.New("send digits: not a digit, or too many at once")
		}
		a.dials = append(a.dials, d)
	}
	return nil
}

// run keeps the phone's clock. Delayed packets leave between the frames, in the order they were made.
func (s *phoneSender) run() {
	next := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.a.stop:
			return
		case <-timer.C:
		}
		now := time.Now()
		s.flush(now)
		if !now.Before(next) {
			next = next.Add(s.frame(now))
			if now.Sub(next) > time.Second { // the process was stopped
				next = now
			}
		}
		wake := next
		if len(s.delay) > 0 && s.delay[0].due.Before(wake) {
			wake = s.delay[0].due
		}
		timer.Reset(time.Until(wake))
	}
}

// frame makes and sends one frame's worth and returns its length.
func (s *phoneSender) frame(now time.Time) time.Duration {
	a := s.a
	a.mu.Lock()
	defer a.mu.Unlock()
	f, length := a.f, a.f.ptime
	if f.codec == media.Opus {
		length = 20 * time.Millisecond
	}
	ticks := f.codec.Ticks(length)
	defer func() { s.h.Timestamp += ticks }()
	if !f.send || a.voice.src.Quiet {
		s.h.Marker = true
		return length
	}
	if s.digit(now, f, length) {
		return length
	}
	n := int(int64(length) * int64(a.rate) / int64(time.Second))
	if cap(s.pcm) < n {
		s.pcm = make([]int16, n)
	}
	s.pcm = s.pcm[:n]
	a.voice.say(s.pcm)
	size, err := a.enc.Encode(s.pcm, s.payload[:])
	if err != nil {
		a.p.log.Error("phone encoder", "err", err)
		return length
	}
	s.h.PayloadType = f.pt
	s.send(now, f, s.payload[:size], s.h.Timestamp)
	return length
}

// digit sends the next packet of the running digit, if there is one.
func (s *phoneSender) digit(now time.Time, f *phoneFormat, frame time.Duration) bool {
	a := s.a
	if s.eventRest > 0 {
		s.eventRest--
		return false
	}
	if s.event == 0 {
		if len(a.dials) == 0 || f.digits == 0 {
			return false
		}
		s.event, a.dials = a.dials[0], a.dials[1:]
		s.eventTS, s.eventStep = s.h.Timestamp, 0
		s.h.Marker = true
	}
	s.eventStep++
	length := min(time.Duration(s.eventStep)*frame, eventLength)
	over := length == eventLength
	repeat := 1
	if over {
		repeat = eventEnds
	}
	var b [4]byte
	b[0] = byte(strings.IndexByte("0123456789*#ABCD", byte(s.event)))
	b[1] = 10
	if over {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], uint16(int64(length)*int64(f.digitClock)/int64(time.Second)))
	s.h.PayloadType = f.digits
	for range repeat {
		s.send(now, f, b[:], s.eventTS)
	}
	if over {
		s.event, s.eventRest = 0, int(80*time.Millisecond/frame)+1
	}
	return true
}

// send puts one packet on the line. A lost one uses up its number.
func (s *phoneSender) send(now time.Time, f *phoneFormat, payload []byte, ts uint32) {
	h := s.h
	h.Timestamp = ts
	s.h.SequenceNumber++
	s.h.Marker = false
	cfg := &s.a.p.cfg
	if cfg.Loss > 0 && s.rng.Float64() < cfg.Loss {
		s.a.stats.Dropped++
		return
	}
	b, err := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
	if err != nil {
		return
	}
	s.a.stats.Sent++
	if cfg.Jitter <= 0 {
		_, _ = s.a.conn.WriteToUDPAddrPort(b, f.remote)
		return
	}
	due := now.Add(time.Duration(s.rng.Int64N(int64(cfg.Jitter))))
	if n := len(s.delay); n > 0 && s.delay[n-1].due.After(due) {
		due = s.delay[n-1].due // a queue delays, it does not overtake
	}
	s.delay = append(s.delay, delayedPacket{b, due, f.remote})
}

func (s *phoneSender) flush(now time.Time) {
	n := 0
	for ; n < len(s.delay) && !s.delay[n].due.After(now); n++ {
		_, _ = s.a.conn.WriteToUDPAddrPort(s.delay[n].b, s.delay[n].to)
	}
	if n > 0 {
		s.delay = append(s.delay[:0], s.delay[n:]...)
	}
}
