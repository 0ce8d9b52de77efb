package ivr

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deskbridge/bridge"
	"deskbridge/media"
	"deskbridge/policy"
)

// deskPhone is a leg A: an agent's phone that speaks A-law.
type deskPhone struct {
	notify bridge.Notify
	accept time.Duration // how long the phone takes to be there

	mu    sync.Mutex
	sink  media.Sink
	dec   media.Decoder
	buf   []int16
	heard []int16
	ended bool
}

func (p *deskPhone) emit(e bridge.Event) {
	e.At = time.Now()
	p.notify(e)
}

func (p *deskPhone) Kind() bridge.Kind        { return bridge.KindSIP }
func (p *deskPhone) Stream() media.Stream     { return p }
func (p *deskPhone) Prepare()                 {}
func (p *deskPhone) Alert()                   {}
func (p *deskPhone) Record() bridge.LegRecord { return bridge.LegRecord{Kind: bridge.KindSIP} }
func (p *deskPhone) Accept() {
	time.AfterFunc(p.accept, func() { p.emit(bridge.Event{Kind: bridge.EventAccepted}) })
}
func (p *deskPhone) Hangup(c bridge.Cause) {
	p.mu.Lock()
	was := p.ended
	p.ended = true
	p.mu.Unlock()
	if !was {
		p.emit(bridge.Event{Kind: bridge.EventEnded, Cause: c})
	}
}

func (p *deskPhone) Format() media.Format {
	return media.Format{Codec: media.PCMA, PTime: 20 * time.Millisecond}
}
func (p *deskPhone) SetSink(s media.Sink) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sink = s
}
func (p *deskPhone) SendDigit(media.Digit) {}
func (p *deskPhone) Stats() media.Stats    { return media.Stats{} }
func (p *deskPhone) SendFrame(f *media.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, _ := p.dec.Decode(f.Payload, p.buf)
	p.heard = append(p.heard, p.buf[:n]...)
}

// speak sends one packet of silence into whatever the phone is joined to.
func (p *deskPhone) speak(seq uint16) {
	p.mu.Lock()
	s := p.sink
	p.mu.Unlock()
	if s != nil {
		s.ReceivePacket(&media.Packet{Payload: media.SilenceFrame(media.PCMA, 160), Sequence: seq, Timestamp: uint32(seq) * 160, Arrival: time.Now()})
	}
}

func (p *deskPhone) take(t *testing.T) []int16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	pcm, err := media.Resample(p.heard, 8000, Rate)
	if err != nil {
		t.Fatal(err)
	}
	p.heard = nil
	return pcm
}

// office is a router, an authorizer and a ledger in which nobody may be called.
type office struct {
	menus *Menus
	desk  Desk
	mu    sync.Mutex
	last  bridge.Fact
}

func (o *office) Route(context.Context, bridge.Offer) (bridge.Route, bridge.Cause) {
	refusedBy := func(d policy.Decision) bridge.Stage {
		menu := RefusalMenu("en", d, Request{Agent: "phone:1001"}, o.desk, time.Now())
		return bridge.Stage{Targets: []bridge.Target{{Dialer: o.menus.Dialer(menu), Name: "menu:refusal"}}}
	}
	nobody := []bridge.Target{{Dialer: o.menus.Dialer(Menu{}), Name: "line:main"}}
	return bridge.Route{Line: "main", Customer: request.Customer, Stage: bridge.Stage{Targets: nobody}, Refused: refusedBy}, bridge.Cause{}
}

func (o *office) Authorize(context.Context, bridge.Attempt) (policy.Decision, error) {
	return refused(policy.ActionAsk, policy.ActionButton), nil
}

func (o *office) Record(_ context.Context, f bridge.Fact) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = f
	return nil
}

// A whole call: the agent dials, policy says no, the menu answers in the customer's place, a key is pressed, both ends go.
func TestRefusedCallIsAnsweredByTheMenu(t *testing.T) {
	l := newLibrary(t)
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan Request, 9)
		o := &office{menus: newMenus(t, l), desk: desk{ask: func(_ context.Context, r Request) Outcome {
			asked <- r
			return Outcome{Done: true}
		}}}
		x := bridge.New(bridge.Config{Router: o, Authorizer: o, Ledger: o, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), MaxCalls: 9})
		dec, err := media.NewDecoder(media.PCMA, 8000)
		if err != nil {
			t.Fatal(err)
		}
		p := &deskPhone{dec: dec, buf: make([]int16, 8000), accept: 80 * time.Millisecond}
		call := x.Offer(bridge.Offer{Direction: bridge.Outbound, Dialled: "+6281234567890", From: "1001", Peer: "phone:1001", Open: func(_ string, n bridge.Notify) bridge.Leg {
			p.notify = n
			return p
		}})
		for seq := range uint16(500) { // 10 s
			time.Sleep(framePTime)
			p.speak(seq)
		}
		hears(t, l, "en", p.take(t), say("why.none", "offer.ask", "offer.button"))
		p.emit(bridge.Event{Kind: bridge.EventDigit, Digit: '1'})
		time.Sleep(8 * time.Second)
		hears(t, l, "en", p.take(t), say("done.ask", "goodbye"))
		want := Request{Call: call, Line: "main", Customer: request.Customer, Agent: "phone:1001"}
		if got := <-asked; got != want || len(asked) != 0 {
			t.Errorf("asked for %+v, want %+v; %d more", got, want, len(asked))
		}
		if len(x.Calls()) != 0 || !p.ended {
			t.Errorf("%d calls are left, the phone has ended: %v", len(x.Calls()), p.ended)
		}
		x.Drain(context.Background())
		x.Close()
		if o.last.CDR.Cause.Reason != bridge.ReasonRefused || o.last.CDR.Cause.Rule != policy.RulePermissionNone {
			t.Errorf("recorded as %v", o.last.CDR.Cause)
		}
		if o.last.Kind != bridge.FactRefused {
			t.Errorf("the last fact is %s", o.last.Kind)
		}
	})
}
