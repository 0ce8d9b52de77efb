package graph

import (
	"testing"
	"time"
)

func TestBothLimitsOfEachActionAreFound(t *testing.T) {
	c, g := serve(t, golden(t, "answer/permissions"))
	p, err := c.CallPermissions(t.Context(), "700", Recipient{BSUID: "DE.7001122334455667788"})
	if err != nil {
		t.Fatal(err)
	}
	g.was(t, "GET /v25.0/700/call_permissions?recipient=DE.7001122334455667788", "")
	if p.Status != "temporary" || p.Expires.Unix() != 1791021600 || !p.Allowed(ActionSendPermission) || p.Allowed(ActionStartCall) || p.Allowed("dance") {
		t.Errorf("%+v", p)
	}
	for _, c := range []struct {
		action, period string
		want           *Limit
		left           int64
	}{
		{ActionSendPermission, PeriodDay, &Limit{Period: "PT24H", Max: 1}, 1},
		{ActionSendPermission, "P1D", &Limit{Period: "PT24H", Max: 1}, 1},
		{ActionSendPermission, PeriodWeek, &Limit{Period: "P7D", Max: 2, Used: 1}, 1},
		{ActionSendPermission, "P1W", &Limit{Period: "P7D", Max: 2, Used: 1}, 1},
		{ActionStartCall, PeriodDay, &Limit{Period: "PT24H", Max: 100, Used: 100, Expires: time.Unix(1790503200, 0).UTC()}, 0},
		{ActionStartCall, PeriodWeek, nil, 0},
		{"dance", PeriodDay, nil, 0},
	} {
		l, ok := p.Limit(c.action, c.period)
		if ok != (c.want != nil) || ok && (l != *c.want || l.Left() != c.left) {
			t.Errorf("%s in %s: %+v %v, want %+v", c.action, c.period, l, ok, c.want)
		}
	}
	if left := (Limit{Max: 1, Used: 3}).Left(); left != 0 {
		t.Errorf("a quota overdrawn leaves %d", left)
	}
}

func TestPeriods(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"PT24H": 24 * time.Hour, "pt24h": 24 * time.Hour, "P1D": 24 * time.Hour, "P7D": 168 * time.Hour, "P1W": 168 * time.Hour, "P1DT12H": 36 * time.Hour,
		"PT90M": 90 * time.Minute, "PT1H30M5S": 90*time.Minute + 5*time.Second,
		"": 0, "P": 0, "PT": 0, "P1M": 0, "P1Y": 0, "24H": 0, "PT-1H": 0, "P99999D": 0, "P0D": 0,
	} {
		if got, ok := parsePeriod(s); got != want && ok || ok != (want > 0) {
			t.Errorf("%q is %v %v, want %v", s, got, ok, want)
		}
	}
}

func FuzzPeriod(f *testing.F) {
	for _, s := range []string{PeriodDay, PeriodWeek, "P1DT12H", "PT1H30M5S", "P"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := parsePeriod(s); ok && d <= 0 {
			t.Fatalf("%q is %v", s, d)
		}
	})
}
