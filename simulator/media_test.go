package simulator

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// inboundCall brings a customer's call up to audio both ways.
func inboundCall(t *testing.T, p *product, b Behaviour) (*CustomerCall, *bizLeg) {
	t.Helper()
	cc, err := p.customer().Call(testCtx(t), testPNID, CallOptions{Behaviour: &b})
	if err != nil {
		t.Fatal(err)
	}
	return cc, answerInbound(t, p, p.wait("connect"), 1000)
}

func TestCustomerDigitsFollowRFC4733(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	cc, leg := inboundCall(t, p, Behaviour{})
	leg.waitHeard(5)
	if err := cc.SendDigits(testCtx(t), "4#"); err != nil {
		t.Fatal(err)
	}
	n := len(leg.heard())
	leg.waitHeard(n + 5)
	leg.mu.Lock()
	defer leg.mu.Unlock()
	ends := map[uint32]int{}
	var codes []byte
	ssrc := leg.packets[0].SSRC
	for i, pk := range leg.packets {
		if pk.SSRC != ssrc || (i > 0 && pk.Seq != leg.packets[i-1].Seq+1) {
			t.Fatalf("packet %d leaves the line: %+v", i, pk)
		}
		if pk.PT != 126 {
			continue
		}
		if pk.Payload[1]&0x80 != 0 {
			ends[pk.TS]++
			if d := binary.BigEndian.Uint16(pk.Payload[2:]); d != 800 {
				t.Errorf("a 100 ms digit lasts %d units, want 800 of 8 kHz", d)
			}
			if ends[pk.TS] == 1 {
				codes = append(codes, pk.Payload[0])
			}
		}
	}
	if !slices.Equal(codes, []byte{4, 11}) {
		t.Errorf("digits %v", codes)
	}
	for ts, n := range ends {
		if n != 3 {
			t.Errorf("event %d ended %d times", ts, n)
		}
	}
	if err := cc.SendDigits(testCtx(t), "x"); err == nil {
		t.Error("x is no digit")
	}
}

func TestLossLeavesGapsInAContinuousLine(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	_, leg := inboundCall(t, p, Behaviour{Play: Playback{Tone: 440}, Impair: Impairment{Loss: 0.2, Jitter: 30 * time.Millisecond, Reorder: 0.1}})
	leg.waitHeard(80)
	got := leg.heard()
	gaps, swaps := 0, 0
	for i := 1; i < len(got); i++ {
		d := int16(got[i].Seq - got[i-1].Seq)
		if d > 1 {
			gaps++
		}
		if d < 0 {
			swaps++
		}
		if int32(got[i].TS-got[i-1].TS) != 960*int32(d) {
			t.Fatalf("timestamp and sequence part at %d", i)
		}
	}
	pcm, err := decode(got, 16000)
	if err != nil || Level(pcm) < 0.05 {
		t.Errorf("level %.2f, err %v", Level(pcm), err)
	}
	if gaps < 5 || swaps < 1 {
		t.Errorf("%d gaps, %d swaps in %d packets", gaps, swaps, len(got))
	}
}

func TestPlaybackVariants(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		p  Playback
		ms int
	}{
		"stereo":   {Playback{Tone: 440, Stereo: true}, 20},
		"40 ms":    {Playback{Tone: 440, FrameMS: 40}, 40},
		"60 ms":    {Playback{Tone: 440, FrameMS: 60}, 60},
		"pcm loop": {Playback{PCM: tonePCM(440, 16000, 16000), Loop: true}, 20},
	} {
		f, err := newFrames(c.p)
		if err != nil {
			t.Fatal(name, err)
		}
		var ps []Packet
		for i := range 100 {
			b := f.next()
			if got := opusDuration(b); got != time.Duration(c.ms)*time.Millisecond {
				t.Fatalf("%s: frame of %s", name, got)
			}
			ps = append(ps, Packet{TS: uint32(i * 48 * c.ms), Payload: append([]byte(nil), b...)})
		}
		if c.p.Stereo && ps[0].Payload[0]&4 == 0 {
			t.Error("not stereo")
		}
		pcm, err := decode(ps, 16000)
		if err != nil || !HasTone(pcm[3200:], 16000, 440) {
			t.Errorf("%s: share of 440 Hz %.2f, err %v", name, ToneShare(pcm, 16000, 440), err)
		}
	}
	if _, err := newFrames(Playback{FrameMS: 30}); err == nil {
		t.Error("30 ms frames passed")
	}
	pcm, err := parseWAV(toneWAV(440, 48000, 1))
	if err != nil || len(pcm) != 16000 || !HasTone(pcm, 16000, 440) {
		t.Errorf("WAV: %d samples, err %v", len(pcm), err)
	}
}

