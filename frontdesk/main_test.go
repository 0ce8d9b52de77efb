package frontdesk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is a Monday.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const agent = "phone:1001"

// rig is a Desk with one line, "main", on a real store.
type rig struct {
	t      *testing.T
	dir    string
	store  *store.Store
	desk   *Desk
	number *fakeNumber
	phones *fakePhones
	line   LineConfig
	c      bridge.Customer
	clock  atomic.Pointer[time.Time]
	free   atomic.Int64 // bytes on the disk
}

func newRig(t *testing.T, change ...func(*LineConfig)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), phones: &fakePhones{missing: map[string]bool{}, busy: map[string]bool{}}}
	r.at(noon)
	r.free.Store(10 << 30)
	r.number = &fakeNumber{now: r.now, count: map[string]int{}}
	r.line = LineConfig{
		ID: "main", Name: "Main", Number: r.number, Language: "en", Enabled: true, Inbound: true, Outbound: true, Rules: policy.Strict(),
		Texts:       Texts{Ask: "May we call?", Closed: "We are closed.", Button: "Call us", ButtonLabel: "Call"},
		AskTemplate: Template{Name: "ask_to_call", Parameters: []string{"4711"}}, ButtonTemplate: Template{Name: "call_us"},
		ButtonTTL: time.Hour, CallbackWithin: 2 * time.Hour,
	}
	r.number.templates = []graph.Template{
		{Name: "ask_to_call", Language: "en", Status: "APPROVED", Kind: graph.TemplatePermission, BodyParameters: []string{"1"}},
		{Name: "call_us", Language: "en", Status: "APPROVED", Kind: graph.TemplateCallButton, ButtonIndex: 1},
		{Name: "news", Language: "en", Status: "APPROVED"},
	}
	for _, f := range change {
		f(&r.line)
	}
	r.open()
	t.Cleanup(func() { r.close() })
	c, err := r.store.Resolve(t.Context(), store.Identity{Phone: "4915112345678", Name: "Rina"})
	r.must(err)
	r.c = c
	return r
}

func (r *rig) open() {
	r.t.Helper()
	s, err := store.Open(store.Config{Dir: r.dir, Key: []byte("0123456789abcdef0123456789abcdef"), Clock: r.now,
		Statfs: func(string) (store.Space, error) { return store.Space{Free: r.free.Load()}, nil },
		Limits: store.Limits{Ballast: -1, Poll: 10 * time.Millisecond}})
	r.must(err)
	r.store = s
	r.desk = New(Config{Store: s, Phones: r.phones, Now: r.now, Registerer: prometheus.NewRegistry()})
	r.desk.SetLines([]LineConfig{r.line})
}

func (r *rig) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := errors.Join(r.desk.Stop(ctx), r.store.Close()); err != nil {
		r.t.Error(err)
	}
}

// restart is the process ending and beginning again.
func (r *rig) restart() {
	r.t.Helper()
	r.close()
	r.open()
}

func (r *rig) now() time.Time          { return *r.clock.Load() }
func (r *rig) at(t time.Time)          { r.clock.Store(&t) }
func (r *rig) pass(d time.Duration)    { r.at(r.now().Add(d)) }
func (r *rig) ctx() context.Context    { return r.t.Context() }
func (r *rig) settle()                 { r.desk.work.Wait() } // background work is done
func (r *rig) set(f func(*LineConfig)) { f(&r.line); r.desk.SetLines([]LineConfig{r.line}) }

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) state() policy.State {
	r.t.Helper()
	pair, _, _, err := r.store.PolicyState(r.ctx(), "main", r.c.ID)
	r.must(err)
	return pair
}

func (r *rig) standing() policy.Standing { r.t.Helper(); return r.state().Permission(r.now()).Standing }

// counted is how many requests the limits count.
func (r *rig) counted() (n int) {
	r.t.Helper()
	for _, q := range r.state().Requests {
		if !q.Refused {
			n++
		}
	}
	return n
}

func (r *rig) record(e policy.Event) {
	r.t.Helper()
	if e.At.IsZero() {
		e.At = r.now()
	}
	_, err := r.store.RecordEvent(r.ctx(), "main", r.c.ID, e, nil)
	r.must(err)
}

// wrote opens the 24-hour window.
func (r *rig) wrote() {
	r.t.Helper()
	r.record(policy.Event{Kind: policy.EventWrote, ID: "w" + r.now().String()})
}

