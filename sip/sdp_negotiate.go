package sip

import (
	"strings"
	"time"

	"deskbridge/media"
)

// direction is a stream's direction from one party's view.
type direction uint8

const (
	dirInactive direction = 0
	dirSend     direction = 1
	dirRecv     direction = 2
	dirSendRecv           = dirSend | dirRecv
)

// String is the attribute's name.
func (d direction) String() string {
	return [...]string{"inactive", "sendonly", "recvonly", "sendrecv"}[d&dirSendRecv]
}

// reverse is the direction as the other party sees it.
func (d direction) reverse() direction { return d>>1&1 | d&1<<1 }

// answer is our direction in the answer to theirs. To the zero address of an RFC 2543 hold nothing may be sent
// (RFC 3264 §8.4).
func (a *remoteAudio) answer() direction {
	d := a.dir.reverse()
	if a.zero {
		d &^= dirSend
	}
	return d
}

// hold reports whether the far end does not want to hear us: that is what hold is, whatever it sends itself.
func (a *remoteAudio) hold() bool { return a.zero || a.dir&dirRecv == 0 }

// payload is one format with the payload type each side expects. The two differ only when an answer renumbers an offer.
type payload struct {
	codec media.Codec // CodecNone for telephone-event
	clock int
	send  uint8 // what the far end wants to receive
	recv  uint8 // what it sends us
}

// agreement is the outcome of an offer and its answer.
type agreement struct {
	audio  payload
	others []payload // further codecs the far end may change to without asking (RFC 3264 §7)
	digits *payload  // telephone-event (RFC 4733), nil without
	ptime  time.Duration
	dir    direction // ours
	held   bool
	mux    bool

	feedback bool // the far end's profile is RTP/AVPF: ours must be the same (RFC 3264 §6)
}

func (a *agreement) format() media.Format {
	return media.Format{Codec: a.audio.codec, PTime: a.ptime}
}

// codec is what the format is, CodecNone if nothing we speak. The channel count of Opus is always 2 in rtpmap
// (RFC 7587 §7), but some omit it, so it isn't looked at.
func (f remoteFormat) codec() media.Codec {
	c := media.ParseCodec(f.name)
	if c != media.CodecNone && f.clock != c.ClockRate() {
		return media.CodecNone
	}
	return c
}

func (f remoteFormat) isDigits() bool { return strings.EqualFold(f.name, "telephone-event") }

// find returns the first format of a codec.
func (a *remoteAudio) find(c media.Codec) (remoteFormat, bool) {
	for _, f := range a.formats {
		if f.codec() == c {
			return f, true
		}
	}
	return remoteFormat{}, false
}

// digits chooses the telephone-event whose clock is the audio's, as RFC 4733 §2.1 wants; failing that the 8000 Hz one,
// which is what most phones offer beside Opus.
func (a *remoteAudio) digits(clock int) (remoteFormat, bool) {
	var second remoteFormat
	found := false
	for _, f := range a.formats {
		if !f.isDigits() {
			continue
		}
		if f.clock == clock {
			return f, true
		}
		if f.clock == 8000 && !found {
			second, found = f, true
		}
	}
	return second, found
}

// agreeOnOffer chooses from an offer, in our order of preference: one codec, so that there is no doubt about what either
// side sends, and the telephone-event that goes with it.
func agreeOnOffer(a *remoteAudio, ours []media.Codec, ptime time.Duration) (*agreement, error) {
	for _, c := range ours {
		f, ok := a.find(c)
		if !ok {
			continue
		}
		g := &agreement{
			audio: payload{codec: c, clock: f.clock, send: f.pt, recv: f.pt},
			ptime: choosePTime(a, c, ptime),
			dir:   a.answer(), held: a.hold(), mux: a.mux, feedback: a.feedback,
		}
		if d, ok := a.digits(f.clock); ok {
			g.digits = &payload{clock: d.clock, send: d.pt, recv: d.pt}
		}
		return g, nil
	}
	return nil, errNoCommonCodec
}

// agreeOnAnswer reads the answer to our offer. The far end's first codec is the one it wants; it may use the others.
func agreeOnAnswer(a *remoteAudio, offered []payload, ptime time.Duration) (*agreement, error) {
	g := &agreement{dir: a.answer(), held: a.hold(), feedback: a.feedback}
	for _, f := range a.formats {
		c := f.codec()
		p, ok := offeredCodec(offered, c)
		if c == media.CodecNone || !ok {
			continue
		}
		p.send = f.pt
		if g.audio.codec == media.CodecNone {
			g.audio = p
		} else if p.codec != g.audio.codec {
			g.others = append(g.others, p)
		}
	}
	if g.audio.codec == media.CodecNone {
		return nil, errNoCommonCodec
	}
	g.ptime = choosePTime(a, g.audio.codec, ptime)
	if d, ok := a.digits(g.audio.clock); ok {
		for _, p := range offered {
			if p.codec == media.CodecNone && p.clock == d.clock {
				g.digits = &payload{clock: d.clock, send: d.pt, recv: p.recv}
			}
		}
	}
	return g, nil
}

func offeredCodec(offered []payload, c media.Codec) (payload, bool) {
	for _, p := range offered {
		if p.codec == c {
			return p, true
		}
	}
	return payload{}, false
}

// The packet sizes we send and accept.
const (
	minPTime = 10 * time.Millisecond
	maxPTime = 60 * time.Millisecond
)

// choosePTime is the size of the packets we send: what the far end asks for, within its maxptime and our limits, in steps
// of 10 ms. Opus has no single frame of 30 or 50 ms (RFC 6716 §2.1.4), so those become 20 and 40.
func choosePTime(a *remoteAudio, c media.Codec, ours time.Duration) time.Duration {
	d := a.ptime
	if d == 0 {
		d = ours
	}
	if a.maxPTime > 0 {
		d = min(d, a.maxPTime)
	}
	d = min(max(d, minPTime), maxPTime)
	d -= d % minPTime
	if c == media.Opus && (d == 30*time.Millisecond || d == 50*time.Millisecond) {
		d -= minPTime
	}
	return d
}
