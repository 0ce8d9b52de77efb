package store

import (
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/policy"
)

func TestACallsEndCountsAsWhatItWasForTheCustomer(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	dialled := []bridge.LegRecord{{Kind: bridge.KindSIP}, {Kind: bridge.KindWhatsApp}}
	for name, c := range map[string]struct {
		cdr  bridge.CDR
		kind bridge.FactKind
		want policy.Outcome // empty: nothing is counted
	}{
		"picked up":                       {bridge.CDR{AnsweredAt: at, RangAt: at, Legs: dialled}, bridge.FactEnded, policy.OutcomeConnected},
		"declined":                        {bridge.CDR{RangAt: at, Legs: dialled, Cause: bridge.Cause{Reason: bridge.ReasonDeclined}}, bridge.FactEnded, policy.OutcomeDeclined},
		"rang out":                        {bridge.CDR{RangAt: at, Legs: dialled, Cause: bridge.Cause{Reason: bridge.ReasonNoAnswer}}, bridge.FactEnded, policy.OutcomeUnanswered},
		"the agent gave up while it rang": {bridge.CDR{RangAt: at, Legs: dialled, Cause: bridge.Cause{Reason: bridge.ReasonCancelled}}, bridge.FactEnded, policy.OutcomeUnanswered},
		"the daemon died while it rang":   {bridge.CDR{RangAt: at, Legs: dialled, Cause: bridge.Cause{Reason: bridge.ReasonInterrupted}}, bridge.FactEnded, policy.OutcomeUnanswered},
		"Meta failed":                     {bridge.CDR{Legs: dialled, Cause: bridge.Cause{Reason: bridge.ReasonUpstream}}, bridge.FactEnded, policy.OutcomeFailed},
		"only a menu answered":            {bridge.CDR{MenuAt: at, Legs: []bridge.LegRecord{{Kind: bridge.KindSIP}, {Kind: bridge.KindMenu}}}, bridge.FactRefused, ""},
		"not over":                        {bridge.CDR{RangAt: at, Legs: dialled}, bridge.FactRung, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, testConfig(t.TempDir()))
			who, err := s.Resolve(t.Context(), Identity{Phone: "4915112345678"})
			if err != nil {
				t.Fatal(err)
			}
			c.cdr.ID, c.cdr.Line, c.cdr.Direction, c.cdr.Customer, c.cdr.OfferedAt = "call1", "main", bridge.Outbound, who, at
			for range 2 { // recovery may say it again
				if err := s.Record(t.Context(), bridge.Fact{Kind: c.kind, At: at, CDR: c.cdr}); err != nil {
					t.Fatal(err)
				}
			}
			events, err := s.PolicyEvents(t.Context(), "main", who.ID, 0, 10)
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				if len(events) != 0 {
					t.Errorf("counted %+v", events)
				}
				return
			}
			if len(events) != 1 || events[0].Outcome != c.want || events[0].ID != "call1" || events[0].Inbound {
				t.Errorf("counted %+v, want %s once", events, c.want)
			}
		})
	}
}

func TestACustomersCallOpensTheMessageWindow(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := open(t, testConfig(t.TempDir()))
	who, err := s.Resolve(t.Context(), Identity{Phone: "4915112345678"})
	if err != nil {
		t.Fatal(err)
	}
	cdr := bridge.CDR{ID: "call1", Line: "main", Direction: bridge.Inbound, Customer: who, OfferedAt: at}
	if err := s.Record(t.Context(), bridge.Fact{Kind: bridge.FactOffered, At: at.Add(time.Second), CDR: cdr}); err != nil {
		t.Fatal(err)
	}
	pair, _, _, err := s.PolicyState(t.Context(), "main", who.ID)
	if open, until := pair.Window(at.Add(time.Minute)); err != nil || !open || !until.Equal(at.Add(24*time.Hour)) {
		t.Errorf("window %v until %v, %v", open, until, err)
	}
}
