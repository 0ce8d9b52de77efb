package media

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"
)

// Whatever is asked of an outlet in whatever order: one SSRC, every number used once and in order, nothing behind a closed
// gate, during a pause or after Close, and no silence longer than the filler allows.
func TestRandomUseKeepsTheLine(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			w := newWire()
			o := NewOutlet(OutletConfig{Format: opusFormat, PayloadType: 111, Digits: metaDigits, Gated: seed%2 == 0, Fill: true, Write: w.write})
			lost := 0
			open, paused := seed%2 == 1, false
			o.Start()
			lastOpen := time.Duration(0)
			for range 200 {
				switch random.IntN(12) {
				case 0:
					o.SendDigit(Digit("0123456789*#ABCD"[random.IntN(16)]))
				case 1:
					paused = random.IntN(4) == 0
					o.Pause(paused)
				case 2:
					o.OpenGate()
					open = true
				case 3:
					f := opusFrameOf(1)
					f.Lost = uint16(random.IntN(4))
					lost += int(f.Lost)
					o.SendFrame(f)
				case 4:
					f := opusFrameOf(1)
					f.Concealed = true
					o.SendFrame(f)
				case 5:
					for range random.IntN(20) {
						o.SendFrame(opusFrameOf(2))
					}
				default:
					o.SendFrame(opusFrameOf(3))
				}
				before := len(w.all())
				time.Sleep(time.Duration(random.IntN(60)) * ms)
				synctest.Wait()
				if (!open || paused) && len(w.all()) != before {
					t.Fatalf("seed %d: spoke behind the gate or during a pause", seed)
				}
				if !open || paused {
					lastOpen = time.Since(w.began)
				}
			}
			o.Close()
			got := w.all()
			left := 0
			for i := 1; i < len(got); i++ {
				d := got[i].SequenceNumber - got[i-1].SequenceNumber
				if d == 0 || d > 4 || got[i].SSRC != got[0].SSRC {
					t.Fatalf("seed %d: sequence +%d", seed, d)
				}
				left += int(d) - 1
				if got[i-1].at > lastOpen && got[i].at-got[i-1].at > 400*ms {
					t.Errorf("seed %d: quiet for %v", seed, got[i].at-got[i-1].at)
				}
			}
			if left > lost {
				t.Errorf("seed %d: %d numbers left out for %d lost frames", seed, left, lost)
			}
			var s Stats
			if o.FillStats(&s); s.Sent != uint64(len(got)) {
				t.Errorf("seed %d: %d counted, %d sent", seed, s.Sent, len(got))
			}
		})
	}
}

// Under the race detector: callers of every kind at once, and no write after Close.
func TestConcurrentUseAndNoWriteAfterClose(t *testing.T) {
	for range 20 {
		var mu sync.Mutex
		closed, after := false, 0
		o := NewOutlet(OutletConfig{Format: opusFormat, Digits: metaDigits, Gated: true, Fill: true, FillAfter: time.Millisecond,
			Write: func(*rtp.Header, []byte) error {
				mu.Lock()
				defer mu.Unlock()
				if closed {
					after++
				}
				return nil
			}})
		o.Start()
		var wg sync.WaitGroup
		for _, use := range []func(){
			func() { o.SendFrame(opusFrameOf(1)) },
			func() { o.SendDigit('1') },
			o.OpenGate,
			func() { o.Pause(true); o.Pause(false) },
			func() { o.SetFormat(Format{PCMA, 20 * ms}, 8, nil); o.SetFormat(opusFormat, 111, metaDigits) },
			func() { var s Stats; o.FillStats(&s); o.SenderInfo(); o.Format() },
		} {
			wg.Go(func() {
				for range 200 {
					use()
				}
			})
		}
		o.Close()
		mu.Lock()
		closed = true
		mu.Unlock()
		wg.Wait()
		mu.Lock()
		if after > 0 {
			t.Errorf("%d writes after Close", after)
		}
		mu.Unlock()
	}
}

func TestSenderInfoDescribesTheLine(t *testing.T) {
	bubble(t, OutletConfig{SSRC: 7}, func(t *testing.T, o *Outlet, w *wire) {
		o.Start()
		if _, ok := o.SenderInfo(); ok {
			t.Error("a sender report before anything was sent")
		}
		for i := range 10 {
			o.SendFrame(opusFrameOf(i))
			time.Sleep(20 * ms)
		}
		info, ok := o.SenderInfo()
		got := w.all()
		if !ok || info.SSRC != 7 || o.SSRC() != 7 || info.Packets != 10 || info.Octets != 30 {
			t.Errorf("%+v", info)
		}
		if want := got[0].Timestamp + 10*960; info.RTPTime != want {
			t.Errorf("RTP time %d after the line's, want 0", int32(info.RTPTime-want))
		}
	})
}
