package sip

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pion/sdp/v3"

	"deskbridge/media"
)

// Dynamic payload types of our own offers. In answers, and in offers after an answer, the far end's stand.
const (
	opusPayloadType        = 111
	digitsPayloadType      = 101
	opusDigitsPayloadType  = 102
	opusFormatParameters   = "useinbandfec=1;stereo=0;maxaveragebitrate=24000" // RFC 7587 §6.1
	digitsFormatParameters = "0-15"                                            // RFC 4733 §2.4.1: 0–9 * # A–D
)

// offerFormats is what a first offer lists.
func offerFormats(codecs []media.Codec) []payload {
	var out []payload
	narrow, wide := false, false
	for _, c := range codecs {
		pt, static := c.StaticPayloadType()
		if !static {
			pt = opusPayloadType
		}
		out = append(out, payload{codec: c, clock: c.ClockRate(), send: pt, recv: pt})
		narrow = narrow || c != media.Opus
		wide = wide || c == media.Opus
	}
	// The 8000 Hz event also goes with Opus alone: many phones know no other.
	if narrow || wide {
		out = append(out, payload{clock: 8000, send: digitsPayloadType, recv: digitsPayloadType})
	}
	if wide {
		out = append(out, payload{clock: 48000, send: opusDigitsPayloadType, recv: opusDigitsPayloadType})
	}
	return out
}

// formats is what we list after an agreement, in our answer or in a later offer: what was agreed, under its numbers.
func (a *agreement) formats() []payload {
	out := append([]payload{a.audio}, a.others...)
	if a.digits != nil {
		out = append(out, *a.digits)
	}
	return out
}

// audioLine is the one audio stream we describe.
type audioLine struct {
	port    uint16
	formats []payload
	ptime   time.Duration
	dir     direction
	mux     bool

	feedback bool
}

func (l audioLine) describe() *sdp.MediaDescription {
	m := &sdp.MediaDescription{MediaName: sdp.MediaName{
		Media: "audio", Port: sdp.RangedPort{Value: int(l.port)}, Protos: []string{"RTP", "AVP"},
	}}
	if l.feedback {
		m.MediaName.Protos = strings.Split(feedbackProfile, "/")
	}
	add := func(key, value string) { m.Attributes = append(m.Attributes, sdp.Attribute{Key: key, Value: value}) }
	for _, p := range l.formats {
		m.MediaName.Formats = append(m.MediaName.Formats, strconv.Itoa(int(p.recv)))
		switch p.codec {
		case media.CodecNone:
			add("rtpmap", fmt.Sprintf("%d telephone-event/%d", p.recv, p.clock))
			add("fmtp", fmt.Sprintf("%d %s", p.recv, digitsFormatParameters))
		case media.Opus:
			add("rtpmap", fmt.Sprintf("%d opus/48000/2", p.recv)) // always 2 channels: RFC 7587 §7
			add("fmtp", fmt.Sprintf("%d %s", p.recv, opusFormatParameters))
		default:
			add("rtpmap", fmt.Sprintf("%d %s/%d", p.recv, p.codec, p.clock))
		}
	}
	add("ptime", strconv.Itoa(int(l.ptime/time.Millisecond)))
	add("maxptime", strconv.Itoa(int(maxPTime/time.Millisecond)))
	if l.mux {
		add("rtcp-mux", "")
	}
	add(l.dir.String(), "")
	return m
}

// refuse is an m-line turned down: as it was, with port 0 (RFC 3264 §6).
func (l remoteLine) refuse() *sdp.MediaDescription {
	return &sdp.MediaDescription{MediaName: sdp.MediaName{
		Media: l.media, Protos: strings.Split(l.proto, "/"), Formats: l.formats,
	}}
}

// description writes our SDP and keeps its o= line: the version rises by one with each description that differs from the
// last, and only then (RFC 3264 §8).
type description struct {
	addr    netip.Addr
	id      uint64
	version uint64
	last    string // the last description, written as version 0
}

func (d *description) write(lines []*sdp.MediaDescription) ([]byte, error) {
	kind := "IP4"
	if d.addr.Is6() {
		kind = "IP6"
	}
	s := sdp.SessionDescription{
		Origin: sdp.Origin{
			Username: "-", SessionID: d.id, NetworkType: "IN", AddressType: kind, UnicastAddress: d.addr.String(),
		},
		SessionName: "-",
		ConnectionInformation: &sdp.ConnectionInformation{
			NetworkType: "IN", AddressType: kind, Address: &sdp.Address{Address: d.addr.String()},
		},
		TimeDescriptions:  []sdp.TimeDescription{{}},
		MediaDescriptions: lines,
	}
	plain, err := s.Marshal()
	if err != nil {
		return nil, fmt.Errorf("write session description: %w", err)
	}
	if string(plain) != d.last {
		d.last = string(plain)
		d.version++
	}
	s.Origin.SessionVersion = d.version
	return s.Marshal()
}
