package sip

import (
	"context"
	"testing"
	"time"

	msg "github.com/emiago/sipgo/sip"

	"deskbridge/bridge"
)

func TestOrphanedCallerThatWasNeverAnsweredGetsItsFinalAnswer(t *testing.T) {
	r, p := withTrunk(t)
	next := newRig(t, func(c *Config) { c.MaxCalls = 1 })
	next.timerT1 = 50 * time.Millisecond
	next.apply(t, Settings{Trunks: []TrunkConfig{{Name: "pbx", Host: "127.0.0.1", Port: p.port(), NoPing: true}}})
	for _, answeredSince := range []bool{false, true} {
		c := p.call("+4930123")
		c.invite(peerSDP(20000))
		leg := r.board.leg(t)
		leg.Alert()
		c.learn(p.response(180))
		rec := leg.Record()
		done := make(chan error, 1)
		go func() { done <- next.EndOrphan(context.Background(), rec) }()
		res := p.response(480)
		tag, _ := res.To().Params.Get("tag")
		branch, _ := res.Via().Params.Get("branch")
		if tag != c.toTag || branch != c.branch || res.CSeq().Value() != "1 INVITE" || res.CallID().Value() != c.id {
			t.Errorf("answer\n%s", res)
		}
		if answeredSince { // the 480 meets no transaction
			bye := p.request("BYE")
			p.reply(bye, 200, "OK", "", "", "")
		} else {
			home := p.to
			p.to = next.UDPAddr()
			c.ack("")
			p.to = home
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		for len(p.in) > 0 {
			if q, ok := (<-p.in).(*msg.Request); ok {
				t.Errorf("%s after the end", q.Method)
			}
		}
		leg.Hangup(normal())
		leg.expect(t, bridge.EventEnded)
		p.response(480)
		p.send(c.text("ACK", c.branch, "", ""))
	}
}

func TestOrphanAnsweredSinceItsRecordGetsBye(t *testing.T) {
	r, p := withTrunk(t)
	leg := r.dial(t, bridge.Invite{Target: "201"})
	inv := p.request("INVITE")
	p.reply(inv, 180, "Ringing", "x", "", "")
	leg.expect(t, bridge.EventRinging)
	rec := leg.Record()
	done := make(chan error, 1)
	go func() { done <- r.EndOrphan(context.Background(), rec) }()
	cancel := p.request("CANCEL")
	if cancel.To().Params.Has("tag") {
		t.Errorf("CANCEL to %s", cancel.To().Value())
	}
	p.reply(cancel, 481, "Unknown", "x", "", "")
	bye := p.request("BYE")
	if tag, _ := bye.To().Params.Get("tag"); tag != "x" || bye.Recipient.Port != p.port() {
		t.Errorf("BYE\n%s", bye)
	}
	p.reply(bye, 200, "OK", "", "", "")
	if err := <-done; err != nil {
		t.Error(err)
	}
	p.reply(inv, 486, "Busy Here", "x", "", "")
}

func TestOrphanIsEndedByAnotherProcess(t *testing.T) {
	r, p := withTrunk(t)
	c, leg := answered(t, r, p)
	rec := leg.Record()
	if len(rec.Dialog) == 0 || rec.CallID != c.id {
		t.Fatalf("record %+v", rec)
	}
	ringing := r.dial(t, bridge.Invite{Target: "201"})
	inv := p.request("INVITE")
	p.reply(inv, 180, "Ringing", "x", "", "")
	ringing.expect(t, bridge.EventRinging)
	early := ringing.Record()

	next := newRig(t)
	next.apply(t, Settings{Trunks: []TrunkConfig{{Name: "pbx", Host: "127.0.0.1", Port: p.port(), NoPing: true}}})
	done := make(chan error, 2)
	go func() { done <- next.EndOrphan(context.Background(), rec) }()
	bye := p.request("BYE")
	if tag, _ := bye.From().Params.Get("tag"); tag != c.toTag || bye.CSeq().SeqNo < seqHeadroom || bye.CallID().Value() != c.id {
		t.Errorf("BYE\n%s", bye)
	}
	p.reply(bye, 481, "Gone", "", "", "")
	if err := <-done; err != nil {
		t.Error(err)
	}
	go func() { done <- next.EndOrphan(context.Background(), early) }()
	cancel := p.request("CANCEL")
	if cancel.Via().Value() != inv.Via().Value() || cancel.Recipient.String() != inv.Recipient.String() || cancel.CSeq().SeqNo != inv.CSeq().SeqNo {
		t.Errorf("CANCEL\n%s\nof\n%s", cancel, inv)
	}
	p.reply(cancel, 200, "OK", "x", "", "")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := next.EndOrphan(context.Background(), bridge.LegRecord{}); err == nil {
		t.Error("a record without dialog ended something")
	}
	p.reply(inv, 486, "Busy Here", "x", "", "")
	leg.Hangup(normal())
	p.reply(p.request("BYE"), 200, "OK", "", "", "")
}