func tonePCM(hz float64, rate, n int) []int16 {
	b := toneWAV(hz, rate, (n+rate-1)/rate)[44:]
	out := make([]int16, n)
	for i := range out {
		out[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return out
}

func TestHeardKeepsGapsOfTheTimeline(t *testing.T) {
	t.Parallel()
	f, err := newFrames(Playback{Tone: 440})
	if err != nil {
		t.Fatal(err)
	}
	var ps []Packet
	for i := range 100 {
		b := append([]byte(nil), f.next()...)
		if i < 40 || i >= 50 {
			ps = append(ps, Packet{TS: 0xffff0000 + uint32(i*960), Payload: b}) // wraps on the way
		}
	}
	slices.Reverse(ps[10:20])
	pcm, err := decode(ps, 16000)
	if err != nil || len(pcm) != 32000 {
		t.Fatalf("%d samples, %v", len(pcm), err)
	}
	if l := Level(pcm[40*320+320 : 50*320]); l != 0 {
		t.Errorf("the gap has level %f", l)
	}
	if !HasTone(pcm[51*320:], 16000, 440) || !HasTone(pcm[1600:40*320], 16000, 440) {
		t.Error("no tone around the gap")
	}
}

func packetBytes(t *testing.T, seq uint16, ts, ssrc uint32, pt uint8, payload []byte) []byte {
	t.Helper()
	b, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq, Timestamp: ts, SSRC: ssrc, PayloadType: pt}, Payload: payload}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestViolationsAreNoticed(t *testing.T) {
	t.Parallel()
	silk20 := []byte{1 << 3, 0} // TOC: SILK narrowband, 20 ms
	for kind, feed := range map[string]func(h *heard){
		ViolationSSRC:      func(h *heard) { h.packet(packetBytes(t, 2, 960, 8, 111, silk20)) },
		ViolationTimestamp: func(h *heard) { h.packet(packetBytes(t, 2, 961, 7, 111, silk20)) },
		ViolationPayload:   func(h *heard) { h.packet(packetBytes(t, 2, 960, 7, 8, silk20)) },
		ViolationPtime:     func(h *heard) { h.packet(packetBytes(t, 2, 960, 7, 111, []byte{3 << 3, 0})) },
		ViolationPace: func(h *heard) {
			for i := range uint16(120) {
				h.packet(packetBytes(t, 2+i, 960*uint32(i+1), 7, 111, silk20))
			}
		},
		ViolationSilence: func(h *heard) {
			h.mu.Lock()
			h.lastRTP = h.lastRTP.Add(-2 * time.Second)
			h.mu.Unlock()
			h.packet(packetBytes(t, 2, 960, 7, 111, silk20))
		},
		"": func(h *heard) { // a digit, then a gap of three packets: all fine
			h.packet(packetBytes(t, 2, 960, 7, 126, []byte{5, 10, 0, 160}))
			h.packet(packetBytes(t, 3, 960, 7, 126, []byte{5, 138, 3, 32}))
			h.packet(packetBytes(t, 4, 6*960, 7, 111, silk20))
			h.packet(packetBytes(t, 8, 10*960, 7, 111, silk20))
		},
	} {
		h := newHeard(0, 0, true)
		h.payloadTypes("111", "126")
		h.open(time.Now())
		h.packet(packetBytes(t, 1, 0, 7, 111, silk20))
		feed(h)
		switch {
		case kind == "" && (len(h.violations) > 0 || string(h.digits) != "5"):
			t.Errorf("violations %v, digits %q", h.violations, h.digits)
		case kind != "" && (len(h.violations) == 0 || h.violations[0].Kind != kind):
			t.Errorf("%s: %v", kind, h.violations)
		}
	}
}

func FuzzHeard(f *testing.F) {
	f.Add([]byte{0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 8, 0})
	f.Add([]byte{0xa0, 126, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 200})
	f.Fuzz(func(_ *testing.T, b []byte) {
		h := newHeard(0, 8, true)
		h.payloadTypes("111", "126")
		h.packet(b)
		h.packet(b)
		_, _ = decode(h.audio(time.Time{}, time.Time{}), 16000)
		_, _ = parseWAV(b)
	})
}

func TestVanishedCustomerComesBack(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	cc, leg := inboundCall(t, p, Behaviour{Play: Playback{Tone: 440}})
	leg.waitHeard(10)
	if err := cc.WaitHeard(testCtx(t), 10); err != nil {
		t.Fatal(err)
	}
	cc.Vanish()
	eventually(t, "packets lost at the vanished customer", func() bool { return cc.peerNow().relay.conn.dropped.Load() > 10 })
	before := len(leg.heard())
	cc.Return()
	leg.waitHeard(before + 20)
	if err := cc.WaitHeard(testCtx(t), cc.heard.audioCount()+20); err != nil {
		t.Fatal(err)
	}
}

func TestBusinessThatFallsSilentIsDropped(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(c *MetaConfig) { c.Timing.MediaLoss = 300 * time.Millisecond })
	cc, leg := inboundCall(t, p, Behaviour{})
	if err := cc.WaitHeard(testCtx(t), 5); err != nil {
		t.Fatal(err)
	}
	leg.close()
	p.wait("terminate")
	if e := cc.End(); e.Code != 138021 || e.By != ByNetwork {
		t.Errorf("end %+v", e)
	}
}

