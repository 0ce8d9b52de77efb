//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"deskbridge/media"
	"deskbridge/simulator"
)

var impairCodecs = []media.Codec{media.PCMA, media.PCMU, media.G722, media.Opus}

// longestSilence is the longest pause a stream may have at its receiver.
const longestSilence = 250 * time.Millisecond

// TestTonesAndDigitsCrossOnEveryCodec is acceptance 3: 440 Hz from the customer, 1000 Hz from the phone, at the far ends
// and nowhere broken, with digits both ways, on a clean network and with 5 % loss and 30 ms jitter from both senders.
func TestTonesAndDigitsCrossOnEveryCodec(t *testing.T) {
	for _, net := range []struct {
		name   string
		loss   float64
		jitter time.Duration
	}{
		{"clean", 0, 0},
		{"5 percent loss and 30 ms jitter", 0.05, 30 * time.Millisecond},
	} {
		t.Run(net.name, func(t *testing.T) {
			var phones []simulator.PhoneConfig
			for _, c := range impairCodecs {
				for range 2 { // one is rung, one dials
					phones = append(phones, simulator.PhoneConfig{
						Codecs: []media.Codec{c}, Source: simulator.PhoneSource{Tone: 1000}, Loss: net.loss, Jitter: net.jitter, Seed: 7,
					})
				}
			}
			o := newOffice(t, houseOptions{meta: func(m *simulator.MetaConfig) { m.Seed = 11 }}, phones...)
			person := simulator.CustomerConfig{Behaviour: simulator.Behaviour{
				Play: simulator.Playback{Tone: 440}, Impair: simulator.Impairment{Loss: net.loss, Jitter: net.jitter}, MaxSilence: longestSilence,
			}}
			calls := make([]talk, len(phones))
			for i := range phones {
				if d := o.desks[i]; i%2 == 0 {
					calls[i] = d.rung(person)
				} else {
					calls[i] = d.dials(person)
				}
			}
			for i, tk := range calls {
				codec := impairCodecs[i/2]
				if got := tk.desk.Codec(); got != codec {
					t.Errorf("the phone talks %s, not %s", got, codec)
				}
				t.Run(fmt.Sprintf("%s %s", codec, []string{"rung", "dials"}[i%2]), func(t *testing.T) {
					t.Parallel()
					tk := talk{o.in(t), tk.call, tk.desk}
					tk.hears(1000, 440, 3*time.Second, net.loss > 0)
					tk.digits("159*#0", "8642#*")
					tk.clean(net.loss == 0)
					tk.over()
				})
			}
		})
	}
}

// in is the same office, reporting to another test.
func (o *office) in(t *testing.T) *office {
	h := *o.house
	h.t = t
	return &office{house: &h, desks: o.desks, began: o.began}
}

// clean checks what each end counted: towards Meta nothing may be wrong whatever the senders' networks did, and on a clean
// network nothing may be lost or doubled towards the phone.
func (tk talk) clean(network bool) {
	t := tk.o.t
	t.Helper()
	stood := standstill(tk.o.began)
	for _, v := range tk.call.Violations() {
		if stood > 40*time.Millisecond && (v.Kind == simulator.ViolationSilence || v.Kind == simulator.ViolationPace) {
			t.Logf("towards Meta, on a machine that stood still for %s: %s", stood, v)
			continue
		}
		t.Errorf("towards Meta: %s", v)
	}
	st := tk.desk.Stats()
	if st.SSRCs != 1 || st.Sources != 1 || st.Jumps != 0 || st.TimestampOdd != 0 || st.UnknownType != 0 {
		t.Errorf("the phone's stream is not one line: %+v", st)
	}
	if network && (st.Lost != 0 || st.Late != 0 || st.Duplicates != 0) {
		t.Errorf("lost, late or doubled on a clean network: %+v", st)
	}
}

// TestEveryPacketTimeOfThePhone: whatever the phone packs, Meta gets 20 ms frames and both hear the tone.
func TestEveryPacketTimeOfThePhone(t *testing.T) {
	times := []time.Duration{10, 20, 30, 40, 60}
	var phones []simulator.PhoneConfig
	for i, ms := range times {
		phones = append(phones, simulator.PhoneConfig{
			Codecs: []media.Codec{impairCodecs[i%3]}, PTime: ms * time.Millisecond, Source: simulator.PhoneSource{Tone: 1000},
		})
	}
	o := newOffice(t, houseOptions{}, phones...)
	var calls []talk
	for _, d := range o.desks {
		calls = append(calls, d.rung(simulator.CustomerConfig{Behaviour: simulator.Behaviour{
			Play: simulator.Playback{Tone: 440}, MaxSilence: longestSilence,
		}}))
	}
	for i, tk := range calls {
		t.Run(fmt.Sprintf("%d ms", times[i]), func(t *testing.T) {
			t.Parallel()
			tk := talk{o.in(t), tk.call, tk.desk}
			tk.hears(1000, 440, 2*time.Second, false)
			tk.digits("12", "34")
			tk.clean(true)
			tk.over()
		})
	}
}

