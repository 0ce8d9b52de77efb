package whatsapp

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/media"
)

// The parts below play everything around the leg: Meta's Graph side, the media, the store, the switchboard. They need no
// sockets, so that the tests run in a bubble of fake time.

const (
	testNumber = "700800900100200"
	testSecret = "appliance-test-secret"
	testToken  = "verify-me"
)

type graphCall struct {
	action, id, sdp, data string
	at                    time.Time
}

// fakeGraph answers by action; without an answer of its own every action succeeds.
type fakeGraph struct {
	mu    sync.Mutex
	calls []graphCall
	on    map[string]func(*http.Request) (*http.Response, error)
}

func (g *fakeGraph) RoundTrip(r *http.Request) (*http.Response, error) {
	var b struct {
		Action  string
		CallID  string `json:"call_id"`
		Data    string `json:"biz_opaque_callback_data"`
		Session struct{ SDP string }
	}
	if r.Body != nil {
		if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
			return nil, err
		}
	}
	g.mu.Lock()
	g.calls = append(g.calls, graphCall{b.Action, b.CallID, b.Session.SDP, b.Data, time.Now()})
	answer := g.on[b.Action]
	g.mu.Unlock()
	if answer != nil {
		return answer(r)
	}
	return graphSays(200, `{"success":true,"calls":[{"id":"wacid.OUT"}]}`)(r)
}

func (g *fakeGraph) answer(action string, f func(*http.Request) (*http.Response, error)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.on[action] = f
}

// actions lists what Graph was asked, in order.
func (g *fakeGraph) actions() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for _, c := range g.calls {
		out = append(out, c.action)
	}
	return out
}

func graphSays(status int, body string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func graphRefuses(code int) func(*http.Request) (*http.Response, error) {
	return graphSays(400, fmt.Sprintf(`{"error":{"message":"refused","code":%d}}`, code))
}

func graphHangs(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// graphAfter answers late.
func graphAfter(d time.Duration, then func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		if !sleep(r.Context(), d) {
			return nil, r.Context().Err()
		}
		return then(r)
	}
}

// fakeSession is media without packets.
type fakeSession struct {
	noStream
	h         mediaHandlers
	mu        sync.Mutex
	log       []string
	heard     time.Time
	badAnswer error
}

func (s *fakeSession) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, what)
}

func (s *fakeSession) did(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, w := range s.log {
		if w == what {
			n++
		}
	}
	return n
}

func (s *fakeSession) hear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = time.Now()
}

func (s *fakeSession) Offer() (string, error) { return "our offer", nil }
func (s *fakeSession) Answer(offer string) (string, error) {
	if offer == "" {
		return "", errors.New("no SDP")
	}
	return "our answer to " + offer, nil
}
func (s *fakeSession) ApplyAnswer(a string) error { s.note("apply " + a); return s.badAnswer }
func (s *fakeSession) Start()                     { s.note("start") }
func (s *fakeSession) Stream() media.Stream       { return s }
func (s *fakeSession) OpenGate()                  { s.note("gate") }
func (s *fakeSession) Close()                     { s.note("close") }
func (s *fakeSession) Format() media.Format {
	return media.Format{Codec: media.Opus, PTime: 20 * time.Millisecond}
}
func (s *fakeSession) LastReceived() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard
}

// memInbox is the store's inbox.
type memInbox struct {
	mu     sync.Mutex
	keys   []string
	raw    map[string][]byte
	done   map[string]bool
	refuse error
}

func newMemInbox() *memInbox { return &memInbox{raw: map[string][]byte{}, done: map[string]bool{}} }

func (b *memInbox) Put(_ context.Context, key string, raw []byte) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return false, b.refuse
	}
	if _, dup := b.raw[key]; dup {
		return true, nil
	}
	b.keys = append(b.keys, key)
	b.raw[key] = bytes.Clone(raw)
	return false, nil
}

func (b *memInbox) Pending(_ context.Context, each func(string, []byte) error) error {
	b.mu.Lock()
	keys := slices.Clone(b.keys)
	b.mu.Unlock()
	for _, k := range keys {
		b.mu.Lock()
		skip, raw := b.done[k], b.raw[k]
		b.mu.Unlock()
		if skip {
			continue
		}
		if err := each(k, raw); err != nil {
			return err
		}
	}
	return nil
}

