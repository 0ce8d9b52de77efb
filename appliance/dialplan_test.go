package appliance

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deskbridge/bridge"
	"deskbridge/frontdesk"
	"deskbridge/ivr"
	"deskbridge/store"
)

func TestNumbersAsPeopleDialThem(t *testing.T) {
	for _, c := range []struct{ dialled, country, want string }{
		{"+6281234567890", "", "6281234567890"},
		{"006281234567890", "ID", "6281234567890"},
		{"6281234567890", "ID", "6281234567890"},
		{"081234567890", "ID", "6281234567890"},
		{"0812-3456-7890", "ID", "6281234567890"},
		{"081234567890", "id", "6281234567890"},
		{"+49 (1511) 2345678", "ID", "4915112345678"},
		{"015112345678", "DE", "4915112345678"},
		{"4915112345678", "", "4915112345678"},
		{"+15550100200", "", "15550100200"}, // not assigned, but Meta has the last word
		{"", "ID", ""},
		{"911", "ID", ""},
		{"081234567890", "", ""}, // national, and the line has no country
		{"sip-user", "ID", ""},
		{"+", "ID", ""},
		{"+1234567890123456", "", ""},
		{"+49 1511 2345678;phone-context=x", "", ""},
	} {
		got, err := normalizeNumber(c.dialled, c.country)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%q in %q: %q, %v; want %q", c.dialled, c.country, got, err, c.want)
		}
	}
}

// fakeCustomers knows one alias and everybody with a number.
type fakeCustomers struct{ err error }

func (f fakeCustomers) Resolve(_ context.Context, id store.Identity) (bridge.Customer, error) {
	return bridge.Customer{ID: "c-" + id.Phone, Phone: id.Phone}, f.err
}

func (f fakeCustomers) ByAlias(_ context.Context, alias string) (bridge.Customer, error) {
	if alias == "99900000001" {
		return bridge.Customer{ID: "c1", BSUID: "DE.1", Alias: alias}, f.err
	}
	return bridge.Customer{}, store.ErrNotFound
}

func (f fakeCustomers) Customer(_ context.Context, id string) (bridge.Customer, error) {
	return bridge.Customer{ID: id, Phone: strings.TrimPrefix(id, "c-")}, f.err
}

func (f fakeCustomers) Availabilities(context.Context) ([]store.Availability, error) {
	return []store.Availability{{Target: "trunk:pbx/201", Available: false}}, f.err
}

func (f fakeCustomers) SetAvailability(context.Context, store.Availability) (bool, error) {
	return true, f.err
}

func (f fakeCustomers) LineState(context.Context, string) (store.LineState, error) {
	return store.LineState{}, f.err
}

func (f fakeCustomers) SetLineOverride(context.Context, string, *store.HoursOverride, time.Time) (store.LineState, error) {
	return store.LineState{}, f.err
}

func (f fakeCustomers) LastMissed(context.Context, ...string) (bridge.CDR, error) {
	return bridge.CDR{Line: "sales", Customer: bridge.Customer{ID: "c-6281234567890"}}, f.err
}

// fakeLine is a line that is never called.
type fakeLine struct {
	callLine
	id string
}

func (l *fakeLine) Dial(context.Context, bridge.Invite, bridge.Notify) (bridge.Leg, error) {
	return nil, errors.New("not in this test")
}
func (l *fakeLine) Terminate(context.Context, string) error { return nil }
func (l *fakeLine) Disown(string)                           {}

