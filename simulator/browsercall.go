package simulator

import (
	"context"
	"errors"
	"sync"
	"time"
)

// browserCall is a call whose customer is a person at the page. Signalling passes through here; the media is the browser's
// own and goes straight to the business.
type browserCall struct {
	b        *browser
	outbound bool
	sdp      string      // inbound: the browser's offer
	answers  chan string // outbound: the browser's answer

	mu sync.Mutex
	cl *call
}

var _ endpoint = (*browserCall)(nil)

// incoming is an outbound call of the company reaching the tab.
func (b *browser) incoming(cl *call) endpoint {
	bc := &browserCall{b: b, outbound: true, cl: cl, answers: make(chan string, 1)}
	b.mu.Lock()
	b.call = bc
	b.mu.Unlock()
	return bc
}

// dial places an inbound call with the browser's offer.
func (b *browser) dial(ctx context.Context, number, sdp string, opts CallOptions) (string, error) {
	bc := &browserCall{b: b, sdp: sdp, answers: make(chan string, 1)}
	err := b.cust.m.dial(ctx, b.cust, number, opts, bc, func(cl *call) {
		bc.mu.Lock()
		bc.cl = cl
		bc.mu.Unlock()
		b.mu.Lock()
		b.call = bc
		b.mu.Unlock()
	})
	if err != nil {
		return "", err
	}
	return bc.id(), nil
}

func (bc *browserCall) call() *call {
	bc.mu.Lock()
	defer bc.mu.Unlock()
	return bc.cl
}

func (bc *browserCall) id() string {
	if cl := bc.call(); cl != nil {
		return cl.id
	}
	return ""
}

func (bc *browserCall) accept()  { cl := bc.call(); cl.do(cl.pickUp) }
func (bc *browserCall) decline() { cl := bc.call(); cl.do(cl.decline) }

func (bc *browserCall) hangup() {
	if cl := bc.call(); cl != nil {
		cl.do(func() { cl.end(End{By: ByCustomer, Reason: "hangup"}) })
	}
}

func (bc *browserCall) fail(code int) {
	cl := bc.call()
	cl.do(func() { cl.end(End{By: ByNetwork, Reason: "media", Code: code}) })
}

func (bc *browserCall) offer(context.Context) (string, error) { return bc.sdp, nil }

func (bc *browserCall) answerTo(ctx context.Context, offer string) (string, error) {
	cl := bc.call()
	bc.b.push(browserEvent{Type: "offer", Call: cl.id, SDP: offer, Name: cl.num.Name, Number: cl.num.PhoneNumberID})
	select {
	case sdp := <-bc.answers:
		return sdp, nil
	case <-bc.b.done:
		return "", errors.New("the page was closed")
	case <-ctx.Done():
		return "", errors.New("the page did not answer in time")
	}
}

func (bc *browserCall) remoteAnswer(sdp string) error {
	bc.b.push(browserEvent{Type: "answer", Call: bc.id(), SDP: sdp})
	return nil
}

func (bc *browserCall) state(s State) {
	if s == StateEnded || (s == StateDialling && bc.outbound) {
		return // over tells the end; a phone shows nothing before it rings
	}
	cl := bc.call()
	bc.b.push(browserEvent{Type: "state", Call: cl.id, State: s, Name: cl.num.Name})
}

func (bc *browserCall) accepted(time.Time) {}
func (bc *browserCall) startSending()      {}
func (bc *browserCall) media() mediaView   { return mediaView{} }
func (bc *browserCall) wait()              {}

func (bc *browserCall) over(e End) {
	bc.b.push(browserEvent{Type: "ended", Call: bc.id(), End: &e})
	bc.b.mu.Lock()
	defer bc.b.mu.Unlock()
	if bc.b.call == bc {
		bc.b.call = nil
	}
}
