package sip

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

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

func TestStopWaitsForTheByeThatWaitsForItsAck(t *testing.T) {
	r, p := withTrunk(t)
	c := p.call("+4930123")
	c.invite(peerSDP(p.port() + 1))
	leg := r.board.leg(t)
	leg.Accept()
	c.learn(p.response(200))
	leg.expect(t, bridge.EventAccepted)
	stopped := make(chan error, 1)
	go func() { stopped <- r.Stop(context.Background()) }()
	leg.expect(t, bridge.EventEnded)
	select {
	case <-r.ctx.Done():
		t.Fatal("stopped with a BYE still to send")
	case <-time.After(100 * time.Millisecond):
	}
	c.ack("")
	p.reply(p.request("BYE"), 200, "OK", "", "", "")
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// silent is a switchboard that takes a call too late or, with a bug, never.
type silent struct {
	open chan func(string, bridge.Notify) bridge.Leg
}

func (s *silent) Offer(o bridge.Offer) string {
	if o.Dialled == "+666" {
		panic("bug")
	}
	s.open <- o.Open
	return "c"
}

func TestCallTheSwitchboardDoesNotTakeIsRefusedAndLeavesNothing(t *testing.T) {
	board := &silent{open: make(chan func(string, bridge.Notify) bridge.Leg, 1)}
	r := newRig(t, func(c *Config) { c.Switchboard = board })
	p := newPeer(t, r.UDPAddr())
	r.apply(t, Settings{Trunks: []TrunkConfig{{Name: "pbx", Host: "127.0.0.1", Port: p.port(), NoPing: true}}})
	for _, number := range []string{"+666", "+4930123"} {
		c := p.call(number)
		c.invite(peerSDP(20000))
		c.learn(p.response(500))
		p.send(c.text("ACK", c.branch, "", ""))
	}
	w, notify := watch()
	(<-board.open)("c", notify)
	w.expect(t, bridge.EventEnded)
	if n := r.legs.count(); n != 0 {
		t.Errorf("%d legs left", n)
	}
}

func TestEveryCallDialledWhileStoppingEnds(t *testing.T) {
	for range 5 {
		r, _ := withTrunk(t)
		tr, _ := r.Trunk("pbx")
		var all sync.WaitGroup
		legs := make(chan *watched, 40)
		for range cap(legs) {
			all.Go(func() {
				w, notify := watch()
				if _, err := tr.Dial(context.Background(), bridge.Invite{Target: "201"}, notify); err == nil {
					legs <- w
				}
			})
		}
		all.Go(func() {
			if err := r.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		close(legs)
		for w := range legs {
			w.expect(t, bridge.EventEnded)
		}
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
