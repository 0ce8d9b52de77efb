package simulator

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/rtp"

	"deskbridge/media"
)

// PhoneStats are a call's packets as the phone counted them.
type PhoneStats struct {
	Sent, Dropped uint64 // Dropped by the configured loss; not in Sent
	Received      uint64
	SSRCs         int    // distinct SSRCs heard: 1 on a good call
	Sources       int    // distinct addresses heard
	Lost          uint64 // numbers never seen
	Late          uint64 // came after a later number
	Duplicates    uint64
	Jumps         uint64 // numbers that have nothing to do with the last
	TimestampOdd  uint64 // timestamp moved otherwise than the numbers say, without a marker
	UnknownType   uint64
	LongestGap    time.Duration // between two packets heard
}

// phoneAudio is the RTP of one call: a socket, what is said and what is heard.
type phoneAudio struct {
	p    *Phone
	conn *net.UDPConn
	stop chan struct{}

	mu     sync.Mutex
	closed bool
	f      *phoneFormat
	dec    media.Decoder
	enc    media.Encoder
	rate   int
	voice  phoneVoice
	dials  []media.Digit

	heard   []int16
	digits  []byte
	events  media.DigitReceiver
	stats   PhoneStats
	ssrcs   map[uint32]bool
	sources map[netip.AddrPort]bool
	last    rtp.Header
	lastAt  time.Time
	scratch [5760]int16
}

// maxPhoneSources bounds what is remembered of who sent.
const maxPhoneSources = 64

func newPhoneAudio(p *Phone) (*phoneAudio, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.Addr().Addr(), 0)))
	if err != nil {
		return nil, err
	}
	a := &phoneAudio{p: p, conn: conn, stop: make(chan struct{}), ssrcs: map[uint32]bool{}, sources: map[netip.AddrPort]bool{}}
	if err := a.play(p.cfg.Source); err != nil {
		_ = conn.Close()
		return nil, err
	}
	p.do(a.listen)
	return a, nil
}

func (a *phoneAudio) addr() netip.AddrPort {
	at := a.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

func (a *phoneAudio) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.closed = true
		close(a.stop)
		_ = a.conn.Close()
	}
}

// use puts a format into force; the first one starts the sender.
func (a *phoneAudio) use(f *phoneFormat) {
	a.mu.Lock()
	first := a.f == nil
	if first || a.f.codec != f.codec {
		rate := media.EncodeRate(f.codec)
		dec, err := media.NewDecoder(f.codec, rate)
		enc, err2 := media.NewEncoder(f.codec, rate)
		if err := errors.Join(err, err2); err != nil {
			a.mu.Unlock()
			a.p.log.Error("phone codec", "err", err)
			return
		}
		if a.rate != 0 && a.rate != rate {
			a.heard, _ = media.Resample(a.heard, a.rate, rate)
		}
		a.dec, a.enc, a.rate = dec, enc, rate
		a.voice.setRate(rate)
	}
	a.f = f
	a.mu.Unlock()
	if first {
		s := newPhoneSender(a)
		a.p.do(s.run)
	}
}

func (a *phoneAudio) format() *phoneFormat {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.f
}

func (a *phoneAudio) codec() media.Codec {
	if f := a.format(); f != nil {
		return f.codec
	}
	return media.CodecNone
}

func (a *phoneAudio) heardSoFar() ([]int16, int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]int16(nil), a.heard...), a.rate
}

func (a *phoneAudio) digitsSoFar() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return string(a.digits)
}

func (a *phoneAudio) statsSoFar() PhoneStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.stats
	s.SSRCs, s.Sources = len(a.ssrcs), len(a.sources)
	return s
}

func (a *phoneAudio) gotDigit(d byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.digits) < 256 {
		a.digits = append(a.digits, d)
	}
}

func (a *phoneAudio) listen() {
	buf := make([]byte, 2000)
	for {
		n, src, err := a.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			a.receive(buf[:n], src, time.Now())
		}
	}
}

func (a *phoneAudio) receive(b []byte, src netip.AddrPort, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var pkt rtp.Packet
	if pkt.Unmarshal(b) != nil || pkt.Version != 2 || a.f == nil {
		return
	}
	if len(a.sources) < maxPhoneSources {
		a.sources[src] = true
	}
	switch {
	case pkt.PayloadType == a.f.pt:
		if missing, ok := a.inOrder(&pkt, now); ok {
			a.hear(&pkt, missing)
		}
	case a.f.digits != 0 && pkt.PayloadType == a.f.digits:
		a.inOrder(&pkt, now)
		if d, ok := a.events.Receive(pkt.Payload, pkt.Timestamp); ok && len(a.digits) < 256 {
			a.digits = append(a.digits, byte(d))
		}
	default:
		a.stats.UnknownType++
	}
}

// inOrder counts what is odd about a packet's numbers. ok is false for one that comes too late; missing is how many did not
// come before it.
func (a *phoneAudio) inOrder(pkt *rtp.Packet, now time.Time) (missing int, ok bool) {
	st, h := &a.stats, &a.last
	st.Received++
	known := a.ssrcs[pkt.SSRC]
	if len(a.ssrcs) < maxPhoneSources {
		a.ssrcs[pkt.SSRC] = true
	}
	if a.lastAt.IsZero() || !known || pkt.SSRC != h.SSRC {
		*h, a.lastAt = pkt.Header, now
		return 0, true
	}
	st.LongestGap = max(st.LongestGap, now.Sub(a.lastAt))
	a.lastAt = now
	step := int16(pkt.SequenceNumber - h.SequenceNumber)
	switch {
	case step == 0:
		st.Duplicates++
		return 0, false
	case step < 0 && step > -100:
		st.Late++
		if st.Lost > 0 {
			st.Lost--
		}
		return 0, false
	case step < 0 || step > 1000:
		st.Jumps++
		*h = pkt.Header
		return 0, true
	}
	st.Lost += uint64(step - 1)
	if step == 1 && pkt.PayloadType == a.f.pt && h.PayloadType == a.f.pt && !pkt.Marker {
		if d := pkt.Timestamp - h.Timestamp; d == 0 || a.f.codec.Duration(d) > 120*time.Millisecond {
			st.TimestampOdd++
		}
	}
	*h = pkt.Header
	return int(step - 1), true
}

// hear decodes a packet, and what is missing before it, onto the tape.
func (a *phoneAudio) hear(pkt *rtp.Packet, missing int) {
	limit := int(int64(a.p.cfg.KeepHeard) * int64(a.rate) / int64(time.Second))
	frame := int(int64(a.f.ptime) * int64(a.rate) / int64(time.Second))
	for i := min(missing, 10); i > 0; i-- {
		pcm := a.scratch[:frame:frame]
		if i > 1 || !a.dec.Recover(pkt.Payload, pcm) {
			a.dec.Conceal(pcm)
		}
		a.keep(pcm, limit)
	}
	n, err := a.dec.Decode(pkt.Payload, a.scratch[:])
	if err != nil {
		a.stats.UnknownType++
		return
	}
	a.keep(a.scratch[:n], limit)
}

func (a *phoneAudio) keep(pcm []int16, limit int) {
	a.voice.hear(pcm)
	if room := limit - len(a.heard); room > 0 {
		a.heard = append(a.heard, pcm[:min(room, len(pcm))]...)
	}
}
