package sip

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"deskbridge/media"
)

// join opens two sessions, one of which offers, and starts both.
func join(t testing.TB, codec media.Codec, ptime time.Duration, ha, hb mediaHandlers) (a, b *mediaSession) {
	t.Helper()
	e := engineTest(t, MediaConfig{})
	a = openOn(t, e, mediaSessionConfig{Codecs: []media.Codec{codec}, PTime: ptime}, ha)
	b = openOn(t, e, mediaSessionConfig{Codecs: allCodecs, PTime: ptime}, hb)
	offer, err := a.Offer()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := b.Answer(offer)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.ApplyAnswer(answer); err != nil {
		t.Fatal(err)
	}
	a.Start()
	b.Start()
	return a, b
}

func play(t testing.TB, s *mediaSession, freq float64) {
	t.Helper()
	p, err := media.NewPlayer(s.Stream(), media.Tone(freq, 16000, 5*time.Second), 16000, true)
	if err != nil {
		t.Fatal(err)
	}
	p.Start()
	t.Cleanup(p.Stop)
}

// toneShare is how many blocks of 40 ms hold the tone. Silence that stood in for a player held up by a busy machine breaks
// the phase of the whole, but not of most blocks.
func toneShare(pcm []int16, rate int, freq float64) float64 {
	block, good, n := rate/25, 0, 0
	for at := 0; at+block <= len(pcm); at += block {
		n++
		if media.ToneLevel(pcm[at:at+block], rate, freq) > 0.85 {
			good++
		}
	}
	return float64(good) / float64(max(n, 1))
}

func TestTonesCrossBothWays(t *testing.T) {
	for _, codec := range []media.Codec{media.PCMA, media.PCMU, media.G722, media.Opus} {
		for _, ptime := range []time.Duration{10 * ms, 20 * ms, 30 * ms, 40 * ms, 60 * ms} {
			t.Run(fmt.Sprintf("%s %s", codec, ptime), func(t *testing.T) {
				t.Parallel()
				a, b := join(t, codec, ptime, mediaHandlers{}, mediaHandlers{})
				if f := a.Stream().Format(); f != b.Stream().Format() || f.Codec != codec {
					t.Fatalf("formats %v and %v", f, b.Stream().Format())
				}
				rate := codec.SampleRate()
				waited := rate * int(waitAge/ms) / 1000 // the silence from before the tone waits for its listener too
				atA, atB := newPCMSink(t, codec, waited+rate*6/10), newPCMSink(t, codec, waited+rate*6/10)
				play(t, a, 440)
				play(t, b, 1000)
				a.Stream().SetSink(atA)
				b.Stream().SetSink(atB)
				for sink, freq := range map[*pcmSink]float64{atB: 440, atA: 1000} {
					select {
					case <-sink.full:
					case <-time.After(10 * time.Second):
						t.Fatal("no audio within ten seconds")
					}
					pcm := sink.pcm[waited+rate*2/10:]
					if share := toneShare(pcm, rate, freq); share < 0.7 || media.Level(pcm) < -25 {
						t.Errorf("%v Hz in %.0f %% of the blocks, %.0f dB", freq, 100*share, media.Level(pcm))
					}
				}
				if st := a.Stream().Stats(); st.Lost != 0 || st.Rejected != 0 || st.FirstReceived.IsZero() || st.Sent == 0 {
					t.Errorf("stats %+v", st)
				}
			})
		}
	}
}

// talk opens a session that has answered the peer's PCMA offer and runs.
func talk(t testing.TB, cfg mediaSessionConfig, h mediaHandlers, p *testPeer, attrs ...string) (*mediaSession, *testSink) {
	t.Helper()
	cfg.Codecs = []media.Codec{media.PCMA, media.PCMU, media.Opus}
	s := openTest(t, cfg, h)
	if _, err := s.Answer(p.offer("RTP/AVP 8 101", append(attrs, "rtpmap:101 telephone-event/8000")...)); err != nil {
		t.Fatal(err)
	}
	sink := newTestSink()
	s.Stream().SetSink(sink)
	s.Start()
	return s, sink
}