// grant lets the customer allow calls, and Meta say so.
func (r *rig) grant() {
	r.t.Helper()
	r.record(policy.Event{Kind: policy.EventGranted, ID: "g" + r.now().String(), Expires: r.now().Add(policy.Week)})
	r.allow()
}

// allow makes Meta say that calls are allowed.
func (r *rig) allow() {
	expires := r.now().Add(policy.Week)
	r.number.set(func(n *fakeNumber) {
		n.live = policy.Live{Permission: policy.PermissionTemporary, Expires: expires, CanStart: true, CanRequest: true}
	})
}

func (r *rig) ask() Sent {
	r.t.Helper()
	s, err := r.desk.Ask(r.ctx(), Request{Line: "main", Customer: r.c, By: agent, Call: "c1"})
	r.must(err)
	return s
}

func (r *rig) call(id string) policy.Decision {
	r.t.Helper()
	d, err := r.desk.Authorize(r.ctx(), bridge.Attempt{Call: id, Direction: bridge.Outbound, Line: "main", Customer: r.c})
	r.must(err)
	return d
}

// customerCalls is an inbound call asked about.
func (r *rig) customerCalls(id string) policy.Decision {
	r.t.Helper()
	d, err := r.desk.Authorize(r.ctx(), bridge.Attempt{Call: id, Direction: bridge.Inbound, Line: "main", Customer: r.c})
	r.must(err)
	return d
}

// tell is an event told to the desk as the intake does.
func (r *rig) tell(ev graph.Event) {
	r.t.Helper()
	r.must(r.desk.Heard(r.ctx(), "main", r.c, &ev))
}

// reply parses a permission reply as Meta sends it (contract §10.5).
func (r *rig) reply(id, context, reply string, at time.Time) graph.Event {
	r.t.Helper()
	ctx := ""
	if context != "" {
		ctx = fmt.Sprintf(`"context":{"from":"15550100200","id":%q},`, context)
	}
	body := fmt.Sprintf(`{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"messaging_product":"whatsapp",
		"metadata":{"display_phone_number":"15550100200","phone_number_id":"700800900100200"},"messages":[{"id":%q,"from":"4915112345678","timestamp":"%d",
		"type":"interactive",%s"interactive":{"type":"call_permission_reply","call_permission_reply":{%s}}}]}}]}]}`, id, at.Unix(), ctx, reply)
	events, err := graph.ParseWebhook(json.RawMessage(body))
	r.must(err)
	if len(events) != 1 || events[0].Kind != graph.KindPermission {
		r.t.Fatalf("parsed %+v", events)
	}
	return events[0]
}

func (r *rig) value(c prometheus.Collector) float64 { r.t.Helper(); return testutil.ToFloat64(c) }

// sent is a message that reached Meta.
type sent struct {
	kind, id, text string
	template       graph.TemplateMessage
	button         graph.CallButton
}

// fakeNumber is a number at Meta.
type fakeNumber struct {
	now func() time.Time

	mu        sync.Mutex
	count     map[string]int
	sent      []sent
	live      policy.Live // At is set
	liveErr   error
	sendFn    func(s sent) (wamid string, err error)
	settings  graph.Settings
	readErr   error
	writes    []graph.SettingsChange
	writeErr  error
	templates []graph.Template
	listErr   error
}

func (n *fakeNumber) set(f func(*fakeNumber)) { n.mu.Lock(); defer n.mu.Unlock(); f(n) }

func (n *fakeNumber) n(what string) int { n.mu.Lock(); defer n.mu.Unlock(); return n.count[what] }

func (n *fakeNumber) messages() []sent { n.mu.Lock(); defer n.mu.Unlock(); return slices.Clone(n.sent) }

func (n *fakeNumber) Live(context.Context, bridge.Customer) (policy.Live, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count["live"]++
	l := n.live
	if l.At = n.now(); l.Permission == "" {
		l.Permission, l.CanRequest = policy.PermissionNone, true
	}
	return l, n.liveErr
}

func (n *fakeNumber) Forget(bridge.Customer) { n.mu.Lock(); defer n.mu.Unlock(); n.count["forget"]++ }

func (n *fakeNumber) send(s sent) (string, error) {
	n.mu.Lock()
	n.count[s.kind]++
	f := n.sendFn
	n.mu.Unlock()
	wamid, err := "wamid."+s.id, error(nil)
	if f != nil {
		wamid, err = f(s)
	}
	if err == nil || errors.Is(err, graph.ErrUncertain) {
		n.mu.Lock()
		n.sent = append(n.sent, s)
		n.mu.Unlock()
	}
	return wamid, err
}

