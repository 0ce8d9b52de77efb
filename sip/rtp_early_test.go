package sip

import (
	"fmt"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/media"
)

type namesSink struct{ got []string }

func (n *namesSink) ReceivePacket(p *media.Packet) { n.got = append(n.got, string(p.Payload)) }

// TestTheFirstWordWaitsForItsListener: the call is joined a little after the answer, and the phone talks already.
func TestTheFirstWordWaitsForItsListener(t *testing.T) {
	in := receiveSide{}
	now := time.Now()
	hear := func(name string) {
		in.out = media.Packet{Payload: []byte(name), Arrival: now}
		in.deliver(now)
	}
	for i := range 20 { // what was played before the answer
		hear(fmt.Sprint(i))
		now = now.Add(20 * ms)
	}
	now = now.Add(200 * ms)
	hear("first")
	now = now.Add(20 * ms)
	hear("second")
	now = now.Add(20 * ms)
	sink := new(namesSink)
	in.sink, in.joined = sink, true
	hear("third")
	if fmt.Sprint(sink.got) != "[first second third]" {
		t.Errorf("heard %v", sink.got)
	}
	in.sink = nil // on hold: what is said now is for nobody
	hear("aside")
	in.sink = sink
	hear("back")
	if fmt.Sprint(sink.got) != "[first second third back]" {
		t.Errorf("heard %v", sink.got)
	}
}

// TestAFirstWordThatOvertakesTheAnswerIsHeard: RTP and the 200 OK go different ways (RFC 3264 §5.1).
func TestAFirstWordThatOvertakesTheAnswerIsHeard(t *testing.T) {
	r, p := withTrunk(t)
	leg := r.dial(t, bridge.Invite{Target: "201"})
	inv := p.request("INVITE")
	pbx, session := newTestPeer(t, "127.0.0.1"), leg.Leg.(*Leg).media
	pbx.say(session, 'f')
	p.reply(inv, 200, "OK", "x", "", peerSDP(int(pbx.addr().Port())))
	leg.expect(t, bridge.EventAnswered)
	sink := newTestSink()
	leg.Stream().SetSink(sink)
	pbx.say(session, 's')
	for _, want := range []byte("fs") {
		if got := sink.next(t); got.mark != want {
			t.Fatalf("heard %q, want %q", got.mark, want)
		}
	}
}