func TestRubbishIsCountedAndNotHeard(t *testing.T) {
	phone := newTestPeer(t, "127.0.0.1")
	s, sink := talk(t, mediaSessionConfig{}, mediaHandlers{}, phone)
	m := s.e.metrics
	good := phone.packet(8, make([]byte, 160))
	version := append([]byte{}, good...)
	version[0] = 1 << 6
	padded := append([]byte{}, good...)
	padded[0] |= 1 << 5
	padded[len(padded)-1] = 255
	for name, b := range map[string][]byte{"too short": {0x80, 8}, "version": version, "padding": padded, "empty": {}} {
		before := testutil.ToFloat64(m.malformed)
		phone.raw(s, b)
		eventually(t, name, func() bool { return testutil.ToFloat64(m.malformed) == before+1 })
	}
	phone.raw(s, phone.packet(77, make([]byte, 20)))
	eventually(t, "payload type", func() bool { return testutil.ToFloat64(m.payloadType) == 1 })
	phone.raw(s, phone.packet(8, make([]byte, 1489)))
	eventually(t, "oversize", func() bool { return testutil.ToFloat64(m.oversize) == 1 })
	if len(sink.ch) != 0 {
		t.Error("rubbish reached the sink")
	}
	phone.say(s, 'p')
	if p := sink.next(t); p.mark != 'p' {
		t.Errorf("heard %q", p.mark)
	}
}

func TestMoreThanTwoHundredPacketsASecondAreCut(t *testing.T) {
	phone := newTestPeer(t, "127.0.0.1")
	s := openTest(t, mediaSessionConfig{Codecs: allCodecs}, mediaHandlers{})
	if _, err := s.Answer(phone.offer("RTP/AVP 8")); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for range 300 {
		s.receive(phone.packet(8, make([]byte, 160)), phone.addr(), now)
	}
	if st := s.Stream().Stats(); st.Received != maxPacketRate || st.Rejected != 300-maxPacketRate {
		t.Errorf("received %d, rejected %d", st.Received, st.Rejected)
	}
	s.receive(phone.packet(8, make([]byte, 160)), phone.addr(), now.Add(time.Second))
	if st := s.Stream().Stats(); st.Received != maxPacketRate+1 {
		t.Error("the next second is cut as well")
	}
}

func TestNewSSRCGoesOnOnTheSameLine(t *testing.T) {
	phone := newTestPeer(t, "127.0.0.1")
	s, sink := talk(t, mediaSessionConfig{}, mediaHandlers{}, phone)
	phone.say(s, '1')
	before := sink.next(t)
	phone.ssrc, phone.seq, phone.ts = 0x9999, 40000, 3000000000
	phone.say(s, '2')
	after := sink.next(t)
	if after.Sequence != before.Sequence+1 {
		t.Errorf("sequence %d after %d", after.Sequence, before.Sequence)
	}
	passed := after.Arrival.Sub(before.Arrival)
	if d := media.PCMA.Duration(after.Timestamp - before.Timestamp); d < passed-ms || d > passed+ms {
		t.Errorf("timestamp moved %v in %v", d, passed)
	}
	phone.say(s, '3')
	if p := sink.next(t); p.Sequence != after.Sequence+1 || p.Timestamp != after.Timestamp+160 {
		t.Errorf("%d %d after %d %d", p.Sequence, p.Timestamp, after.Sequence, after.Timestamp)
	}
	if st := s.Stream().Stats(); st.Lost != 0 {
		t.Errorf("lost %d", st.Lost)
	}
}

