package ivr

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"time"

	"deskbridge/policy"
)

// policyRules are the rule IDs as package policy declares them, so that a new one without a sentence fails here.
func policyRules(t *testing.T) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../policy/rule.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(v.Names[0].Name, "Rule") {
			id, _ := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			rules = append(rules, id)
		}
		return true
	})
	if len(rules) < 15 {
		t.Fatalf("only %v found", rules)
	}
	return rules
}

func TestEveryRefusalHasASentence(t *testing.T) {
	for _, rule := range policyRules(t) {
		id := Sentence(policy.Decision{Rule: rule}, time.Now())[0].id
		if id == "why.other" && rule != policy.RuleAllowed && rule != policy.RuleAction {
			t.Errorf("rule %s has no sentence of its own", rule)
		}
	}
	if s := Sentence(policy.Decision{Rule: "rule.of.tomorrow"}, time.Now()); s[0].id != "why.other" {
		t.Errorf("%+v", s)
	}
}

func ids(s Speech) string {
	var out []string
	for _, p := range s {
		switch p.kind {
		case partPrompt:
			out = append(out, p.id)
		case partWhen:
			out = append(out, p.at.Format("02 15:04"))
		case partCount:
			out = append(out, strconv.Itoa(p.n)+" "+p.id)
		case partName:
			out = append(out, "name")
		}
	}
	return strings.Join(out, ", ")
}

func TestSentencesSayWhenItIsAllowedAgain(t *testing.T) {
	now := time.Date(2026, 11, 28, 20, 0, 0, 0, time.FixedZone("WIB", 7*3600))
	next := time.Date(2026, 11, 30, 1, 0, 0, 0, time.UTC) // 08:00 where the listener is
	for _, c := range []struct {
		d    policy.Decision
		want string
	}{
		{policy.Decision{Rule: policy.RuleHours, NextAllowed: next}, "why.hours, next.call, 30 08:00"},
		{policy.Decision{Rule: policy.RuleRequests, NextAllowed: next}, "why.requests, next.request, 30 08:00"},
		{policy.Decision{Rule: policy.RuleRestricted, NextAllowed: next}, "why.restricted, next.line, 30 08:00"},
		{policy.Decision{Rule: policy.RuleRestricted}, "why.restricted"},
		{policy.Decision{Rule: policy.RuleAttempts, NextAllowed: now}, "why.calls"}, // over while we speak
	} {
		if got := ids(Sentence(c.d, now)); got != c.want {
			t.Errorf("%s: %s, want %s", c.d.Rule, got, c.want)
		}
	}
}

func TestStatusSaysWhatIsLeft(t *testing.T) {
	now := time.Date(2026, 11, 28, 20, 0, 0, 0, time.UTC)
	live := &policy.Question{Live: &policy.Live{Permission: policy.PermissionTemporary, Expires: now.Add(24 * time.Hour)}}
	for _, c := range []struct {
		d    policy.Decision
		want string
	}{
		{policy.Decision{Allowed: true}, "name, status.may"},
		{policy.Decision{Allowed: true, Facts: live, Warning: true, Counters: []policy.Counter{
			{Name: "attempts", Used: 2, Max: 5}, {Name: "attempts", Scope: "all", Used: 4, Max: 5}, {Name: "connected", Used: 99, Max: 100},
		}}, "name, status.may, status.until, 29 20:00, 1 call, status.left, status.warning"},
		{policy.Decision{Rule: policy.RulePermissionDeclined}, "name, status.maynot, why.declined"},
	} {
		if got := ids(Status(c.d, Name(request.Customer), now)); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestRefusalMenuOffersWhatIsPossibleUnderFixedKeys(t *testing.T) {
	for _, c := range []struct {
		possible []policy.Action
		keys     string
	}{
		{nil, ""},
		{[]policy.Action{policy.ActionMessage}, ""},
		{[]policy.Action{policy.ActionRingWhenAllowed, policy.ActionButton}, "23"},
		{[]policy.Action{policy.ActionAsk, policy.ActionMessage, policy.ActionButton, policy.ActionRingWhenAllowed}, "123"},
		{[]policy.Action{policy.ActionRingWhenAllowed}, "3"},
	} {
		keys := ""
		for _, ch := range RefusalMenu("en", refused(c.possible...), request, desk{}, time.Now()).Choices {
			keys += ch.Key.String()
		}
		if keys != c.keys {
			t.Errorf("%v: keys %s", c.possible, keys)
		}
	}
}

func TestInboundRefusalsGetTheirMenu(t *testing.T) {
	now := time.Now()
	for rule, want := range map[string]string{
		policy.RuleHours: "closed.hours, closed.next, " + now.Add(time.Hour).Format("02 15:04"), policy.RuleConcurrency: "closed.nobody",
		policy.RuleRestricted: "closed.restricted", policy.RuleLineOff: "closed.restricted", policy.RuleBlocked: "closed.restricted",
	} {
		m := RefusedMenu("id", policy.Decision{Rule: rule, NextAllowed: now.Add(time.Hour)}, request, desk{}, now)
		if got := ids(m.Open); got != want || (len(m.Choices) == 1) == (rule == policy.RuleBlocked) {
			t.Errorf("%s: %s with %d choices", rule, got, len(m.Choices))
		}
	}
}
