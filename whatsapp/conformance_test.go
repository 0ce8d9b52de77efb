package whatsapp

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deskbridge/bridge"
	"deskbridge/bridge/legtest"
	"deskbridge/graph"
	"deskbridge/media"
	"deskbridge/simulator"
)

// simulated is the whole package against a simulated Meta, over real sockets with real WebRTC.
type simulated struct {
	meta *simulator.Meta
	hub  *Hub
	line *Line
	next *handover
}

// handover is a switchboard that gives each offered call to the test waiting for it.
type handover struct {
	mu     sync.Mutex
	notify bridge.Notify
	legs   chan bridge.Leg
}

func (h *handover) Offer(o bridge.Offer) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o.Open != nil {
		h.legs <- o.Open("call-"+o.Wacid, h.notify)
	}
	return "call-" + o.Wacid
}

func newSimulated(t *testing.T) *simulated {
	t.Helper()
	ctx := t.Context()
	number := simulator.Number{PhoneNumberID: testNumber, WABA: "900100200300400", DisplayNumber: "15550100200", AppID: "100", AppSecret: testSecret, Token: "EAA", Name: "Test"}
	meta, err := simulator.NewMeta(simulator.MetaConfig{Numbers: []simulator.Number{number}, VerifyToken: testToken, Timing: simulator.Timing{}.Fast()})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	hub, err := NewHub(ctx, HubConfig{Media: MediaConfig{IP: netip.MustParseAddr("127.0.0.1"), Registerer: reg}, Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	client := graph.NewClient(graph.ClientConfig{BaseURL: meta.URL(), Token: graph.NewSecret("EAA"), Registerer: reg})
	line, err := NewLine(LineConfig{ID: "main", PhoneNumberID: testNumber, AppSecret: graph.NewSecret(testSecret), VerifyToken: graph.NewSecret(testToken), Graph: client, Hub: hub})
	if err != nil {
		t.Fatal(err)
	}
	s := &simulated{meta: meta, hub: hub, line: line, next: &handover{legs: make(chan bridge.Leg, 1)}}
	web := NewWebhook(WebhookConfig{Hub: hub, Inbox: newMemInbox(), Directory: &memDirectory{}, Switchboard: s.next, Lines: []*Line{line}})
	srv := httptest.NewServer(web)
	meta.SetWebhookURL(srv.URL + WebhookPath)
	meta.Start()
	web.Start(ctx)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		for _, stop := range []func() error{func() error { return hub.Stop(ctx) }, meta.Close, func() error { return web.Stop(ctx) }} {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
		srv.Close()
		client.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

func (s *simulated) customer(t *testing.T, phone string) *simulator.Customer {
	t.Helper()
	c, err := s.meta.Customer(simulator.CustomerConfig{Phone: phone, Name: "Erika", Permission: simulator.PermissionPermanent,
		Behaviour: simulator.Behaviour{React: simulator.ReactManual}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// far is the simulated customer at the other end of a leg.
type far struct {
	t    *testing.T
	who  *simulator.Customer
	once sync.Once
	cc   *simulator.CustomerCall
}

func (f *far) call() *simulator.CustomerCall {
	f.once.Do(func() {
		if f.cc != nil {
			return
		}
		select {
		case f.cc = <-f.who.Calls():
		case <-time.After(10 * time.Second):
			f.t.Error("the call did not reach the customer")
			panic("no call")
		}
	})
	return f.cc
}

func (f *far) wait(s simulator.State) {
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer cancel()
	if err := f.call().WaitState(ctx, s); err != nil {
		f.t.Errorf("wait for %s: %v", s, err)
	}
}

func (f *far) Ring()    { f.wait(simulator.StateRinging) }
func (f *far) Answer()  { f.Ring(); f.call().Answer() }
func (f *far) Decline() { f.Ring(); f.call().Decline() }
func (f *far) Hangup()  { f.call().Hangup() }
func (f *far) Press(d media.Digit) {
	if err := f.call().SendDigits(f.t.Context(), string(rune(d))); err != nil {
		f.t.Error(err)
	}
}
func (f *far) Pressed() []media.Digit {
	var out []media.Digit
	for _, d := range f.call().Digits() {
		out = append(out, media.Digit(d))
	}
	return out
}
func (f *far) Play(freq float64) {
	if err := f.call().Play(simulator.Playback{Tone: freq}); err != nil {
		f.t.Error(err)
	}
}
func (f *far) Heard() ([]int16, int) {
	pcm, err := f.call().Heard(16000)
	if err != nil {
		return nil, 16000
	}
	return pcm, 16000
}

func TestLegConformsOverRealSockets(t *testing.T) {
	s := newSimulated(t)
	phones := 4915100000000
	phone := func() string {
		phones++
		return strconv.Itoa(phones)
	}
	legtest.Run(t, legtest.Harness{
		Incoming: func(t *testing.T, n bridge.Notify) (bridge.Leg, legtest.Far) {
			s.next.mu.Lock()
			s.next.notify = n
			s.next.mu.Unlock()
			who := s.customer(t, phone())
			cc, err := who.Call(t.Context(), testNumber, simulator.CallOptions{})
			if err != nil {
				t.Fatal(err)
			}
			select {
			case l := <-s.next.legs:
				return l, &far{t: t, who: who, cc: cc}
			case <-time.After(10 * time.Second):
				t.Fatal("the call was not offered")
			}
			return nil, nil
		},
		Dial: func(t *testing.T, n bridge.Notify) (bridge.Leg, legtest.Far) {
			p := phone()
			who := s.customer(t, p)
			l, err := s.line.Dial(t.Context(), bridge.Invite{Call: "call-" + p, Customer: bridge.Customer{Phone: p}}, n)
			if err != nil {
				t.Fatal(err)
			}
			return l, &far{t: t, who: who}
		},
	})
	// A leg says that it ended before the hub stops counting it.
	for end := time.Now().Add(5 * time.Second); s.hub.Active() > 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d legs are left", s.hub.Active())
		}
	}
	if ids := s.meta.ActiveCalls(); len(ids) != 0 {
		t.Errorf("calls are left at Meta: %v", ids)
	}
}