func testPlan(lines map[string]callLine) *dialPlan {
	library, err := ivr.NewLibrary(nil, slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	d := &dialPlan{
		customers: fakeCustomers{}, ringTimeout: 25 * time.Second, dialTimeout: time.Minute, now: time.Now, log: slog.New(slog.DiscardHandler),
		menus: ivr.New(ivr.Config{Library: library, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()}),
		desk:  frontdesk.New(frontdesk.Config{}),
	}
	d.plant.Store(&plant{
		codes: ivr.DefaultCodes,
		settings: &Settings{
			Lines: []Line{
				{ID: "sales", Enabled: true, Country: "ID", Outbound: OutboundRoute{Enabled: true, Prefix: "8"}},
				{ID: "help", Enabled: true, Country: "DE", Outbound: OutboundRoute{Enabled: true, Prefix: "81"}, Inbound: InboundRoute{Enabled: true, Ring: []string{"phone:1001", "trunk:pbx/200", "phone:1009", "trunk:pbx/201"}, RingTimeout: 10 * time.Second,
					Overflow: []string{"trunk:pbx/300"}, Menu: true}},
				{ID: "off"},
			},
			Trunks: []Trunk{{Name: "pbx", Lines: []string{"sales", "help"}}, {Name: "1001", Line: "help"}},
			Phones: []Phone{{Extension: "1001", Line: "sales", Lines: []string{"help"}}, {Extension: "1002", Line: "sales"}},
		},
		lines: lines,
		phone: func(ext string) bridge.Dialer {
			if ext == "1001" {
				return &fakeLine{id: "phone"}
			}
			return nil
		},
		trunk: func(name string) bridge.Dialer { return &fakeLine{id: "trunk " + name} },
	})
	return d
}

func TestOutboundCallsTakeTheLineOfTheirPrefixOrTheirPhone(t *testing.T) {
	d := testPlan(map[string]callLine{"sales": &fakeLine{}, "help": &fakeLine{}})
	for _, c := range []struct{ name, peer, dialled, line, phone, alias string }{
		{"own line", "phone:1001", "+6281234567890", "sales", "6281234567890", ""},
		{"longest prefix wins", "phone:1001", "81015112345678", "help", "4915112345678", ""},
		{"a prefix one may not use is part of the number", "phone:1002", "81212345678", "sales", "1212345678", ""},
		{"trunk by prefix", "trunk:pbx", "8081234567890", "sales", "6281234567890", ""},
		{"trunk without a line needs the prefix", "trunk:pbx", "+6281234567890", "", "", ""},
		{"a trunk named like a phone has its own rights", "trunk:1001", "015112345678", "help", "4915112345678", ""},
		{"alias", "phone:1001", "99900000001", "sales", "", "99900000001"},
		{"alias with plus", "phone:1001", "+99900000001", "sales", "", "99900000001"},
		{"unknown alias", "phone:1001", "99900000009", "", "", ""},
		{"nobody", "phone:1009", "+6281234567890", "", "", ""},
		{"rubbish", "phone:1001", "alice", "", "", ""},
	} {
		r, cause := d.Route(t.Context(), bridge.Offer{Direction: bridge.Outbound, Peer: c.peer, Dialled: c.dialled})
		if c.line == "" {
			if cause.IsZero() || cause.Text == "" {
				t.Errorf("%s: routed to %+v", c.name, r)
			}
			continue
		}
		if !cause.IsZero() || r.Line != c.line || r.Customer.Phone != c.phone || r.Customer.Alias != c.alias || len(r.Targets) != 1 {
			t.Errorf("%s: %+v, %v", c.name, r, cause)
		}
	}
}

func TestInboundCallsRingWhatTheLineNamesThenTheOverflowThenAVoice(t *testing.T) {
	d := testPlan(nil)
	r, cause := d.Route(t.Context(), bridge.Offer{Direction: bridge.Inbound, Line: "help", Customer: bridge.Customer{ID: "c"}})
	if !cause.IsZero() || len(r.Targets) != 2 || r.Targets[1].Name != "trunk:pbx/200" || r.Targets[1].Address != "200" || r.RingTimeout != 10*time.Second {
		t.Errorf("%+v, %v", r, cause)
	}
	if len(r.Next) != 2 || r.Next[0].Targets[0].Name != "trunk:pbx/300" || r.Next[0].RingTimeout != overflowRing || r.Next[1].Targets[0].Name != "menu:closed" {
		t.Errorf("then %+v", r.Next)
	}
	if _, cause := d.Route(t.Context(), bridge.Offer{Direction: bridge.Inbound, Line: "gone"}); cause.Reason != bridge.ReasonNoRoute {
		t.Errorf("a line that was removed: %v", cause)
	}
}

func TestACallButtonLeadsToItsAgentFirst(t *testing.T) {
	d := testPlan(nil)
	for payload, first := range map[string]string{"agent=trunk:pbx/200": "trunk:pbx/200", "agent=trunk:pbx/999": "phone:1001", "order-4711": "phone:1001", "agent=": "phone:1001"} {
		r, _ := d.Route(t.Context(), bridge.Offer{Direction: bridge.Inbound, Line: "help", Payload: payload})
		if r.Targets[0].Name != first || (first != "phone:1001") != (len(r.Targets) == 1) {
			t.Errorf("payload %q rings %+v first", payload, r.Targets)
		}
	}
}

func TestThePhonesOfAllStagesTogetherRingNoLongerThanMetaWaits(t *testing.T) {
	stages := []bridge.Stage{{RingTimeout: 15 * time.Second}, {RingTimeout: 30 * time.Second}, {RingTimeout: 20 * time.Second}}
	limitRing(stages)
	if got := stages[0].RingTimeout + stages[1].RingTimeout + stages[2].RingTimeout; got != maxInboundRing {
		t.Errorf("they ring %v in all", got)
	}
}

func TestATroubledDiskIsNotBlamedOnTheNumber(t *testing.T) {
	for err, want := range map[error]bridge.Reason{
		store.ErrNotFound: bridge.ReasonBadNumber, store.ErrInvalid: bridge.ReasonBadNumber,
		store.ErrUnavailable: bridge.ReasonInternal, store.ErrJournalFull: bridge.ReasonInternal, store.ErrStuck: bridge.ReasonInternal,
		context.DeadlineExceeded: bridge.ReasonInternal,
	} {
		d := testPlan(map[string]callLine{"sales": &fakeLine{}, "help": &fakeLine{}})
		d.customers = fakeCustomers{err: err}
		_, cause := d.Route(t.Context(), bridge.Offer{Direction: bridge.Outbound, Peer: "phone:1001", Dialled: "+6281234567890"})
		if cause.Reason != want {
			t.Errorf("%v: %v, want %v", err, cause, want)
		}
	}
}
