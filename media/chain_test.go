package media

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

type outletStream struct{ *Outlet }

func (outletStream) SetSink(Sink) {}
func (outletStream) Stats() Stats { return Stats{} }

// play feeds packets to a pipe at their arrival times, counted from now.
func play(p *Pipe, packets []Packet) {
	began := time.Now()
	for i := range packets {
		at := began.Add(packets[i].Arrival.Sub(testEpoch))
		time.Sleep(time.Until(at))
		pkt := packets[i]
		pkt.Arrival = time.Now()
		p.ReceivePacket(&pkt)
	}
}

func playedTone(t *testing.T, got []sent, c Codec) (freq, level float64) {
	t.Helper()
	rate := EncodeRate(c)
	dec, err := NewDecoder(c, rate)
	if err != nil {
		t.Fatal(err)
	}
	var pcm []int16
	buf := make([]int16, rate*maxPacketMillis/1000)
	for i, p := range got {
		if i > 0 {
			for range p.SequenceNumber - got[i-1].SequenceNumber - 1 {
				dec.Conceal(buf[:rate/50])
				pcm = append(pcm, buf[:rate/50]...)
			}
		}
		n, err := dec.Decode(p.payload, buf)
		if err != nil {
			t.Fatal(err)
		}
		pcm = append(pcm, buf[:n]...)
	}
	return DominantTone(pcm[rate:], rate)
}

// What Meta sees must be one unbroken line however bad the phone's network is.
func TestBadNetworkLeavesTheLineToMetaWhole(t *testing.T) {
	for _, in := range []Format{{PCMA, 20 * ms}, {PCMU, 10 * ms}, {PCMA, 30 * ms}, {PCMA, 60 * ms}, {G722, 20 * ms}, {Opus, 20 * ms}} {
		for _, bad := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				o := NewOutlet(OutletConfig{Format: opusFormat, PayloadType: 111, Gated: true, Fill: true, Write: w.write})
				defer o.Close()
				o.Start()
				p, err := NewPipe(in, outletStream{o}, PipeOptions{})
				if err != nil {
					t.Fatal(err)
				}
				rate := EncodeRate(in.Codec)
				packets := packetsOf(t, in, Tone(440, rate, 10*time.Second), rate)
				if bad {
					packets = network{0.05, 30 * ms, rand.New(rand.NewPCG(7, 7))}.carry(packets)
				}
				go func() {
					time.Sleep(150 * ms)
					o.OpenGate()
				}()
				play(p, packets)
				time.Sleep(50 * ms)
				got := w.all()
				for i := 1; i < len(got); i++ {
					ds, dt := got[i].SequenceNumber-got[i-1].SequenceNumber, got[i].Timestamp-got[i-1].Timestamp
					if ds == 0 || ds > 10 || dt != uint32(ds)*960 || got[i].SSRC != got[0].SSRC {
						t.Fatalf("%v: packet %d: sequence +%d, timestamp +%d", in, i, ds, dt)
					}
					if quiet := got[i].at - got[i-1].at; quiet > 100*ms {
						t.Errorf("%v: quiet for %v", in, quiet)
					}
				}
				var s Stats
				o.FillStats(&s)
				whole := uint64(time.Duration(len(packets)) * in.PTime / (20 * ms))
				if !bad && (s.Filler != 0 || s.Sent != whole || s.GateDropped != 0) {
					t.Errorf("%v: %d sent of %d, %d filler, on a clean network", in, s.Sent, whole, s.Filler)
				}
				if freq, level := playedTone(t, got, Opus); freq < 435 || freq > 445 || level < 0.5 {
					t.Errorf("%v, bad %v: %.0f Hz at %.2f; %+v; %+v", in, bad, freq, level, s, p.Stats())
				}
			})
		}
	}
}

// A stall of the source is filled; the burst after it is not lost, not reordered, and leaves no lasting delay.
func TestABurstAfterAStallLeavesNoLastingDelay(t *testing.T) {
	bubble(t, OutletConfig{Fill: true}, func(t *testing.T, o *Outlet, w *wire) {
		o.Start()
		w.take()
		n := 0
		steady := func(frames int) {
			for range frames {
				o.SendFrame(opusFrameOf(n))
				n++
				time.Sleep(20 * ms)
			}
		}
		steady(50)
		time.Sleep(200 * ms)
		for range 10 {
			o.SendFrame(opusFrameOf(n))
			n++
		}
		steady(100)
		before := len(w.all())
		o.SendFrame(opusFrameOf(n))
		if len(w.all()) != before+1 {
			t.Error("frames still wait 2 s after the burst")
		}
		next := 0
		for _, p := range w.all() {
			if isSilence(p) {
				continue
			}
			if p.payload[0] != byte(next) {
				t.Fatalf("frame %d where %d was due", p.payload[0], next)
			}
			next++
		}
		if next != n+1 {
			t.Errorf("%d of %d frames sent", next, n+1)
		}
		checkLine(t, w.all(), 0, 960)
	})
}
