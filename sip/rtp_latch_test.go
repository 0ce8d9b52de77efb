package sip

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"deskbridge/media"
)

func TestASecondSourceCannotHijackTheStream(t *testing.T) {
	phone, thief := newTestPeer(t, "127.0.0.1"), newTestPeer(t, "127.0.0.1")
	s, sink := talk(t, mediaSessionConfig{}, mediaHandlers{}, phone)
	phone.say(s, 'p')
	if p := sink.next(t); p.mark != 'p' {
		t.Fatalf("heard %q", p.mark)
	}
	// The thief sits on the same address, knows SSRC and numbers, and is faster.
	thief.ssrc, thief.seq, thief.ts = phone.ssrc, phone.seq, phone.ts
	for range 20 {
		thief.say(s, 't')
	}
	eventually(t, "20 packets of the thief counted", func() bool { return s.Stream().Stats().Rejected == 20 })
	if n := testutil.ToFloat64(s.e.metrics.stranger); n != 20 {
		t.Errorf("metric says %v", n)
	}
	phone.say(s, 'q')
	if p := sink.next(t); p.mark != 'q' {
		t.Errorf("heard %q after the attack", p.mark)
	}
	if n := thief.drain(50 * ms); n != 0 {
		t.Errorf("the thief was sent %d packets", n)
	}
	if _, ok := phone.hear(time.Second); !ok {
		t.Error("the phone hears nothing any more")
	}
}

func TestMediaFromAnUnrelatedAddressNeverLatches(t *testing.T) {
	phone, stray := newTestPeer(t, "127.0.0.1"), newTestPeer(t, "127.0.0.9")
	s, sink := talk(t, mediaSessionConfig{}, mediaHandlers{}, phone)
	stray.say(s, 's')
	eventually(t, "the stray packet counted", func() bool { return s.Stream().Stats().Rejected == 1 })
	phone.say(s, 'p')
	if p := sink.next(t); p.mark != 'p' {
		t.Errorf("heard %q", p.mark)
	}
}

func TestMediaBehindNATLatchesToWhereItComesFrom(t *testing.T) {
	inside := netip.MustParseAddrPort("192.168.77.5:4000") // what the phone believes
	nat := newTestPeer(t, "127.0.0.7")
	s := openTest(t, mediaSessionConfig{
		Codecs: []media.Codec{media.PCMA}, SignallingPeer: netip.MustParseAddr("127.0.0.7"),
		RemoteAllowed: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}, mediaHandlers{})
	if _, err := s.Answer(offerAt(inside, "RTP/AVP 8")); err != nil {
		t.Fatal(err)
	}
	if to := s.route.Load().to(); to.IsValid() {
		t.Fatalf("would send to %s, which is not allowed", to)
	}
	sink := newTestSink()
	s.Stream().SetSink(sink)
	s.Start()
	nat.say(s, 'n')
	if p := sink.next(t); p.mark != 'n' {
		t.Fatalf("heard %q", p.mark)
	}
	if _, ok := nat.hear(time.Second); !ok {
		t.Error("nothing was sent to where the media comes from")
	}
}

// A registered phone may have its media on another host than its signalling, but its word alone makes us send nowhere.
func TestAnAddressOnlyClaimedIsSentNothingUntilItSpeaks(t *testing.T) {
	elsewhere := newTestPeer(t, "127.0.0.9")
	s, sink := talk(t, mediaSessionConfig{SignallingPeer: netip.MustParseAddr("127.0.0.1")}, mediaHandlers{}, elsewhere)
	if n := elsewhere.drain(100 * ms); n != 0 {
		t.Errorf("%d packets were sent to an address that only SDP knows", n)
	}
	elsewhere.say(s, 'e')
	if p := sink.next(t); p.mark != 'e' {
		t.Errorf("heard %q", p.mark)
	}
	if _, ok := elsewhere.hear(time.Second); !ok {
		t.Error("nothing was sent to where the media comes from")
	}
}