// TestCustomersWhoseAudioIsUnusual: stereo, long frames, late starters and gaps as DTX leaves them reach the phone as an
// unbroken tone, on a codec that is converted and on the one that is passed through.
func TestCustomersWhoseAudioIsUnusual(t *testing.T) {
	kinds := []struct {
		name  string
		play  simulator.Playback
		react func(talk)
	}{
		{"stereo", simulator.Playback{Tone: 440, Stereo: true}, nil},
		{"40 ms frames", simulator.Playback{Tone: 440, FrameMS: 40}, nil},
		{"60 ms frames", simulator.Playback{Tone: 440, FrameMS: 60}, nil},
		{"stereo in 60 ms frames", simulator.Playback{Tone: 440, FrameMS: 60, Stereo: true}, nil},
		{"says nothing for 3 s", simulator.Playback{Tone: 440, Late: 3 * time.Second}, talk.silentStart},
		{"gaps", simulator.Playback{Tone: 440}, talk.gaps},
	}
	var phones []simulator.PhoneConfig
	for range kinds {
		for _, c := range []media.Codec{media.PCMA, media.Opus} {
			phones = append(phones, simulator.PhoneConfig{Codecs: []media.Codec{c}, Source: simulator.PhoneSource{Tone: 1000}})
		}
	}
	o := newOffice(t, houseOptions{}, phones...)
	var calls []talk
	for i, d := range o.desks {
		calls = append(calls, d.rung(simulator.CustomerConfig{Behaviour: simulator.Behaviour{Play: kinds[i/2].play, MaxSilence: longestSilence}}))
	}
	for i, tk := range calls {
		t.Run(fmt.Sprintf("%s to %s", kinds[i/2].name, tk.desk.Codec()), func(t *testing.T) {
			t.Parallel()
			tk := talk{o.in(t), tk.call, tk.desk}
			if f := kinds[i/2].react; f != nil {
				f(tk)
			}
			tk.hears(1000, 440, 2*time.Second, false)
			tk.clean(true)
			tk.over()
		})
	}
}

// silentStart: while the customer sends nothing, the phone is not left in the dark and the customer hears the phone.
func (tk talk) silentStart() {
	tk.o.t.Helper()
	tk.o.until("1000 Hz at a customer who says nothing", func() bool { return hasTone(tk.customerPCM(time.Now().Add(-1500*time.Millisecond)), 16000, 1000) })
	if st := tk.desk.Stats(); st.Received < 25 || st.LongestGap > longestSilence+standstill(tk.o.began) {
		tk.o.t.Errorf("while the customer said nothing the phone got %d packets, the longest gap %s", st.Received, st.LongestGap)
	}
}

// gaps: the customer's packets stop and come back as with DTX, and the phone's stream does not.
func (tk talk) gaps() {
	tk.o.t.Helper()
	tk.o.until("the tone at the phone", func() bool { pcm, rate := tk.desk.Heard(); return rate > 0 && hasTone(pcm, rate, 440) })
	for range 3 {
		tk.call.Mute(true)
		tk.more(15)
		tk.call.Mute(false)
		tk.more(15)
	}
	if st := tk.desk.Stats(); st.LongestGap > longestSilence+standstill(tk.o.began) {
		tk.o.t.Errorf("the phone's stream stopped for %s while the customer's paused", st.LongestGap)
	}
}

// more waits for further packets at the phone.
func (tk talk) more(packets uint64) {
	tk.o.t.Helper()
	want := tk.desk.Stats().Received + packets
	tk.o.until("packets at the phone", func() bool { return tk.desk.Stats().Received >= want })
}

// TestAPhoneThatFallsSilentDoesNotSilenceMeta: a phone with silence suppression stops sending; the customer's stream goes
// on without a gap, and the tone is back when the phone's is.
func TestAPhoneThatFallsSilentDoesNotSilenceMeta(t *testing.T) {
	phones := []simulator.PhoneConfig{{Codecs: []media.Codec{media.PCMA}}, {Codecs: []media.Codec{media.Opus}}}
	for i := range phones {
		phones[i].Source.Tone = 1000
	}
	o := newOffice(t, houseOptions{}, phones...)
	for _, d := range o.desks {
		tk := d.rung(simulator.CustomerConfig{Behaviour: simulator.Behaviour{Play: simulator.Playback{Tone: 440}, MaxSilence: longestSilence}})
		tk.hears(1000, 440, time.Second, false)
		for range 3 {
			if err := tk.desk.Play(simulator.PhoneSource{Quiet: true}); err != nil {
				t.Fatal(err)
			}
			since := time.Now()
			o.until("half a second of filler at the customer", func() bool { return len(tk.customerPCM(since)) > 8000 })
			if err := tk.desk.Play(simulator.PhoneSource{Tone: 1000}); err != nil {
				t.Fatal(err)
			}
			tk.more(10)
		}
		tk.hears(1000, 440, time.Second, false)
		tk.clean(true)
		tk.over()
	}
}
