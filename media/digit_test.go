package media

import (
	"encoding/binary"
	"testing"
	"time"
)

func event(code, volume byte, duration uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{code, volume}, duration)
}

func TestDigitIsReportedOnce(t *testing.T) {
	type packet struct {
		code     byte
		end      bool
		duration uint16
		ts       uint32
	}
	tests := map[string]struct {
		packets []packet
		want    string
	}{
		"whole event":             {[]packet{{5, false, 160, 100}, {5, false, 320, 100}, {5, true, 800, 100}, {5, true, 800, 100}, {5, true, 800, 100}}, "5"},
		"only the last packet":    {[]packet{{11, true, 800, 100}}, "#"},
		"no end bit":              {[]packet{{1, false, 160, 100}, {2, false, 160, 9000}}, "12"},
		"same digit twice":        {[]packet{{7, false, 160, 100}, {7, true, 800, 100}, {7, false, 160, 4000}, {7, true, 800, 4000}}, "77"},
		"old end after new start": {[]packet{{7, false, 160, 100}, {8, false, 160, 4000}, {7, true, 800, 100}, {8, true, 800, 4000}}, "78"},
		"timestamp wraps":         {[]packet{{1, true, 800, 0xffffff00}, {2, true, 800, 0x100}}, "12"},
		"sender starts anew":      {[]packet{{1, true, 800, 0x40000000}, {2, true, 800, 0x100}}, "12"},
		"held for 10 s":           {[]packet{{3, false, 0xff00, 100}, {3, false, 0xffff, 100}, {3, false, 160, 100 + 0xffff}, {3, true, 8000, 100 + 0xffff}}, "3"},
		"flash is no digit":       {[]packet{{16, true, 800, 100}, {255, true, 800, 5000}}, ""},
		"all sixteen": {[]packet{{0, true, 1, 0}, {1, true, 1, 1000}, {2, true, 1, 2000}, {3, true, 1, 3000}, {4, true, 1, 4000}, {5, true, 1, 5000},
			{6, true, 1, 6000}, {7, true, 1, 7000}, {8, true, 1, 8000}, {9, true, 1, 9000}, {10, true, 1, 10000}, {11, true, 1, 11000},
			{12, true, 1, 12000}, {13, true, 1, 13000}, {14, true, 1, 14000}, {15, true, 1, 15000}}, "0123456789*#ABCD"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var r DigitReceiver
			got := ""
			for _, p := range test.packets {
				volume := byte(10)
				if p.end {
					volume |= 0x80
				}
				if d, ok := r.Receive(event(p.code, volume, p.duration), p.ts); ok {
					got += d.String()
				}
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestShortEventsAreCounted(t *testing.T) {
	var r DigitReceiver
	for _, p := range [][]byte{nil, {1}, {1, 2, 3}} {
		if _, ok := r.Receive(p, 1); ok {
			t.Errorf("% x is a digit", p)
		}
	}
	if r.Malformed != 3 {
		t.Errorf("%d malformed", r.Malformed)
	}
}

var metaDigits = &DigitFormat{PayloadType: 126, ClockRate: 8000}

func TestDigitLeavesOnTheAudioLine(t *testing.T) {
	bubble(t, OutletConfig{PayloadType: 111, Digits: metaDigits, Fill: true}, func(t *testing.T, o *Outlet, w *wire) {
		o.Start()
		w.take()
		send := func(n int) {
			for i := range n {
				o.SendFrame(opusFrameOf(i))
				time.Sleep(20 * ms)
			}
		}
		o.SendFrame(opusFrameOf(0))
		time.Sleep(20 * ms)
		pressed := time.Since(w.began)
		o.SendDigit('5')
		send(20)
		got := w.all()
		checkLine(t, got, 111, 960)
		for i, p := range got[1:8] {
			duration := binary.BigEndian.Uint16(p.payload[2:])
			end := p.payload[1]&0x80 != 0
			if p.PayloadType != 126 || p.payload[0] != 5 || p.Marker != (i == 0) || end != (i >= 4) ||
				duration != uint16(160*min(i+1, 5)) || p.Timestamp != got[0].Timestamp+960 || p.at != pressed+time.Duration(i)*20*ms {
				t.Errorf("event packet %d at %v: %+v % x", i, p.at-pressed, p.Header, p.payload)
			}
		}
		// Over the event, timestamp and sequence move as audio's do.
		next := got[8]
		if next.PayloadType != 111 || next.Timestamp-got[0].Timestamp != 960*uint32(next.SequenceNumber-got[0].SequenceNumber) {
			t.Errorf("after the event: %+v, before: %+v", next.Header, got[0].Header)
		}
		if gap := next.at - got[7].at; gap != 20*ms {
			t.Errorf("audio resumed %v after the event", gap)
		}
		var r DigitReceiver
		digits := ""
		for _, p := range got {
			if p.PayloadType == 126 {
				if d, ok := r.Receive(p.payload, p.Timestamp); ok {
					digits += d.String()
				}
			}
		}
		if digits != "5" {
			t.Errorf("received %q", digits)
		}
	})
}

func TestDigitsAreQueuedWithGaps(t *testing.T) {
	bubble(t, OutletConfig{PayloadType: 0, Format: Format{PCMU, 20 * ms}, Digits: &DigitFormat{101, 8000}, Fill: true},
		func(t *testing.T, o *Outlet, w *wire) {
			o.Start()
			for range 40 { // eight more than fit: one starts at once
				o.SendDigit('1')
			}
			time.Sleep(10 * time.Second)
			starts, last := 0, time.Duration(-1)
			for _, p := range w.all() {
				if p.PayloadType != 101 {
					continue
				}
				if p.Marker {
					starts++
					// From the end of the event, which its last packet repeats twice, to the next.
					if gap := p.at - last; last >= 0 && gap < 50*ms {
						t.Errorf("only %v between two digits", gap)
					}
				}
				if binary.BigEndian.Uint16(p.payload[2:]) < 800 {
					last = p.at + 40*ms // the next packet is the first that says 100 ms, and covers 20
				}
			}
			if starts != maxDigits+1 {
				t.Errorf("%d digits sent, want %d", starts, maxDigits+1)
			}
			checkLine(t, w.all(), 255, 0)
		})
}

func TestDigitsBehindTheGateWaitForIt(t *testing.T) {
	bubble(t, OutletConfig{Gated: true, Digits: metaDigits}, func(t *testing.T, o *Outlet, w *wire) {
		o.Start()
		o.SendFrame(opusFrameOf(0))
		o.SendDigit('*')
		o.SendDigit('x')
		time.Sleep(time.Second)
		if n := len(w.all()); n != 0 {
			t.Fatalf("%d packets before the gate opened", n)
		}
		o.OpenGate()
		time.Sleep(time.Second)
		got := w.all()
		if len(got) != 1+digitPackets || got[0].PayloadType != 0 || got[1].payload[0] != 10 {
			t.Errorf("%d packets", len(got))
		}
	})
}

func TestDigitsWithoutAFormatAreDropped(t *testing.T) {
	bubble(t, OutletConfig{}, func(t *testing.T, o *Outlet, w *wire) {
		o.Start()
		o.SendDigit('1')
		time.Sleep(time.Second)
		if n := len(w.all()); n != 0 {
			t.Errorf("%d packets", n)
		}
	})
}
