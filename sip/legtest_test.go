package sip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	msg "github.com/emiago/sipgo/sip"

	"deskbridge/bridge"
	"deskbridge/bridge/legtest"
	"deskbridge/media"
)

// farEnd is the PBX's side of a leg: a dialog by hand, and PCMA over a socket of its own.
type farEnd struct {
	t    *testing.T
	p    *peer
	c    *call        // it called us
	inv  *msg.Request // we called it
	up   bool
	rtp  *net.UDPConn
	stop chan struct{}
	wg   sync.WaitGroup

	mu    sync.Mutex
	to    netip.AddrPort
	freq  float64
	press media.Digit
	pcm   []int16
	keys  []media.Digit
	event uint32 // timestamp of the last digit heard
}

const digitNames = "0123456789*#ABCD"

func newFarEnd(t *testing.T, p *peer) *farEnd {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	f := &farEnd{t: t, p: p, rtp: conn, stop: make(chan struct{})}
	f.wg.Go(f.listen)
	f.wg.Go(f.talk)
	f.wg.Go(f.obey)
	t.Cleanup(func() { close(f.stop); conn.Close(); f.wg.Wait() })
	return f
}

// obey answers BYE and CANCEL, which come whenever the suite wants.
func (f *farEnd) obey() {
	for {
		select {
		case <-f.stop:
			return
		case m := <-f.p.in:
			q, ok := m.(*msg.Request)
			switch {
			case !ok:
			case q.Method == msg.BYE:
				f.p.reply(q, 200, "OK", "", "", "")
			case q.Method == msg.CANCEL:
				f.p.reply(q, 200, "OK", "far", "", "")
				f.p.reply(f.inv, 487, "Request Terminated", "far", "", "")
			}
		}
	}
}

func (f *farEnd) port() int { return f.rtp.LocalAddr().(*net.UDPAddr).Port }

func (f *farEnd) learn(body []byte) {
	for line := range strings.Lines(string(body)) {
		var port uint16
		if n, _ := fmt.Sscanf(line, "m=audio %d", &port); n == 1 {
			f.mu.Lock()
			f.to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
			f.mu.Unlock()
		}
	}
}

func (f *farEnd) listen() {
	dec, _ := media.NewDecoder(media.PCMA, 8000)
	b, pcm := make([]byte, 2000), make([]int16, 5760)
	for {
		n, err := f.rtp.Read(b)
		if err != nil {
			return
		}
		var p rtp.Packet
		if p.Unmarshal(b[:n]) != nil {
			continue
		}
		f.mu.Lock()
		switch {
		case p.PayloadType == 8:
			if k, err := dec.Decode(p.Payload, pcm); err == nil {
				f.pcm = append(f.pcm, pcm[:k]...)
			}
		case p.PayloadType == 101 && len(p.Payload) >= 4 && p.Timestamp != f.event:
			f.event = p.Timestamp
			f.keys = append(f.keys, media.Digit(digitNames[p.Payload[0]&15]))
		}
		f.mu.Unlock()
	}
}

func (f *farEnd) talk() {
	enc, _ := media.NewEncoder(media.PCMA, 8000)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	h := rtp.Header{Version: 2, PayloadType: 8, SSRC: 7}
	var tone []int16
	var digit, left int
	for {
		select {
		case <-f.stop:
			return
		case <-tick.C:
		}
		f.mu.Lock()
		to, freq := f.to, f.freq
		if f.press != 0 {
			digit, left, f.press = strings.IndexByte(digitNames, byte(f.press)), 8, 0
		}
		f.mu.Unlock()
		if !to.IsValid() || (freq == 0 && left == 0) {
			continue
		}
		pk := rtp.Packet{Header: h}
		if left > 0 { // RFC 4733: five updates, three ends
			left--
			end := byte(0)
			if left < 3 {
				end = 0x80
			}
			dur := min(8-left, 5) * 160
			pk.PayloadType, pk.Marker = 101, left == 7
			pk.Payload = []byte{byte(digit), end | 10, byte(dur >> 8), byte(dur)}
			if left == 0 {
				h.Timestamp += 8 * 160
			}
		} else {
			if len(tone) < 160 {
				tone = media.Tone(freq, 8000, time.Second)
			}
			pk.Payload = make([]byte, 160)
			_, _ = enc.Encode(tone[:160], pk.Payload)
			tone = tone[160:]
			h.Timestamp += 160
		}
		h.SequenceNumber++
		b, _ := pk.Marshal()
		_, _ = f.rtp.WriteToUDPAddrPort(b, to)
	}
}

