package whatsapp

import (
	"syscall"
	"testing"
	"time"

	"deskbridge/media"

	"github.com/pion/rtp"
)

func BenchmarkReceive(b *testing.B) {
	s, peer := offlineSession(b)
	s.rx.limit.SetLimit(1e12)
	s.rx.limit.SetBurst(1 << 60)
	s.rx.setSink(sinkFunc(func(*media.Packet) {}))
	packets := make([][]byte, b.N)
	for i := range packets {
		p := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 111, SSRC: 7, SequenceNumber: uint16(i), Timestamp: uint32(i * 960)}, Payload: make([]byte, 60)}
		raw, err := p.Marshal()
		must(b, err)
		packets[i], err = peer.EncryptRTP(nil, raw, nil)
		must(b, err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for _, p := range packets {
		s.datagram(p, time.Now())
	}
	if st := s.Stream().Stats(); st.Received != uint64(b.N) {
		b.Fatalf("%+v", st)
	}
}

// BenchmarkSend is one frame from SendFrame to the kernel, on a connected pair.
func BenchmarkSend(b *testing.B) {
	l, _ := pair(b, newTestFactory(b)) // both ends are in the count of allocations
	frame := media.Frame{Payload: make([]byte, 60)}
	h := rtp.Header{Version: 2, PayloadType: 111, SSRC: l.ssrc}
	l.tx.outlet.Close() // the line would pace us
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.SequenceNumber = uint16(i)
		must(b, l.tx.write(&h, frame.Payload))
	}
}

// BenchmarkSetup is the time from Start to Up on loopback.
func BenchmarkSetup(b *testing.B) {
	f := newTestFactory(b)
	var total time.Duration
	for b.Loop() {
		p, l := newPeer(b, peerKind{lite: true}), openLeg(b, f)
		answer, err := l.Answer(p.offer())
		must(b, err)
		p.accept(answer)
		begin := time.Now()
		l.Start()
		await(b, l.up, "up")
		total += time.Since(begin)
		await(b, p.up, "the peer up")
		must(b, p.pc.GracefulClose())
		l.Close()
	}
	b.ReportMetric(float64(total.Milliseconds())/float64(b.N), "ms/up")
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// pair connects two of our own sessions, so that nothing else is in the measurement.
func pair(b *testing.B, f *mediaFactory) (x, y *testLeg) {
	x, y = openLeg(b, f), openLeg(b, f)
	offer, err := x.Offer()
	must(b, err)
	answer, err := y.Answer(offer)
	must(b, err)
	must(b, x.ApplyAnswer(answer))
	x.Start()
	y.Start()
	await(b, x.up, "up")
	await(b, y.up, "up")
	y.OpenGate()
	return x, y
}

// BenchmarkCallSecond passes 50 packets a second each way through pairs of sessions and reports the CPU of one session
// per second of call, beside what protecting and unprotecting the same frames alone would cost.
func BenchmarkCallSecond(b *testing.B) {
	const pairs, seconds = 20, 4
	f := newTestFactory(b)
	var legs []*testLeg
	for range pairs {
		x, y := pair(b, f)
		legs = append(legs, x, y)
	}
	s, peer := offlineSession(b)
	s.rx.limit.SetLimit(1e12)
	s.rx.limit.SetBurst(1 << 60)
	payload := make([]byte, 60)
	for b.Loop() {
		begin := cpu(b)
		pace(50*seconds, func(int) {
			for _, l := range legs {
				l.Stream().SendFrame(&media.Frame{Payload: payload, Ticks: 960})
			}
		})
		spent := cpu(b) - begin
		begin = cpu(b)
		raw, _ := (&rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 111, SSRC: 9}, Payload: payload}).Marshal()
		const n = 50 * 1000
		for i := range n {
			raw[2], raw[3] = byte(i>>8), byte(i)
			enc, _ := peer.EncryptRTP(nil, raw, nil)
			_, _ = s.rx.keys.in.DecryptRTP(nil, enc, nil)
		}
		bare := (cpu(b) - begin) / 1000
		per := spent / (2 * pairs * seconds)
		b.ReportMetric(float64(per.Microseconds()), "us-cpu/session-s")
		b.ReportMetric(float64(per)/float64(bare), "x-bare-srtp")
	}
}
