package policy

import (
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	ok := Facts{Outbound: true, LineOn: true, Allow: true, Permission: PermissionTemporary, PermissionExpires: now.Add(time.Second), CanStart: true}
	with := func(f func(*Facts)) Facts {
		g := ok
		f(&g)
		return g
	}
	for _, c := range []struct {
		name  string
		facts Facts
		rule  string
	}{
		{"temporary permission with a second left", ok, RuleAllowed},
		{"temporary permission at its last instant", with(func(f *Facts) { f.PermissionExpires = now }), RulePermissionExpired},
		{"temporary permission without an expiry from Meta", with(func(f *Facts) { f.PermissionExpires = time.Time{} }), RuleAllowed},
		{"permanent permission", with(func(f *Facts) { f.Permission = PermissionPermanent; f.PermissionExpires = now.Add(-time.Hour) }), RuleAllowed},
		{"no permission", with(func(f *Facts) { f.Permission = PermissionNone }), RulePermissionNone},
		{"Meta could not be asked", with(func(f *Facts) { f.Permission = PermissionUnknown }), RulePermissionUnknown},
		{"nothing known at all", with(func(f *Facts) { f.Permission = "" }), RulePermissionUnknown},
		{"Meta's call limit", with(func(f *Facts) { f.CanStart = false }), RuleCallLimit},
		{"line off beats everything", with(func(f *Facts) { f.LineOn, f.Permission = false, PermissionNone }), RuleLineOff},
		{"direction not allowed", with(func(f *Facts) { f.Allow = false }), RuleNotAllowed},
		{"inbound needs no permission", Facts{LineOn: true, Allow: true}, RuleAllowed},
		{"inbound on a line that is off", Facts{Allow: true}, RuleLineOff},
		{"zero facts", Facts{Outbound: true}, RuleLineOff},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Decide(c.facts, now)
			if d.Rule != c.rule || d.Allowed != (c.rule == RuleAllowed) {
				t.Errorf("%+v, want %s", d, c.rule)
			}
			if !d.Allowed && d.Sentence == "" {
				t.Error("a refusal must say why")
			}
		})
	}
}
