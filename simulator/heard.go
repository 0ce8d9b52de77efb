package simulator

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hraban/opus"
	"github.com/pion/rtp"
)

// Packet is one RTP packet of the business as it arrived at the customer.
type Packet struct {
	Arrival time.Time
	Seq     uint16
	TS      uint32
	SSRC    uint32
	PT      uint8
	Marker  bool
	Payload []byte
}

// Violation is a breach of Meta's media rules by the business.
type Violation struct {
	Kind   string
	At     time.Time
	Detail string
}

// The kinds of violation.
const (
	ViolationEarly     = "early"     // RTP before accept's 200: the client takes it as an accept
	ViolationSSRC      = "ssrc"      // more than one SSRC
	ViolationTimestamp = "timestamp" // timestamps don't advance with the sequence numbers
	ViolationPace      = "pace"      // far more than 50 packets in a second
	ViolationSilence   = "silence"   // nothing for too long
	ViolationPayload   = "payload"   // a payload type that was not negotiated, or a malformed packet
	ViolationPtime     = "ptime"     // frames that are not 20 ms
)

const (
	maxViolations  = 200
	burstPerSecond = 75 // 50 and a 300 ms gate buffer, rounded up
	maxGapFill     = 60 * time.Second
)

// heard is what arrived at a customer. packet and rtcp are called from the SRTP reader.
type heard struct {
	maxSilence time.Duration
	keep       int
	inbound    bool

	mu         sync.Mutex
	header     rtp.Header
	opusPT     uint8
	dtmfPT     uint8
	packets    []Packet
	dropped    uint64 // older than keep
	opened     time.Time
	stopped    bool
	lastRTP    time.Time
	lastRTCP   time.Time
	rtcps      int
	audioSeen  int
	earlyRTCP  int
	ssrc       uint32
	ssrcs      map[uint32]int
	base       *Packet // last audio packet in order
	recent     [burstPerSecond]time.Time
	recentPos  int
	digits     []byte
	digitTS    uint32
	digitSeen  bool
	violations []Violation
}

func newHeard(maxSilence time.Duration, keep int, inbound bool) *heard {
	if maxSilence == 0 {
		maxSilence = time.Second
	}
	if keep == 0 {
		keep = 30000
	}
	return &heard{maxSilence: maxSilence, keep: keep, inbound: inbound, ssrcs: map[uint32]int{}}
}

func (h *heard) payloadTypes(audio, dtmf string) {
	a, _ := strconv.ParseUint(audio, 10, 7)
	d, _ := strconv.ParseUint(dtmf, 10, 7)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.opusPT, h.dtmfPT = uint8(a), uint8(d)
}

// open marks the moment from which the business may send.
func (h *heard) open(at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.opened.IsZero() {
		h.opened = at
	}
}

func (h *heard) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
}

func (h *heard) last() (rtp, rtcp time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lastRTP, h.lastRTCP
}

func (h *heard) audioCount() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.audioSeen
}

func (h *heard) rtcp([]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastRTCP = time.Now()
	h.rtcps++
	if h.opened.IsZero() {
		h.earlyRTCP++
	}
}

func (h *heard) packet(b []byte) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return
	}
	n, err := h.header.Unmarshal(b)
	if err != nil {
		h.violate(ViolationPayload, now, "malformed RTP: %v", err)
		return
	}
	p := Packet{Arrival: now, Seq: h.header.SequenceNumber, TS: h.header.Timestamp, SSRC: h.header.SSRC,
		PT: h.header.PayloadType, Marker: h.header.Marker}
	end := len(b)
	if h.header.Padding && end > n {
		end = max(n, end-int(b[end-1]))
	}
	p.Payload = append([]byte(nil), b[n:end]...)
	h.judge(&p)
	h.lastRTP = now
	if len(h.packets) >= h.keep {
		cut := h.keep / 4
		h.dropped += uint64(cut)
		h.packets = append(h.packets[:0], h.packets[cut:]...)
	}
	h.packets = append(h.packets, p)
}

func (h *heard) violate(kind string, at time.Time, format string, a ...any) {
	if len(h.violations) < maxViolations {
		h.violations = append(h.violations, Violation{kind, at, fmt.Sprintf(format, a...)})
	}
}

// judge checks a packet against the media rules.
func (h *heard) judge(p *Packet) {
	if h.inbound && h.opened.IsZero() {
		h.violate(ViolationEarly, p.Arrival, "RTP before accept was answered")
	}
	if len(h.ssrcs) == 0 {
		h.ssrc = p.SSRC
	}
	if h.ssrcs[p.SSRC] == 0 && len(h.ssrcs) > 0 {
		h.violate(ViolationSSRC, p.Arrival, "SSRC %08x besides %08x", p.SSRC, h.ssrc)
	}
	if len(h.ssrcs) < 64 {
		h.ssrcs[p.SSRC]++
	}
	if !h.lastRTP.IsZero() && p.Arrival.Sub(h.lastRTP) > h.maxSilence {
		h.violate(ViolationSilence, p.Arrival, "nothing for %s", p.Arrival.Sub(h.lastRTP).Round(time.Millisecond))
	}
	oldest := h.recent[h.recentPos]
	if !oldest.IsZero() && p.Arrival.Sub(oldest) < time.Second {
		h.violate(ViolationPace, p.Arrival, "%d packets in %s", burstPerSecond, p.Arrival.Sub(oldest).Round(time.Millisecond))
		h.recent = [burstPerSecond]time.Time{}
	}
	h.recent[h.recentPos] = p.Arrival
	h.recentPos = (h.recentPos + 1) % burstPerSecond
	switch {
	case p.PT == h.opusPT:
		h.audioSeen++
		h.judgeAudio(p)
	case p.PT == h.dtmfPT && h.dtmfPT != 0:
		h.base = nil // events repeat a timestamp over several numbers
		h.takeDigit(p)
	default:
		h.violate(ViolationPayload, p.Arrival, "payload type %d was not negotiated", p.PT)
	}
}

