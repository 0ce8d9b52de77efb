package media

import (
	"testing"
	"time"
)

func TestReceiverCountsLossAcrossTheWrap(t *testing.T) {
	r := NewReceiver(8000)
	for i := range 200 {
		if i%10 == 7 {
			continue
		}
		r.Receive(uint16(65500+i), uint32(i)*160, testEpoch.Add(time.Duration(i)*20*ms), true)
	}
	var s Stats
	r.FillStats(&s)
	if s.Received != 180 || s.Lost != 20 || s.Jitter != 0 || !s.FirstReceived.Equal(testEpoch) || s.RemoteLoss != -1 {
		t.Errorf("%+v", s)
	}
	report, ok := r.Report(testEpoch)
	if !ok || report.FractionLost != 25 || report.TotalLost != 20 || report.HighestSeq != 65500+199 {
		t.Errorf("%+v", report)
	}
	r.Receive(uint16(65500-65536+200), 200*160, testEpoch, true)
	if report, _ = r.Report(testEpoch); report.FractionLost != 0 {
		t.Errorf("fraction lost %d in an interval without loss", report.FractionLost)
	}
}

func TestReceiverMeasuresJitter(t *testing.T) {
	r := NewReceiver(48000)
	for i := range 1000 { // ±5 ms in turn: |D| is 10 ms throughout
		off := 5 * ms
		if i%2 == 0 {
			off = -off
		}
		r.Receive(uint16(i), uint32(i)*960, testEpoch.Add(time.Duration(i)*20*ms+off), true)
		r.Receive(uint16(i), uint32(i), testEpoch, false) // DTMF says nothing about it
	}
	var s Stats
	r.FillStats(&s)
	if s.Jitter < 9*ms || s.Jitter > 11*ms {
		t.Errorf("jitter %v, want 10ms", s.Jitter)
	}
}

func TestReceiverTakesANewNumberingOnlyTwiceConfirmed(t *testing.T) {
	r := NewReceiver(8000)
	for i := range 10 {
		r.Receive(uint16(i), 0, testEpoch, true)
	}
	r.Receive(30000, 0, testEpoch, true) // a stray
	r.Receive(10, 0, testEpoch, true)
	var s Stats
	if r.FillStats(&s); s.Received != 11 || s.Lost != 0 {
		t.Errorf("a stray packet counts: %+v", s)
	}
	for i := range 10 {
		r.Receive(uint16(40000+i), 0, testEpoch, true)
	}
	if r.FillStats(&s); s.Received != 20 || s.Lost != 0 {
		t.Errorf("after a restart: %+v", s)
	}
}

func TestRoundTripComesFromReports(t *testing.T) {
	r := NewReceiver(8000)
	sentAt := testEpoch
	lsr := uint32(NTPTime(sentAt) >> 16)
	// The far end held our report for 1.5 s; 80 ms were on the way.
	r.RemoteReport(64, lsr, 65536*3/2, sentAt.Add(1580*ms))
	var s Stats
	r.FillStats(&s)
	if s.RTT < 79*ms || s.RTT > 81*ms || s.RemoteLoss != 0.25 {
		t.Errorf("RTT %v, remote loss %v", s.RTT, s.RemoteLoss)
	}
	r.RemoteReport(0, lsr+1<<30, 0, sentAt) // nonsense
	if r.FillStats(&s); s.RTT < 79*ms {
		t.Errorf("RTT %v after a nonsensical report", s.RTT)
	}
	r.Receive(1, 0, testEpoch, true)
	r.SenderReport(0x1122334455667788, testEpoch)
	if report, _ := r.Report(testEpoch.Add(500 * ms)); report.LastSR != 0x33445566 || report.Delay != 32768 {
		t.Errorf("%+v", report)
	}
}

func TestRejectedAndLateAreCounted(t *testing.T) {
	r := NewReceiver(8000)
	r.Reject()
	r.Late()
	r.SetClock(48000)
	var s Stats
	if r.FillStats(&s); s.Rejected != 1 || s.Late != 1 || !r.LastReceived().IsZero() {
		t.Errorf("%+v", s)
	}
	if _, ok := r.Report(testEpoch); ok {
		t.Error("a report on nothing")
	}
}