func (b *memInbox) Done(_ context.Context, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done[key] = true
	return nil
}

func (b *memInbox) pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.keys) - len(b.done)
}

type memDirectory struct{ err error }

func (d *memDirectory) Resolve(_ context.Context, id graph.Identity) (bridge.Customer, error) {
	return bridge.Customer{ID: "c-" + id.BSUID + id.Phone, Phone: id.Phone, BSUID: id.BSUID, Name: id.Name, Username: id.Username, Alias: "9001"}, d.err
}

// board is the switchboard: it opens every leg and keeps what it says.
type board struct {
	mu      sync.Mutex
	offers  []bridge.Offer
	legs    []*Leg
	said    []*said
	onOffer func()
}

func (b *board) Offer(o bridge.Offer) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.offers = append(b.offers, o)
	if b.onOffer != nil {
		b.onOffer()
	}
	if o.Open != nil {
		s := &said{}
		b.said = append(b.said, s)
		b.legs = append(b.legs, o.Open(fmt.Sprint("call-in-", len(b.offers)), s.notify).(*Leg))
	}
	return "call"
}

// said keeps a leg's events.
type said struct {
	mu     sync.Mutex
	events []bridge.Event
}

func (s *said) notify(ev bridge.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, ev)
}

func (s *said) kinds() []bridge.EventKind {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []bridge.EventKind
	for _, ev := range s.events {
		out = append(out, ev.Kind)
	}
	return out
}

func (s *said) count(k bridge.EventKind) int {
	n := 0
	for _, x := range s.kinds() {
		if x == k {
			n++
		}
	}
	return n
}

// ended returns the cause of the one EventEnded, which is the last event.
func (s *said) ended(t *testing.T) bridge.Cause {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var c bridge.Cause
	for i, ev := range s.events {
		if ev.Kind != bridge.EventEnded {
			continue
		}
		if !c.IsZero() || i != len(s.events)-1 {
			t.Errorf("EventEnded is not the one last event: %+v", s.events)
		}
		c = ev.Cause
	}
	return c
}

type rig struct {
	t     *testing.T
	hub   *Hub
	line  *Line
	web   *Webhook
	graph *fakeGraph
	inbox *memInbox
	dir   *memDirectory
	board *board
	reg   *prometheus.Registry

	mu       sync.Mutex
	sessions []*fakeSession
	noSocket error
}

// newRig must be made inside the bubble, if there is one.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, graph: &fakeGraph{on: map[string]func(*http.Request) (*http.Response, error){}}, inbox: newMemInbox(),
		dir: &memDirectory{}, board: &board{}, reg: prometheus.NewRegistry()}
	r.hub = newHub(t.Context(), HubConfig{Registerer: r.reg}, r.open)
	client := graph.NewClient(graph.ClientConfig{BaseURL: "https://graph.test", Token: graph.NewSecret("t"), Transport: r.graph, Registerer: r.reg})
	var err error
	r.line, err = NewLine(LineConfig{ID: "main", PhoneNumberID: testNumber, DisplayNumber: "15550100200", AppSecret: graph.NewSecret(testSecret),
		VerifyToken: graph.NewSecret(testToken), Graph: client, Hub: r.hub})
	if err != nil {
		t.Fatal(err)
	}
	r.web = NewWebhook(WebhookConfig{Hub: r.hub, Inbox: r.inbox, Directory: r.dir, Switchboard: r.board, Lines: []*Line{r.line}})
	return r
}

func (r *rig) open(h mediaHandlers) (session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.noSocket != nil {
		return nil, r.noSocket
	}
	s := &fakeSession{h: h}
	r.sessions = append(r.sessions, s)
	return s, nil
}

func (r *rig) session(n int) *fakeSession {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n >= len(r.sessions) {
		r.t.Fatalf("there is no media session %d", n)
	}
	return r.sessions[n]
}