func (n *fakeNumber) SendText(_ context.Context, _ bridge.Customer, text, id string) (string, error) {
	return n.send(sent{kind: "text", id: id, text: text})
}

func (n *fakeNumber) AskPermission(_ context.Context, _ bridge.Customer, text, id string) (string, error) {
	return n.send(sent{kind: "ask", id: id, text: text})
}

func (n *fakeNumber) SendButton(_ context.Context, _ bridge.Customer, b graph.CallButton, id string) (string, error) {
	return n.send(sent{kind: "button", id: id, text: b.Text, button: b})
}

func (n *fakeNumber) SendTemplate(_ context.Context, _ bridge.Customer, m graph.TemplateMessage, id string) (string, error) {
	return n.send(sent{kind: "template", id: id, template: m})
}

func (n *fakeNumber) Settings(context.Context) (graph.Settings, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count["settings"]++
	s := n.settings
	raw := map[string]any{"calling": map[string]any{"status": s.Status, "call_icon_visibility": s.Icons}}
	s.Raw, _ = json.Marshal(raw)
	return s, n.readErr
}

func (n *fakeNumber) WriteSettings(_ context.Context, c graph.SettingsChange) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := c.Validate(); err != nil {
		return err
	}
	n.count["write"]++
	if n.writeErr != nil {
		return n.writeErr
	}
	n.writes = append(n.writes, c)
	s := &n.settings
	s.Status, s.Icons, s.Callback = firstOf(c.Status, s.Status), firstOf(c.Icons, s.Icons), firstOf(c.Callback, s.Callback)
	if c.Codecs != nil {
		s.ExtraCodecs = c.Codecs
	}
	if c.Hours != nil {
		s.Hours, s.HoursUnread = c.Hours, 0
	}
	if c.SIPOff {
		s.SIP = "DISABLED"
	}
	return nil
}

func (n *fakeNumber) Templates(context.Context) ([]graph.Template, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count["templates"]++
	if n.listErr != nil {
		return nil, n.listErr
	}
	return slices.Clone(n.templates), nil
}

func (n *fakeNumber) CreateTemplate(_ context.Context, s graph.TemplateSpec) (graph.Template, error) {
	return graph.Template{Name: s.Name, Status: "PENDING"}, nil
}

// fakePhones are the agents' phones.
type fakePhones struct {
	mu       sync.Mutex
	missing  map[string]bool
	busy     map[string]bool
	calls    int
	summons  []bridge.Summons
	later    func(context.Context) ivr.Outcome
	summonFn func(bridge.Summons)
}

func (p *fakePhones) set(f func(*fakePhones)) { p.mu.Lock(); defer p.mu.Unlock(); f(p) }

func (p *fakePhones) rung() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.summons) }

func (p *fakePhones) Target(name string) (bridge.Target, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bridge.Target{Name: name, Address: "1001"}, !p.missing[name]
}

func (p *fakePhones) RingMenu(_ string, _ bridge.Customer, to string, later func(context.Context) ivr.Outcome) bridge.Target {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.later = later
	return bridge.Target{Name: "menu:" + to, Dialer: noLeg{}}
}

func (p *fakePhones) Summon(s bridge.Summons) string {
	p.mu.Lock()
	p.summons = append(p.summons, s)
	f := p.summonFn
	p.mu.Unlock()
	if f != nil {
		f(s)
	}
	return "s1"
}

func (p *fakePhones) Calls(string) int { p.mu.Lock(); defer p.mu.Unlock(); return p.calls }

func (p *fakePhones) Busy(agent string) bool { p.mu.Lock(); defer p.mu.Unlock(); return p.busy[agent] }

// answer is the agent of the last summons answering: the menu is dialled.
func (p *fakePhones) answer(ctx context.Context) {
	p.mu.Lock()
	s := p.summons[len(p.summons)-1]
	p.mu.Unlock()
	_, _ = s.Via[0].Dialer.Dial(ctx, bridge.Invite{}, nil)
}

type noLeg struct{}

var errNoLeg = errors.New("no leg in this test")

func (noLeg) Dial(context.Context, bridge.Invite, bridge.Notify) (bridge.Leg, error) {
	return nil, errNoLeg
}

// upstream is how a line's errors look.
func upstream(err error) error {
	return &bridge.CauseError{Cause: bridge.Cause{Fault: bridge.FaultUpstream, Reason: bridge.ReasonUpstream}, Err: err}
}