func (f *farEnd) Ring() { f.p.reply(f.inv, 180, "Ringing", "far", "", "") }
func (f *farEnd) Answer() {
	f.up = true
	f.p.reply(f.inv, 200, "OK", "far", "", peerSDP(f.port()))
}
func (f *farEnd) Decline() { f.p.reply(f.inv, 603, "Decline", "far", "", "") }

func (f *farEnd) Hangup() {
	switch {
	case f.c != nil && f.c.toTag == "":
		f.p.send(f.c.text("CANCEL", f.c.branch, "", ""))
	case f.c != nil:
		f.c.in("BYE", "", "")
	case f.up:
		f.p.send(fmt.Sprintf("BYE %s SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=%s\nFrom: %s;tag=far\nTo: %s\nCall-ID: %s\nCSeq: 9 BYE\n\n",
			f.inv.Contact().Address.String(), f.p.port(), newBranch(), f.inv.To().Value(), f.inv.From().Value(), f.inv.CallID().Value()))
	}
}

func (f *farEnd) Press(d media.Digit) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.press = d
}

func (f *farEnd) Pressed() []media.Digit {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]media.Digit(nil), f.keys...)
}

func (f *farEnd) Play(freq float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.freq = freq
}

func (f *farEnd) Heard() ([]int16, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]int16(nil), f.pcm...), 8000
}

// callingLeg acknowledges our 200 as the far end's person would not have to.
type callingLeg struct {
	bridge.Leg
	f      *farEnd
	accept func()
}

func (l *callingLeg) Accept() { l.accept() }

func TestLegConformance(t *testing.T) {
	legtest.Run(t, legtest.Harness{
		Incoming: func(t *testing.T, n bridge.Notify) (bridge.Leg, legtest.Far) {
			board := &opener{notify: n, legs: make(chan bridge.Leg, 1)}
			r := newRig(t, func(c *Config) { c.Switchboard = board })
			p := newPeer(t, r.UDPAddr())
			r.apply(t, Settings{Trunks: []TrunkConfig{{Name: "pbx", Host: "127.0.0.1", Port: p.port(), NoPing: true}}})
			raw := &peer{t: t, conn: p.conn, to: p.to, in: make(chan msg.Message, 64)}
			f := newFarEnd(t, raw)
			f.c = raw.call("+4930123")
			f.c.invite(peerSDP(f.port()))
			var leg bridge.Leg
			select {
			case leg = <-board.legs:
			case <-time.After(testDeadline):
				t.Fatal("no call")
			}
			var once sync.Once
			return &callingLeg{Leg: leg, f: f, accept: func() {
				leg.Accept()
				once.Do(func() {
					ok, done := p.maybe(200)
					if !done {
						return
					}
					f.c.learn(ok)
					f.learn(ok.Body())
					f.c.ack("")
					f.wg.Go(func() { forward(f, p, raw) })
				})
			}}, f
		},
		Dial: func(t *testing.T, n bridge.Notify) (bridge.Leg, legtest.Far) {
			r, p := withTrunk(t)
			tr, _ := r.Trunk("pbx")
			leg, err := tr.Dial(context.Background(), bridge.Invite{Target: "201", Customer: bridge.Customer{Phone: "628"}}, n)
			if err != nil {
				t.Fatal(err)
			}
			inv := p.request("INVITE")
			f := newFarEnd(t, &peer{t: t, conn: p.conn, to: p.to, in: p.in})
			f.inv = inv
			f.learn(inv.Body())
			return leg, f
		},
	})
}

// opener is a switchboard that hands its one leg out.
type opener struct {
	notify bridge.Notify
	legs   chan bridge.Leg
}

func (o *opener) Offer(of bridge.Offer) string {
	o.legs <- of.Open("c", o.notify)
	return "c"
}

// maybe waits for a response, or for nothing at all.
func (p *peer) maybe(status int) (*msg.Response, bool) {
	deadline := time.After(time.Second)
	for {
		select {
		case m := <-p.in:
			if r, ok := m.(*msg.Response); ok && r.StatusCode == status {
				return r, true
			}
		case <-deadline:
			return nil, false
		}
	}
}

func forward(f *farEnd, from, to *peer) {
	for {
		select {
		case <-f.stop:
			return
		case m := <-from.in:
			select {
			case to.in <- m:
			default:
			}
		}
	}
}