func TestDigitsCrossBothWays(t *testing.T) {
	for _, codec := range []media.Codec{media.PCMA, media.Opus} {
		t.Run(codec.String(), func(t *testing.T) {
			t.Parallel()
			got := make(chan media.Digit, 20)
			a, _ := join(t, codec, 20*ms, mediaHandlers{}, mediaHandlers{Digit: func(d media.Digit) { got <- d }})
			play(t, a, 440)
			const dialled = "19*#A0"
			for _, d := range dialled {
				a.Stream().SendDigit(media.Digit(d))
			}
			var heard []byte
			for range dialled {
				select {
				case d := <-got:
					heard = append(heard, byte(d))
				case <-time.After(5 * time.Second):
					t.Fatalf("only %q arrived", heard)
				}
			}
			if string(heard) != dialled {
				t.Errorf("heard %q, want %q", heard, dialled)
			}
		})
	}
}

func TestDigitDurationIsInTheEventsClock(t *testing.T) {
	phone := newTestPeer(t, "127.0.0.1")
	for clock, want := range map[int]uint16{8000: 800, 48000: 4800} {
		s := openTest(t, mediaSessionConfig{Codecs: []media.Codec{media.Opus}}, mediaHandlers{})
		offer := phone.offer("RTP/AVP 96 97", "rtpmap:96 opus/48000/2", fmt.Sprintf("rtpmap:97 telephone-event/%d", clock))
		if _, err := s.Answer(offer); err != nil {
			t.Fatal(err)
		}
		s.Start()
		s.Stream().SendDigit('5')
		eventually(t, "the end of the digit", func() bool {
			p, ok := phone.hear(time.Second)
			return ok && p.PayloadType == 97 && p.Payload[1]&0x80 != 0 && binary.BigEndian.Uint16(p.Payload[2:]) == want
		})
		s.Close()
		phone.drain(20 * ms)
	}
}

func TestHoldStopsOurAudioAndResumeBringsItBack(t *testing.T) {
	phone := newTestPeer(t, "127.0.0.1")
	s, sink := talk(t, mediaSessionConfig{}, mediaHandlers{}, phone)
	phone.say(s, 'p')
	sink.next(t)
	play(t, s, 440)
	before, ok := phone.hear(time.Second)
	if !ok {
		t.Fatal("nothing was sent")
	}
	for _, hold := range [][]byte{
		phone.offer("RTP/AVP 8", "sendonly"),
		phone.offer("RTP/AVP 8", "inactive"),
		offerAt(netip.AddrPortFrom(netip.IPv4Unspecified(), phone.addr().Port()), "RTP/AVP 8"),
	} {
		if _, err := s.Answer(hold); err != nil {
			t.Fatal(err)
		}
		if !s.Held() {
			t.Fatal("not held")
		}
		phone.drain(50 * ms)
		if n := phone.drain(100 * ms); n != 0 {
			t.Errorf("%d packets during hold", n)
		}
		phone.say(s, 'm') // music from the phone is still heard
		if p := sink.next(t); p.mark != 'm' {
			t.Errorf("heard %q on hold", p.mark)
		}
		if _, err := s.Answer(phone.offer("RTP/AVP 8")); err != nil {
			t.Fatal(err)
		}
		after, ok := phone.hear(time.Second)
		if !ok || s.Held() {
			t.Fatal("not resumed")
		}
		if after.SSRC != before.SSRC {
			t.Error("SSRC changed over a hold")
		}
		if moved := media.PCMA.Duration(after.Timestamp - before.Timestamp); moved < 100*ms {
			t.Errorf("timestamp stood still during the hold: moved %v", moved)
		}
		before = after
	}
}

