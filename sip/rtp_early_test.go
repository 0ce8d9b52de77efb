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
	now = now.Add(20 * ms)
	hear("first")
	now = now.Add(280 * ms)
	hear("second")
	now = now.Add(20 * ms)
	sink := new(namesSink)
	in.sink, in.joined = sink, now
	now = now.Add(400 * ms) // a phone that says nothing sends nothing
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

// TestAllSaidBetweenTheAnswerAndItsListenerIsHeardInOrder over the wire.
func TestAllSaidBetweenTheAnswerAndItsListenerIsHeardInOrder(t *testing.T) {
	r, p := withTrunk(t)
	leg := r.dial(t, bridge.Invite{Target: "201"})
	inv := p.request("INVITE")
	pbx, session := newTestPeer(t, "127.0.0.1"), leg.Leg.(*Leg).media
	p.reply(inv, 200, "OK", "x", "", peerSDP(int(pbx.addr().Port())))
	leg.expect(t, bridge.EventAnswered)
	const word = "abcdefghijklmno" // 300 ms of it
	for _, c := range []byte(word) {
		pbx.say(session, c)
	}
	eventually(t, "the word read", func() bool { return leg.Stream().Stats().Received == uint64(len(word)) })
	sink := newTestSink()
	leg.Stream().SetSink(nil) // no listener yet: changes nothing
	leg.Stream().SetSink(sink)
	pbx.say(session, '.')
	for _, want := range []byte(word + ".") {
		if got := sink.next(t); got.mark != want {
			t.Fatalf("heard %q, want %q", got.mark, want)
		}
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
