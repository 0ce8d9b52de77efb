package appliance

import (
	"context"
	"errors"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/policy"
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

// fakeLine is a line with one answer of Meta.
type fakeLine struct {
	id    string
	facts policy.Facts
	err   error
}

func (l *fakeLine) Dial(context.Context, bridge.Invite, bridge.Notify) (bridge.Leg, error) {
	return nil, errors.New("not in this test")
}
func (l *fakeLine) Terminate(context.Context, string) error { return nil }
func (l *fakeLine) Disown(string)                           {}
func (l *fakeLine) Permission(context.Context, bridge.Customer) (policy.Facts, error) {
	return l.facts, l.err
}

func testPlan(lines map[string]callLine) *dialPlan {
	d := &dialPlan{customers: fakeCustomers{}, ringTimeout: 25 * time.Second, dialTimeout: time.Minute, now: time.Now}
	d.plant.Store(&plant{
		settings: &Settings{
			Lines: []Line{
				{ID: "sales", Enabled: true, Country: "ID", Outbound: OutboundRoute{Enabled: true, Prefix: "8"}},
				{ID: "help", Enabled: true, Country: "DE", Outbound: OutboundRoute{Enabled: true, Prefix: "81"}, Inbound: InboundRoute{Enabled: true, Ring: []string{"phone:1001", "trunk:pbx/200", "phone:1009"}, RingTimeout: 10 * time.Second}},
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

func TestInboundCallsRingWhatTheLineNames(t *testing.T) {
	d := testPlan(nil)
	r, cause := d.Route(t.Context(), bridge.Offer{Direction: bridge.Inbound, Line: "help", Customer: bridge.Customer{ID: "c"}})
	if !cause.IsZero() || len(r.Targets) != 2 || r.Targets[1].Name != "trunk:pbx/200" || r.Targets[1].Address != "200" || r.RingTimeout != 10*time.Second {
		t.Errorf("%+v, %v", r, cause)
	}
	if _, cause := d.Route(t.Context(), bridge.Offer{Direction: bridge.Inbound, Line: "gone"}); cause.Reason != bridge.ReasonNoRoute {
		t.Errorf("a line that was removed: %v", cause)
	}
}

func TestAuthorizeAsksMetaOnlyWhenItMustAndDeniesTheUnknown(t *testing.T) {
	down := &fakeLine{err: &bridge.CauseError{Cause: bridge.Cause{Reason: bridge.ReasonUpstream}}}
	may := &fakeLine{facts: policy.Facts{Permission: policy.PermissionPermanent, CanStart: true}}
	unknown := &fakeLine{}
	for _, c := range []struct {
		name    string
		line    *fakeLine
		attempt bridge.Attempt
		rule    string
	}{
		{"allowed", may, bridge.Attempt{Direction: bridge.Outbound, Line: "sales"}, policy.RuleAllowed},
		{"Meta does not know", unknown, bridge.Attempt{Direction: bridge.Outbound, Line: "sales"}, policy.RulePermissionUnknown},
		{"Meta is down", down, bridge.Attempt{Direction: bridge.Outbound, Line: "sales"}, "error"},
		{"a line that is off is not asked about", down, bridge.Attempt{Direction: bridge.Outbound, Line: "off"}, policy.RuleLineOff},
		{"a line that was removed", down, bridge.Attempt{Direction: bridge.Outbound, Line: "gone"}, policy.RuleLineOff},
		{"inbound is not asked about", down, bridge.Attempt{Direction: bridge.Inbound, Line: "help"}, policy.RuleAllowed},
		{"inbound switched off", down, bridge.Attempt{Direction: bridge.Inbound, Line: "sales"}, policy.RuleNotAllowed},
	} {
		d, err := testPlan(map[string]callLine{"sales": c.line, "help": c.line, "off": c.line}).Authorize(t.Context(), c.attempt)
		if err != nil {
			d.Rule = "error"
		}
		if d.Rule != c.rule || d.Allowed != (c.rule == policy.RuleAllowed) {
			t.Errorf("%s: %+v, %v", c.name, d, err)
		}
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
