package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"deskbridge/media"
)

func TestPeaksFollowEachSidesLevel(t *testing.T) {
	agent := ms20(Agent, 1000)
	agent.say = func(t float64) float64 {
		if t < 2 {
			return 0
		}
		return 0.5 * math.Sin(2*math.Pi*1000*t)
	}
	packets := simulate(t, 4*time.Second, ms20(Customer, 440), agent)
	d, err := Peaks(t.Context(), &script{packets: packets}, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Customer) != 40 || len(d.Agent) != 40 || math.Abs(d.Seconds-4) > 0.02 {
		t.Fatalf("%d and %d points, %v s", len(d.Customer), len(d.Agent), d.Seconds)
	}
	for i := 2; i < 39; i++ {
		if c := d.Customer[i]; c < 50 || c > 80 { // a quarter
			t.Errorf("customer at %d: %d", i, c)
		}
		if a := d.Agent[i]; i < 19 && a > 3 || i > 21 && (a < 105 || a > 150) { // half
			t.Errorf("agent at %d: %d", i, a)
		}
	}
	b, err := json.Marshal(d)
	if err != nil || len(b) > 250 {
		t.Errorf("%s, %v", b, err)
	}
}

// priority is a Source that looks at its thread's priority.
type priority struct {
	script
	nice int
}

func (s *priority) Next(p *Packet) error {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	s.nice = 20 - n // as the kernel reports it
	return errors.Join(err, s.script.Next(p))
}

func TestPeaksYieldToCalls(t *testing.T) {
	s := priority{script: script{packets: simulate(t, time.Second, ms20(Customer, 440))}}
	if _, err := Peaks(t.Context(), &s, 10); err != nil {
		t.Fatal(err)
	}
	if s.nice != 19 {
		t.Errorf("nice %d", s.nice)
	}
	if n, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err != nil || n < 20 {
		t.Errorf("the caller's priority became %d, %v", 20-n, err)
	}
}

func TestPeaksRefuseNonsenseAndEndWithTheirContext(t *testing.T) {
	for _, n := range []int{0, -1, 101} {
		if _, err := Peaks(t.Context(), &script{}, n); err == nil {
			t.Errorf("%d points per second", n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Peaks(ctx, &script{packets: simulate(t, time.Second, ms20(Agent, 440))}, 10); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func BenchmarkPeaks(b *testing.B) {
	open := hourOpener(b, time.Minute)
	for b.Loop() {
		src, _ := open()
		if _, err := Peaks(context.Background(), src, 10); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(60/(b.Elapsed().Seconds()/float64(b.N)), "x-real-time")
}

// readPCM returns all that p gives.
func readPCM(t *testing.T, p *PCM) (customer, agent []int16) {
	t.Helper()
	for {
		a, b, err := p.Next()
		if err != nil {
			return customer, agent
		}
		if len(a) != len(b) {
			t.Fatalf("%d and %d samples", len(a), len(b))
		}
		customer, agent = append(customer, a...), append(agent, b...)
	}
}

func TestPCM16kHasBothSidesApart(t *testing.T) {
	for _, codec := range []media.Codec{media.Opus, media.PCMA} {
		customer := ms20(Customer, 440)
		customer.codec = codec
		customer.skip = func(i int) bool { return i%25 == 3 } // concealed
		a, b := readPCM(t, PCM16k(&script{packets: simulate(t, 3*time.Second, customer, ms20(Agent, 1000))}))
		if len(a) < 2980*16 || len(a) > 3020*16 {
			t.Errorf("%v: %d samples", codec, len(a))
		}
		wantTone(t, codec.String()+" customer", a, 16000, 440)
		wantTone(t, "agent", b, 16000, 1000)
		for i := 1600; i+320 < len(a)-1600; i += 320 {
			if l := media.Level(a[i : i+320]); l < -45 {
				t.Errorf("%v: %.0f dBFS at %d ms: a lost packet is not concealed", codec, l, i/16)
			}
		}
	}
}

func TestUpsamplingKeepsATone(t *testing.T) {
	for _, ratio := range []int{2, 6} {
		u := newUpsampler(ratio)
		var out []int16
		in := media.Tone(1000, 8000, time.Second)
		for i := 0; i < len(in); i += 160 {
			out = append(out, u.push(in[i:i+160])...)
		}
		if level := media.ToneLevel(out[800:], 8000*ratio, 1000); len(out) != 8000*ratio || level < 0.999 {
			t.Errorf("by %d: %d samples, %.4f of a tone", ratio, len(out), level)
		}
		if a, b := media.Level(in), media.Level(out[800:]); math.Abs(a-b) > 0.2 {
			t.Errorf("by %d: %.1f dBFS became %.1f", ratio, a, b)
		}
	}
}