func TestSilenceIsReportedOnceAndNotOnHold(t *testing.T) {
	phone := newTestPeer(t, "127.0.0.1")
	timeouts := make(chan time.Time, 10)
	e := engineTest(t, MediaConfig{Timeout: 300 * ms})
	s := openOn(t, e, mediaSessionConfig{Codecs: allCodecs}, mediaHandlers{Timeout: func() { timeouts <- time.Now() }})
	held, _ := s.Answer(phone.offer("RTP/AVP 8", "sendonly"))
	if held == nil {
		t.Fatal("no answer")
	}
	s.Start()
	select {
	case <-timeouts:
		t.Fatal("silence on hold was reported")
	case <-time.After(900 * ms):
	}
	resumed := time.Now()
	if _, err := s.Answer(phone.offer("RTP/AVP 8")); err != nil {
		t.Fatal(err)
	}
	select {
	case at := <-timeouts:
		if at.Sub(resumed) < 300*ms {
			t.Errorf("reported %v after the hold", at.Sub(resumed))
		}
	case <-time.After(5 * time.Second):
		t.Fatal("silence was not reported")
	}
	select {
	case <-timeouts:
		t.Error("reported twice")
	case <-time.After(600 * ms):
	}
	phone.say(s, 'p') // and it counts anew once something came
	select {
	case <-timeouts:
	case <-time.After(5 * time.Second):
		t.Fatal("the second silence was not reported")
	}
}

func TestFarEndMayChangeToAnotherAgreedCodec(t *testing.T) {
	phone := newTestPeer(t, "127.0.0.1")
	changed := make(chan struct{}, 1)
	s := openTest(t, mediaSessionConfig{Codecs: []media.Codec{media.PCMA, media.PCMU}}, mediaHandlers{Format: func() { changed <- struct{}{} }})
	if _, err := s.Offer(); err != nil {
		t.Fatal(err)
	}
	if err := s.ApplyAnswer(phone.offer("RTP/AVP 8 0")); err != nil {
		t.Fatal(err)
	}
	old := newTestSink()
	s.Stream().SetSink(old)
	s.Start()
	phone.say(s, 'a')
	old.next(t)
	phone.raw(s, phone.packet(0, make([]byte, 160)))
	<-changed
	if c := s.Stream().Format().Codec; c != media.PCMU {
		t.Fatalf("format is %s", c)
	}
	phone.raw(s, phone.packet(0, make([]byte, 160)))
	eventually(t, "third packet counted", func() bool { return s.Stream().Stats().Received == 3 })
	if len(old.ch) != 0 {
		t.Error("the old sink was given the new codec's bytes")
	}
	fresh := newTestSink()
	s.Stream().SetSink(fresh)
	phone.raw(s, phone.packet(0, make([]byte, 160)))
	fresh.next(t)
	eventually(t, "we send the new codec", func() bool { p, ok := phone.hear(time.Second); return ok && p.PayloadType == 0 })
}

func TestFormerSinkHearsNothingAfterSetSink(t *testing.T) {
	phone := newTestPeer(t, "127.0.0.1")
	s, first := talk(t, mediaSessionConfig{}, mediaHandlers{}, phone)
	phone.say(s, '1')
	first.next(t)
	second := newTestSink()
	s.Stream().SetSink(second)
	phone.say(s, '2')
	second.next(t)
	s.Stream().SetSink(nil)
	phone.say(s, '3')
	eventually(t, "third counted", func() bool { return s.Stream().Stats().Received == 3 })
	if len(first.ch)+len(second.ch) != 0 {
		t.Error("a former sink was called")
	}
}

func TestABugInOneSessionEndsThatSession(t *testing.T) {
	phone := newTestPeer(t, "127.0.0.1")
	ended := make(chan struct{}, 1)
	s, _ := talk(t, mediaSessionConfig{}, mediaHandlers{Timeout: func() { ended <- struct{}{} }}, phone)
	s.Stream().SetSink(panickingSink{})
	phone.say(s, 'p')
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the session was not given up")
	}
	if n := testutil.ToFloat64(s.e.metrics.panics); n != 1 {
		t.Errorf("%v panics counted", n)
	}
}

type panickingSink struct{}

func (panickingSink) ReceivePacket(*media.Packet) { panic("a bug") }
