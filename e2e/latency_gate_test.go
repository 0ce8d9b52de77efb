//go:build e2e

package e2e

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/media"
	"deskbridge/simulator"
)

// TestNothingSaidAfterTheAnswerIsLost: from its 200 OK on the phone talks. Meta must not hear a packet before accept was
// answered, which takes 80 ± 60 ms here as it does there, so what the agent says until then waits. All of it must arrive,
// in order: numbered packets where they pass unchanged, the length of a tone where they are converted.
//
// A phone that answers at once is the hard case: the customer's media isn't even up, and pre_accept has to be answered
// before accept is sent. With the slowest Graph of the contract that is 280 ms, and the gate keeps 300. A person takes longer.
func TestNothingSaidAfterTheAnswerIsLost(t *testing.T) {
	for _, c := range []struct {
		name  string
		codec media.Codec
		ring  time.Duration
		slow  bool // Graph takes the longest of 80 ± 60 ms each time
	}{
		{"passthrough/answered at once", media.Opus, 0, false},
		{"passthrough/answered at once, slow Graph", media.Opus, 0, true},
		{"passthrough/answered after a while", media.Opus, 700 * time.Millisecond, false},
		{"PCMA/answered at once", media.PCMA, 0, false},
		{"PCMA/answered after a while", media.PCMA, 700 * time.Millisecond, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			timing := simulator.DefaultTiming()
			timing.DialToConnect = 10 * time.Millisecond // the customer's own network is not what is measured
			if c.slow {
				timing.GraphLatency, timing.GraphJitter = timing.GraphLatency+timing.GraphJitter, 0
			}
			answerAndTalk(t, c.codec, c.ring, timing)
		})
	}
}

const (
	saidFrames = 75 // 1.5 s
	saidAtAll  = 125
)

func answerAndTalk(t *testing.T, codec media.Codec, ring time.Duration, timing simulator.Timing) {
	bank := newPhoneBank(t, codec)
	bank.ring = ring
	s := &saying{codec: codec, done: make(chan struct{})}
	if codec != media.Opus {
		s.tone, s.quiet = toneFrames(t, codec)
	}
	bank.onUp = func(p *bankPhone) { go s.talk(p) }
	trunk := netip.MustParseAddrPort(bank.addr())
	h := newHouse(t, houseOptions{timing: &timing, settings: func(s *appliance.Settings) {
		s.Lines[0].Inbound.Ring = []string{"trunk:bank/200"}
		s.Trunks = append(s.Trunks, appliance.Trunk{
			Name: "bank", Enabled: true, Host: trunk.Addr().String(), Port: int(trunk.Port()), Transport: "udp",
			Addresses: []string{trunk.Addr().String()}, Codecs: []string{codec.String()}, PTime: 20 * time.Millisecond,
			Expires: 5 * time.Minute, Extensions: []string{"2xx"},
		})
	}})
	dialled := time.Now()
	call, err := h.customer(simulator.CustomerConfig{}).Call(t.Context(), displayNumber, simulator.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.done:
	case <-time.After(wait):
		t.Fatal("the phone was not rung")
	}
	answered := (<-bank.rang).answeredAt.get()
	if codec == media.Opus {
		s.checkNumbers(t, h, call, answered)
	} else {
		s.checkTone(t, h, call, answered)
	}
	t.Logf("dialled to 200 OK %s, 200 OK to accepted at Meta %s", answered.Sub(dialled).Round(time.Millisecond),
		call.AcceptedAt().Sub(answered).Round(time.Millisecond))
	call.Hangup()
	h.waitNoCalls()
	h.clean(call)
}

// saying is what the phone says.
type saying struct {
	codec       media.Codec
	tone, quiet []byte
	done        chan struct{}

	mu   sync.Mutex
	sent []time.Time
}

// talk sends the first frame with the 200 OK and then one each 20 ms.
func (s *saying) talk(p *bankPhone) {
	defer close(s.done)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := range saidAtAll {
		frame := s.quiet
		switch {
		case s.codec == media.Opus:
			frame = binary.BigEndian.AppendUint64([]byte{0x48}, uint64(i))
		case i < saidFrames:
			frame = s.tone
		}
		s.mu.Lock()
		s.sent = append(s.sent, time.Now())
		s.mu.Unlock()
		_ = p.send(frame)
		<-tick.C
	}
}

// toneFrames are 20 ms of 1000 Hz, whole periods, and of silence; G.711 frames stand alone.
func toneFrames(t *testing.T, c media.Codec) (tone, quiet []byte) {
	t.Helper()
	enc, err := media.NewEncoder(c, 8000)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		dst *[]byte
		pcm []int16
	}{{&tone, media.Tone(1000, 8000, 20*time.Millisecond)}, {&quiet, make([]int16, 160)}} {
		*f.dst = make([]byte, 160)
		if _, err := enc.Encode(f.pcm, *f.dst); err != nil {
			t.Fatal(err)
		}
	}
	return tone, quiet
}

func (s *saying) checkNumbers(t *testing.T, h *house, call *simulator.CustomerCall, answered time.Time) {
	marks := func() (at []time.Time, numbers []uint64) {
		for _, p := range call.Packets() {
			if len(p.Payload) == 9 && p.Payload[0] == 0x48 {
				at, numbers = append(at, p.Arrival), append(numbers, binary.BigEndian.Uint64(p.Payload[1:]))
			}
		}
		return at, numbers
	}
	h.until("the last mark", func() bool {
		_, n := marks()
		return len(n) > 0 && n[len(n)-1] == saidAtAll-1
	})
	at, numbers := marks()
	for i, n := range numbers {
		if n != uint64(i) {
			t.Fatalf("mark %d came as number %d of %d: %v", n, i, len(numbers), numbers)
		}
	}
	delay := func(i int) time.Duration { return at[i].Sub(s.sent[i]).Round(100 * time.Microsecond) }
	caughtUp := 0
	for i := range at {
		if delay(i) > 5*time.Millisecond {
			caughtUp = i + 1
		}
	}
	t.Logf("all %d marks in order; 200 OK to first agent audio at Meta %s; first frame %s late, the last %s; caught up after %d frames",
		len(at), at[0].Sub(answered).Round(100*time.Microsecond), delay(0), delay(len(at)-1), caughtUp)
}

// checkTone wants the tone at the customer as long as the phone made it.
func (s *saying) checkTone(t *testing.T, h *house, call *simulator.CustomerCall, answered time.Time) {
	const rate = 8000
	var from, to int // of the tone, in samples
	h.until("the end of the tone", func() bool {
		pcm, err := call.Heard(rate)
		if err != nil {
			return false
		}
		from, to = -1, -1
		const step = rate / 200 // 5 ms
		for i := 0; i+step <= len(pcm); i += step {
			if level(pcm[i:i+step]) > 1000 {
				if from < 0 {
					from = i
				}
				to = i + step
			}
		}
		return from >= 0 && len(pcm)-to > rate/5
	})
	want, got := saidFrames*20*time.Millisecond, time.Duration(to-from)*time.Second/rate
	if d := got - want; d < -10*time.Millisecond || d > 15*time.Millisecond {
		t.Errorf("a tone of %s was %s long at the customer", want, got)
	}
	first := call.AcceptedAt()
	for _, p := range call.Packets() {
		if len(p.Payload) > 20 { // silence is a few bytes
			first = p.Arrival
			break
		}
	}
	t.Logf("a tone of %s is %s long at the customer; 200 OK to its first packet %s", want, got, first.Sub(answered).Round(100*time.Microsecond))
}