func TestEchoAndLateFirstPacket(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	cc, leg := inboundCall(t, p, Behaviour{Play: Playback{Nothing: true}})
	if err := cc.WaitHeard(testCtx(t), 20); err != nil {
		t.Fatal(err)
	}
	if n := len(leg.heard()); n != 0 {
		t.Errorf("%d packets from a silent customer", n)
	}
	if err := cc.Play(Playback{Echo: true}); err != nil {
		t.Fatal(err)
	}
	leg.waitHeard(60)
	pcm, err := decode(leg.heard(), 16000)
	if err != nil || !HasTone(pcm[3200:], 16000, 1000) {
		t.Errorf("no echo: %.2f, %v", ToneShare(pcm, 16000, 1000), err)
	}
}

// Meta's relays show one address and port to all calls of a business.
func TestCallsCanShareOneMediaPort(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(c *MetaConfig) { c.SharedMediaPort = true })
	var legs []*bizLeg
	for i, tone := range []float64{440, 700} {
		cust, err := p.meta.Customer(CustomerConfig{Phone: "62811000" + string(rune('0'+i)), Behaviour: Behaviour{Play: Playback{Tone: tone}}})
		if err != nil {
			t.Fatal(err)
		}
		cc, err := cust.Call(testCtx(t), testPNID, CallOptions{})
		if err != nil {
			t.Fatal(err)
		}
		h := p.waitFor(func(h hook) bool { return h.Call["id"] == cc.ID() })
		legs = append(legs, answerInbound(t, p, h, 1000))
	}
	for i, tone := range []float64{440, 700} {
		legs[i].waitHeard(40)
		pcm, err := decode(legs[i].heard(), 16000)
		if err != nil || !HasTone(pcm[3200:], 16000, tone) {
			t.Errorf("call %d hears no %v Hz, err %v", i, tone, err)
		}
	}
}

func TestRTCPByeEndsNothing(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	cc, leg := inboundCall(t, p, Behaviour{})
	leg.waitHeard(5)
	if err := cc.SendBye(); err != nil {
		t.Fatal(err)
	}
	leg.waitHeard(len(leg.heard()) + 10)
	cc.FailMedia(138022)
	term := p.wait("terminate")
	e := term.Value["errors"].([]any)[0].(map[string]any)
	if term.Call["status"] != "FAILED" || e["code"] != float64(138022) {
		t.Errorf("terminate %v %v", term.Call, term.Value["errors"])
	}
}
