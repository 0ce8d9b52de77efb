package frontdesk

import (
	"testing"
	"time"

	"deskbridge/graph"
	"deskbridge/policy"
	"deskbridge/store"
)

func restriction(kind string, until time.Time) graph.Event {
	return graph.Event{Kind: graph.KindRestriction, At: noon, Name: "account_restriction", News: &graph.AccountNews{Restrictions: []graph.Restriction{{Type: kind, Expires: until}}}}
}

func (r *rig) restrictions() []store.Restriction {
	r.t.Helper()
	st, err := r.store.LineState(r.ctx(), "main")
	r.must(err)
	return st.Restrictions
}

func (r *rig) gauge(kind policy.RestrictionKind) float64 {
	return r.value(r.desk.metrics.forbidden.WithLabelValues("main", string(kind)))
}

func TestRestrictionStopsOutboundUntilItsEnd(t *testing.T) {
	for name, tell := range map[string]func(*rig, time.Time){
		"from a webhook": func(r *rig, until time.Time) {
			for range 2 {
				r.tell(restriction(graph.RestrictedOutbound, until))
			}
		},
		"from the settings": func(r *rig, until time.Time) {
			r.number.set(func(n *fakeNumber) {
				n.settings.Restrictions = []graph.Restriction{{Type: graph.RestrictedOutbound, Expires: until}}
			})
			r.sync()
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.grant()
			until := noon.Add(policy.Day)
			tell(r, until)
			if d := r.call("k1"); d.Rule != policy.RuleRestricted || !d.NextAllowed.Equal(until) {
				t.Fatalf("%+v", d)
			}
			if s := r.ask(); s.Decision.Rule != policy.RuleRestricted || r.counted() != 0 {
				t.Fatalf("%+v", s.Decision)
			}
			if d := r.customerCalls("k2"); !d.Allowed || r.gauge(policy.RestrictedOutbound) != 1 {
				t.Fatalf("%+v, alarm %v", d, r.gauge(policy.RestrictedOutbound))
			}
			r.restart()
			r.at(until.Add(-time.Second))
			r.desk.keepHouse(r.ctx())
			if d := r.call("k3"); d.Rule != policy.RuleRestricted || r.gauge(policy.RestrictedOutbound) != 1 {
				t.Fatalf("%+v", d)
			}
			r.at(until)
			r.desk.keepHouse(r.ctx())
			if d := r.call("k4"); !d.Allowed || r.gauge(policy.RestrictedOutbound) != 0 {
				t.Fatalf("it did not lift by itself: %+v", d)
			}
		})
	}
}

func TestRestrictionOfInboundStopsInbound(t *testing.T) {
	r := newRig(t)
	r.tell(restriction(graph.RestrictedInbound, noon.Add(time.Hour)))
	if d := r.customerCalls("k1"); d.Rule != policy.RuleRestricted || !d.NextAllowed.Equal(noon.Add(time.Hour)) {
		t.Fatalf("%+v", d)
	}
}

func TestRestrictionsAddUpAndTheSettingsLiftThem(t *testing.T) {
	r := newRig(t)
	r.tell(restriction(graph.RestrictedOutbound, noon.Add(policy.Week)))
	r.tell(restriction(graph.RestrictedButtonHidden, time.Time{}))
	if got := r.restrictions(); len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	r.sync() // Meta's settings do not know of it yet
	if got := r.restrictions(); len(got) != 2 {
		t.Fatalf("lifted by settings read right after the webhook: %+v", got)
	}
	r.pass(max(metaEvery, liftAfter))
	r.number.set(func(n *fakeNumber) {
		n.settings.Restrictions = []graph.Restriction{{Type: graph.RestrictedOutbound, Expires: noon.Add(policy.Week)}}
	})
	r.sync()
	if got := r.restrictions(); len(got) != 1 || got[0].Kind != graph.RestrictedOutbound || !got[0].Since.Equal(noon) || r.gauge(policy.RestrictedButton) != 0 {
		t.Fatalf("an admin showed the button again: %+v", got)
	}
}

func TestRestrictionThatIsOverWhenItIsToldIsNone(t *testing.T) {
	r := newRig(t)
	r.tell(restriction(graph.RestrictedOutbound, noon.Add(-time.Hour)))
	if got := r.restrictions(); len(got) != 0 {
		t.Fatalf("%+v", got)
	}
}

func TestWarningsOfMetaAreKeptAndRaiseAnAlarm(t *testing.T) {
	r := newRig(t)
	for ev, want := range map[*graph.Event]string{
		{Kind: graph.KindViolation, At: noon, News: &graph.AccountNews{Violation: "LOW_BUSINESS_INITIATED_CALLING_QUALITY"}}: "LOW_BUSINESS_INITIATED_CALLING_QUALITY",
		{Kind: graph.KindQuality, At: noon, Name: "downgrade", Quality: &graph.QualityNews{Limit: "TIER_2K"}}:                "downgrade",
	} {
		r.tell(*ev)
		st, err := r.store.LineState(r.ctx(), "main")
		r.must(err)
		if st.Quality != want || !st.QualityAt.Equal(noon) || r.value(r.desk.metrics.warnings.WithLabelValues("main", ev.Kind.String())) != 1 {
			t.Errorf("%v: %+v", ev.Kind, st)
		}
	}
}