func (h *heard) judgeAudio(p *Packet) {
	d := opusDuration(p.Payload)
	if d != 20*time.Millisecond {
		h.violate(ViolationPtime, p.Arrival, "Opus packet of %s", d)
	}
	if b := h.base; b != nil && b.SSRC == p.SSRC {
		ds, dt := int16(p.Seq-b.Seq), int32(p.TS-b.TS)
		if ds <= 0 {
			return // late or doubled: not the line's head
		}
		if dt != 960*int32(ds) {
			h.violate(ViolationTimestamp, p.Arrival, "%d packets but %d ticks on", ds, dt)
		}
	}
	head := *p
	head.Payload = nil
	h.base = &head
}

// takeDigit counts an event once, by its timestamp, whichever of its packets arrive.
func (h *heard) takeDigit(p *Packet) {
	if len(p.Payload) < 4 || p.Payload[0] > 15 {
		h.violate(ViolationPayload, p.Arrival, "malformed telephone-event")
		return
	}
	if h.digitSeen && h.digitTS == p.TS {
		return
	}
	h.digitSeen, h.digitTS = true, p.TS
	if len(h.digits) < 1000 {
		h.digits = append(h.digits, "0123456789*#ABCD"[p.Payload[0]])
	}
}

// opusDuration reads the length of an Opus packet from its first bytes (RFC 6716 §3.1, §3.2); 0 when malformed.
func opusDuration(b []byte) time.Duration {
	if len(b) == 0 {
		return 0
	}
	silk := [...]int{100, 200, 400, 600} // in 0.1 ms
	config := b[0] >> 3
	var frame int
	switch {
	case config < 12:
		frame = silk[config%4]
	case config < 16:
		frame = silk[config%2]
	default:
		frame = 25 << (config % 4)
	}
	count := 1
	switch b[0] & 3 {
	case 1, 2:
		count = 2
	case 3:
		if len(b) < 2 {
			return 0
		}
		count = int(b[1] & 63)
	}
	return time.Duration(frame*count) * 100 * time.Microsecond
}

// nextPayload serves an echo: the audio that arrived since *cursor, one packet at a time, never far behind.
func (h *heard) nextPayload(cursor *uint64) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	total := h.dropped + uint64(len(h.packets))
	if *cursor+10 < total {
		*cursor = total - 3
	}
	for *cursor < total {
		if *cursor < h.dropped {
			*cursor = h.dropped
		}
		p := h.packets[*cursor-h.dropped]
		*cursor++
		if p.PT == h.opusPT {
			return p.Payload
		}
	}
	return nil
}

// audio copies the audio packets of the first SSRC that arrived in [from, to); a zero time is no bound.
func (h *heard) audio(from, to time.Time) []Packet {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []Packet
	for _, p := range h.packets {
		if p.PT != h.opusPT || p.SSRC != h.ssrc || (!from.IsZero() && p.Arrival.Before(from)) || (!to.IsZero() && !p.Arrival.Before(to)) {
			continue
		}
		out = append(out, p)
	}
	return out
}

// decode turns packets into mono PCM at rate. The timeline is the RTP timestamp's: what is missing is zeros.
func decode(ps []Packet, rate int) ([]int16, error) {
	if len(ps) == 0 {
		return nil, nil
	}
	dec, err := opus.NewDecoder(rate, 1)
	if err != nil {
		return nil, fmt.Errorf("decode at %d Hz: %w", rate, err)
	}
	base := ps[0].TS
	sort.SliceStable(ps, func(i, j int) bool { return int32(ps[i].TS-base) < int32(ps[j].TS-base) })
	base = ps[0].TS
	var out []int16
	buf := make([]int16, rate*120/1000)
	for i, p := range ps {
		if i > 0 && p.TS == ps[i-1].TS {
			continue // doubled
		}
		at := int(int64(p.TS-base) * int64(rate) / 48000)
		if at-len(out) > int(maxGapFill.Seconds())*rate {
			return out, fmt.Errorf("timestamps jump by %d ticks", p.TS-ps[max(0, i-1)].TS)
		}
		for len(out) < at {
			out = append(out, 0)
		}
		n, err := dec.Decode(p.Payload, buf)
		if err != nil {
			continue // counts as missing
		}
		out = append(out[:at], buf[:n]...)
	}
	return out, nil
}

func (v Violation) String() string { return strings.Join([]string{v.Kind, v.Detail}, ": ") }
