package simulator

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pion/sdp/v3"

	"deskbridge/media"
)

// phoneFormat is what a call's audio has settled on, from the phone's side.
type phoneFormat struct {
	codec      media.Codec
	pt         uint8
	digits     uint8 // telephone-event payload type, 0 for none
	digitClock int
	ptime      time.Duration
	remote     netip.AddrPort
	send, recv bool
}

// Payload types of the phone's own offers: not the ones the appliance uses.
const (
	phoneOpusType   = 96
	phoneDigitType  = 100
	phoneDigitType2 = 98 // at 48000
)

// phoneSDP writes the phone's session description. f is nil in a first offer.
func (p *Phone) phoneSDP(at netip.AddrPort, f *phoneFormat, dir string, version int) []byte {
	var types, attrs []string
	add := func(pt uint8, m, fmtp string) {
		types = append(types, strconv.Itoa(int(pt)))
		attrs = append(attrs, fmt.Sprintf("a=rtpmap:%d %s", pt, m))
		if fmtp != "" {
			attrs = append(attrs, fmt.Sprintf("a=fmtp:%d %s", pt, fmtp))
		}
	}
	codec := func(c media.Codec, pt uint8) {
		if c == media.Opus {
			add(pt, "opus/48000/2", "useinbandfec=1")
			return
		}
		add(pt, fmt.Sprintf("%s/%d", c, c.ClockRate()), "")
	}
	ptime := p.cfg.PTime
	if f != nil {
		ptime = f.ptime
		codec(f.codec, f.pt)
		if f.digits != 0 {
			add(f.digits, fmt.Sprintf("telephone-event/%d", f.digitClock), "0-15")
		}
	} else {
		opus := false
		for _, c := range p.cfg.Codecs {
			pt, static := c.StaticPayloadType()
			if !static {
				pt, opus = phoneOpusType, true
			}
			codec(c, pt)
		}
		add(phoneDigitType, "telephone-event/8000", "0-15")
		if opus {
			add(phoneDigitType2, "telephone-event/48000", "0-15")
		}
	}
	kind := "IP4"
	if at.Addr().Is6() {
		kind = "IP6"
	}
	lines := []string{
		"v=0", fmt.Sprintf("o=phone %d %d IN %s %s", at.Port(), version, kind, at.Addr()), "s=phone",
		fmt.Sprintf("c=IN %s %s", kind, at.Addr()), "t=0 0",
		fmt.Sprintf("m=audio %d RTP/AVP %s", at.Port(), strings.Join(types, " ")),
	}
	lines = append(lines, attrs...)
	lines = append(lines, fmt.Sprintf("a=ptime:%d", ptime.Milliseconds()), "a="+dir)
	return []byte(strings.Join(lines, "\r\n") + "\r\n")
}

// readPhoneSDP reads an offer or answer. Of an offer the phone takes the first of its own codecs that is listed; of an
// answer the first codec listed.
func (p *Phone) readPhoneSDP(body []byte, answer bool) (*phoneFormat, error) {
	var d sdp.SessionDescription
	if err := d.Unmarshal(body); err != nil {
		return nil, fmt.Errorf("read SDP: %w", err)
	}
	for _, m := range d.MediaDescriptions {
		if m.MediaName.Media != "audio" || m.MediaName.Port.Value == 0 || strings.Join(m.MediaName.Protos, "/") != "RTP/AVP" {
			continue
		}
		return p.readPhoneAudio(&d, m, answer)
	}
	return nil, errors.New("read SDP: no audio")
}

func (p *Phone) readPhoneAudio(d *sdp.SessionDescription, m *sdp.MediaDescription, answer bool) (*phoneFormat, error) {
	c := m.ConnectionInformation
	if c == nil {
		c = d.ConnectionInformation
	}
	if c == nil || c.Address == nil {
		return nil, errors.New("read SDP: no address")
	}
	addr, err := netip.ParseAddr(c.Address.Address)
	if err != nil {
		return nil, fmt.Errorf("read SDP: %w", err)
	}
	f := &phoneFormat{ptime: p.cfg.PTime, send: true, recv: true, remote: netip.AddrPortFrom(addr, uint16(m.MediaName.Port.Value))}
	maps := map[string]string{"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000"}
	for _, a := range m.Attributes {
		switch a.Key {
		case "rtpmap":
			if pt, v, ok := strings.Cut(a.Value, " "); ok {
				maps[pt] = v
			}
		case "ptime":
			if n, err := strconv.Atoi(a.Value); err == nil && n >= 10 && n <= 60 {
				f.ptime = time.Duration(n) * time.Millisecond
			}
		case "sendonly":
			f.send = false
		case "recvonly":
			f.recv = false
		case "inactive":
			f.send, f.recv = false, false
		}
	}
	f.send = f.send && !addr.IsUnspecified()
	if !p.choose(f, m.MediaName.Formats, maps, answer) {
		return nil, errors.New("read SDP: no common codec")
	}
	return f, nil
}

// choose sets codec and digits of f from the listed types.
func (p *Phone) choose(f *phoneFormat, types []string, maps map[string]string, answer bool) bool {
	best := len(p.cfg.Codecs)
	for _, t := range types {
		name, _, _ := strings.Cut(maps[t], "/")
		for i, c := range p.cfg.Codecs {
			pt, err := strconv.ParseUint(t, 10, 7)
			if err == nil && i < best && strings.EqualFold(name, c.String()) {
				best, f.codec, f.pt = i, c, uint8(pt)
			}
		}
		if answer && f.codec != media.CodecNone {
			break
		}
	}
	for _, t := range types {
		name, clock, _ := strings.Cut(maps[t], "/")
		hz, err := strconv.Atoi(clock)
		pt, err2 := strconv.ParseUint(t, 10, 7)
		if err != nil || err2 != nil || !strings.EqualFold(name, "telephone-event") {
			continue
		}
		if f.digits == 0 || hz == f.codec.ClockRate() {
			f.digits, f.digitClock = uint8(pt), hz
		}
	}
	return f.codec != media.CodecNone
}
