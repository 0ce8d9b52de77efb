package sip

import (
	"context"
	"strings"
	"testing"

	"deskbridge/bridge"
)

func TestCallFromTrunkIsAnsweredAndEndedByTheFarEnd(t *testing.T) {
	r, p := withTrunk(t)
	c := p.call("+4930123")
	c.invite(peerSDP(20000))
	p.response(100)
	leg := r.board.leg(t)
	if o := leg.offer; o.Dialled != "+4930123" || o.Peer != "trunk:pbx" || o.From != "201" || o.Direction != bridge.Outbound {
		t.Fatalf("offer %+v", o)
	}
	leg.Alert()
	ringing := p.response(180)
	if len(ringing.Body()) != 0 {
		t.Error("180 carries SDP")
	}
	leg.Accept()
	ok := c.learn(p.response(200))
	if tag, _ := ringing.To().Params.Get("tag"); tag != c.toTag {
		t.Error("180 and 200 have different tags")
	}
	if !strings.Contains(string(ok.Body()), "PCMA") {
		t.Fatalf("no answer in 200:\n%s", ok)
	}
	leg.expect(t, bridge.EventAccepted)
	c.ack("")
	if leg.Stream().Format().Codec.String() != "PCMA" {
		t.Errorf("format %v", leg.Stream().Format())
	}
	c.in("BYE", "", "")
	p.response(200)
	if ev := leg.expect(t, bridge.EventEnded); ev.Cause.Reason != bridge.ReasonHangup {
		t.Errorf("cause %s", ev.Cause)
	}
	leg.quiet(t)
}

func TestCallToTrunkRingsIsAnsweredAndHungUp(t *testing.T) {
	r, p := withTrunk(t)
	leg := r.dial(t, bridge.Invite{Call: "c1", Target: "201", Line: "l1", Wacid: "wacid.1", Customer: bridge.Customer{Phone: "628123", Name: "Budi"}})
	inv := p.request("INVITE")
	p.reply(inv, 100, "Trying", "", "", "")
	p.reply(inv, 180, "Ringing", "pt", "", "")
	leg.expect(t, bridge.EventRinging)
	p.reply(inv, 200, "OK", "pt", "", peerSDP(20002))
	leg.expect(t, bridge.EventAnswered)
	ack := p.request("ACK")
	if ack.CSeq().SeqNo != inv.CSeq().SeqNo {
		t.Error("ACK has another CSeq than its INVITE")
	}
	leg.Hangup(normal())
	bye := p.request("BYE")
	p.reply(bye, 200, "OK", "", "", "")
	if ev := leg.expect(t, bridge.EventEnded); ev.Cause.Reason != bridge.ReasonHangup {
		t.Errorf("cause %s", ev.Cause)
	}
	if bye.CSeq().SeqNo <= inv.CSeq().SeqNo || bye.Recipient.User != "peer" {
		t.Errorf("BYE %s", bye.StartLine())
	}
}

func TestStopHangsUpAndReturns(t *testing.T) {
	r, p := withTrunk(t)
	leg := r.dial(t, bridge.Invite{Target: "201"})
	inv := p.request("INVITE")
	p.reply(inv, 200, "OK", "pt", "", peerSDP(20002))
	leg.expect(t, bridge.EventAnswered)
	done := make(chan error, 1)
	go func() { done <- r.Stop(context.Background()) }()
	bye := p.request("BYE")
	p.reply(bye, 200, "OK", "", "", "")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	leg.expect(t, bridge.EventEnded)
}