// bubble runs f with a started rig in fake time and checks at the end that nothing is left of any call.
func bubble(t *testing.T, f func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.web.Start(t.Context())
		f(t, r)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := r.hub.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := r.web.Stop(ctx); err != nil {
			t.Error(err)
		}
		for i, s := range r.sessions {
			if s.did("close") != 1 {
				t.Errorf("media session %d was closed %d times", i, s.did("close"))
			}
		}
		r.hub.calls.mu.Lock()
		defer r.hub.calls.mu.Unlock()
		if n := len(r.hub.calls.byWacid) + len(r.hub.calls.byData); n != 0 || r.hub.Active() != 0 {
			t.Errorf("%d entries and %d legs are left", n, r.hub.Active())
		}
	})
}

func sign(secret string, body []byte) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write(body)
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}

func (r *rig) post(body string) int {
	r.t.Helper()
	req := httptest.NewRequest(http.MethodPost, WebhookPath, strings.NewReader(body))
	req.Header.Set(graph.SignatureHeader, sign(testSecret, []byte(body)))
	rec := httptest.NewRecorder()
	r.web.ServeHTTP(rec, req)
	return rec.Code
}

// tell posts the value of a "calls" change and waits until everything it led to has happened.
func (r *rig) tell(format string, args ...any) {
	r.t.Helper()
	value := fmt.Sprintf(format, args...)
	body := `{"object":"whatsapp_business_account","entry":[{"id":"900","changes":[{"field":"calls","value":{"messaging_product":"whatsapp",
		"metadata":{"display_phone_number":"15550100200","phone_number_id":"` + testNumber + `"},` + value + `}}]}]}`
	if code := r.post(body); code != 200 {
		r.t.Fatalf("webhook answered %d", code)
	}
	synctest.Wait()
}

const contacts = `"contacts":[{"profile":{"name":"Erika M."},"wa_id":"4915112345678","user_id":"DE.7"}],`

func (r *rig) tellConnect(id string) {
	r.t.Helper()
	r.tell(contacts+`"calls":[{"id":"%s","from":"4915112345678","from_user_id":"DE.7","event":"connect","direction":"USER_INITIATED","timestamp":"%d","session":{"sdp_type":"offer","sdp":"meta offer"}}]`, id, time.Now().Unix())
}

func (r *rig) tellTerminate(id string) {
	r.t.Helper()
	r.tell(`"calls":[{"id":"%s","event":"terminate","direction":"USER_INITIATED","from_user_id":"DE.7","timestamp":"%d","status":"COMPLETED"}]`, id, time.Now().Unix())
}

func (r *rig) tellAnswer(id, data string) {
	r.t.Helper()
	r.tell(`"calls":[{"id":"%s","to":"4915112345678","event":"connect","direction":"BUSINESS_INITIATED","timestamp":"%d","biz_opaque_callback_data":"%s","session":{"sdp_type":"answer","sdp":"meta answer"}}]`, id, time.Now().Unix(), data)
}

func (r *rig) tellStatus(id, status, data string) {
	r.t.Helper()
	r.tell(`"statuses":[{"id":"%s","type":"call","status":"%s","timestamp":"%d","recipient_user_id":"DE.7","biz_opaque_callback_data":"%s"}]`, id, status, time.Now().Unix(), data)
}

// incoming is a call that rings.
func (r *rig) incoming(id string) (*Leg, *said, *fakeSession) {
	r.t.Helper()
	r.tellConnect(id)
	if len(r.board.legs) == 0 {
		r.t.Fatal("no call was offered")
	}
	return r.board.legs[len(r.board.legs)-1], r.board.said[len(r.board.said)-1], r.session(len(r.sessions) - 1)
}

// dial calls the customer.
func (r *rig) dial() (*Leg, *said, *fakeSession) {
	r.t.Helper()
	s := &said{}
	leg, err := r.line.Dial(r.t.Context(), bridge.Invite{Call: "call-out", Customer: bridge.Customer{Phone: "4915112345678", BSUID: "DE.7"}}, s.notify)
	if err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
	return leg.(*Leg), s, r.session(len(r.sessions) - 1)
}

func (r *rig) counted(kind, result string) float64 {
	return testutil.ToFloat64(r.hub.metrics.events.WithLabelValues(kind, result))
}

func same[E comparable](t *testing.T, what string, got []E, want ...E) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