func TestNegotiatedAddressWinsDuringProbation(t *testing.T) {
	phone, other := newTestPeer(t, "127.0.0.1"), newTestPeer(t, "127.0.0.1")
	s, sink := talk(t, mediaSessionConfig{}, mediaHandlers{}, phone)
	for range latchPackets - 1 {
		other.say(s, 'o') // same host, other port: allowed, on probation
		if p := sink.next(t); p.mark != 'o' {
			t.Fatalf("heard %q", p.mark)
		}
	}
	phone.say(s, 'p')
	if p := sink.next(t); p.mark != 'p' {
		t.Fatalf("heard %q, not the negotiated address", p.mark)
	}
	other.say(s, 'o')
	eventually(t, "the other is out", func() bool { return s.Stream().Stats().Rejected == 1 })
}

func TestProbationEndsAfterFivePackets(t *testing.T) {
	phone, other := newTestPeer(t, "127.0.0.1"), newTestPeer(t, "127.0.0.1")
	s, sink := talk(t, mediaSessionConfig{}, mediaHandlers{}, phone)
	for range latchPackets {
		other.say(s, 'o')
		sink.next(t)
	}
	phone.say(s, 'p')
	eventually(t, "the late claim refused", func() bool { return s.Stream().Stats().Rejected == 1 })
}

// Asterisk by default offers the phone's own address once both are connected ("direct media"). Where that lies outside the
// trunk's networks taking it would be silence; refused, the PBX goes on carrying the audio itself.
func TestMediaMayNotMoveOutOfTheTrunksNetworks(t *testing.T) {
	pbx := newTestPeer(t, "127.0.0.1")
	s, sink := talk(t, mediaSessionConfig{
		SignallingPeer: netip.MustParseAddr("127.0.0.1"), RemoteAllowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	}, mediaHandlers{}, pbx)
	if _, err := s.Answer(offerAt(netip.MustParseAddrPort("192.0.2.77:4000"), "RTP/AVP 8")); !errors.Is(err, errMediaAddress) {
		t.Errorf("an offer to move the media to a stranger: %v", err)
	}
	pbx.say(s, 'p')
	if p := sink.next(t); p.mark != 'p' {
		t.Errorf("heard %q", p.mark)
	}
	if _, ok := pbx.hear(time.Second); !ok {
		t.Error("the PBX hears nothing any more")
	}
	if _, err := s.Answer(offerAt(netip.MustParseAddrPort("192.0.2.78:4000"), "RTP/AVP 8", "sendonly")); err != nil {
		t.Errorf("hold with a music server elsewhere: %v", err)
	}
}

func TestReInviteWithANewAddressResetsTheLatch(t *testing.T) {
	first, second := newTestPeer(t, "127.0.0.1"), newTestPeer(t, "127.0.0.1")
	s, sink := talk(t, mediaSessionConfig{}, mediaHandlers{}, first)
	first.say(s, '1')
	sink.next(t)
	if _, err := s.Answer(first.offer("RTP/AVP 8", "ptime:20")); err != nil { // a refresh: nothing changes
		t.Fatal(err)
	}
	second.say(s, '2')
	eventually(t, "the second refused before the re-INVITE", func() bool { return s.Stream().Stats().Rejected == 1 })
	if _, err := s.Answer(second.offer("RTP/AVP 8")); err != nil {
		t.Fatal(err)
	}
	second.say(s, '2')
	if p := sink.next(t); p.mark != '2' {
		t.Errorf("heard %q", p.mark)
	}
	first.say(s, '1')
	eventually(t, "the first is out", func() bool { return s.Stream().Stats().Rejected == 2 })
	if _, ok := second.hear(time.Second); !ok {
		t.Error("nothing is sent to the new address")
	}
}

func TestMediaIsNotSentToThisMachineForSomebodyElse(t *testing.T) {
	s := openTest(t, mediaSessionConfig{Codecs: allCodecs, SignallingPeer: netip.MustParseAddr("192.0.2.9"), LocalIP: loopback}, mediaHandlers{})
	if _, err := s.Answer(offerWith("audio 5060 RTP/AVP 8")); err != nil {
		t.Fatal(err)
	}
	if to := s.route.Load().to(); to.IsValid() {
		t.Errorf("would send to %s", to)
	}
}
