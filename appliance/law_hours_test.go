package appliance_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/bridge"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/simulator"
)

// officeHours are Monday to Friday, nine to five in Berlin.
func officeHours(edit ...func(*appliance.Line)) func(*appliance.Settings) {
	return func(s *appliance.Settings) {
		l := &s.Lines[0]
		l.Hours = appliance.HoursSettings{TimeZone: berlin, Weekly: []string{"mon-fri 09:00-17:00"}}
		for _, e := range edit {
			e(l)
		}
	}
}

// inBerlin is a time of day there.
func inBerlin(t *testing.T, date, clock string) time.Time {
	t.Helper()
	zone, err := time.LoadLocation(berlin)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04", date+" "+clock, zone)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// atMeta are the line's call hours as Meta holds them.
func (w *office) atMeta() map[string]any {
	h, _ := w.meta.SettingsOf(pnid)["call_hours"].(map[string]any)
	return h
}

// look makes the appliance look after its lines now, as the end of every call does, instead of within half a minute.
func (w *office) look() {
	w.t.Helper()
	w.must(w.answered("*45").Hangup(w.t.Context()))
	w.idle()
}

// holidaysAtMeta are the dates Meta holds, in their order.
func (w *office) holidaysAtMeta() []string {
	var out []string
	list, _ := w.atMeta()["holiday_schedule"].([]any)
	for _, x := range list {
		day, _ := x.(map[string]any)
		out = append(out, fmt.Sprint(day["date"]))
	}
	return out
}

// twentyFive are holidays on the next 25 Tuesdays, beginning with tomorrow.
func twentyFive() (out []appliance.Holiday, dates []string) {
	for i := range 25 {
		date := monday.AddDate(0, 0, 1+7*i).Format(time.DateOnly)
		out, dates = append(out, appliance.Holiday{Date: date, Name: fmt.Sprint("holiday ", i+1)}), append(dates, date)
	}
	return out, dates
}

func TestMetaHoldsTheNext20Of25HolidaysAndAllAreEnforcedHere(t *testing.T) {
	list, dates := twentyFive()
	w := newOffice(t, officeOptions{settings: officeHours(func(l *appliance.Line) { l.Hours.Holidays, l.Meta.Hours = list, true })})
	held := func(what string, want []string) {
		t.Helper()
		w.until(what, func() bool { return fmt.Sprint(w.holidaysAtMeta()) == fmt.Sprint(want) })
	}
	held("the first 20 at Meta", dates[:20])
	cust := w.erika()
	w.writes(cust) // so that somebody is there to ask about
	for i, date := range dates {
		at := inBerlin(t, date, "12:00")
		for _, x := range []struct {
			at   time.Time
			open bool
		}{{at, false}, {at.AddDate(0, 0, 1), true}} {
			e, err := w.app.Explain(t.Context(), appliance.ExplainQuery{Line: "main", Customer: erika, Action: policy.ActionRing, At: x.at})
			if err != nil || (e.Decision.Rule == policy.RuleHours) == x.open {
				t.Fatalf("holiday %d at %s: %s, %v", i+1, x.at, e.Decision.Rule, err)
			}
		}
	}
	w.meta.Clock().Set(inBerlin(t, dates[0], "00:00").AddDate(0, 0, 1).Add(time.Minute))
	w.look()
	held("the 21st at Meta when the first has passed", dates[1:21])
	w.meta.Clock().Set(inBerlin(t, dates[5], "12:00"))
	w.look()
	held("today's holiday and the last 19", dates[5:25])
}

func TestWhatSomebodyElseChangesAtMetaIsReportedAndAppliedOrAdopted(t *testing.T) {
	w := newOffice(t, officeOptions{settings: officeHours(func(l *appliance.Line) {
		l.Meta = appliance.MetaSettings{Calling: "enabled", Icons: "default", Hours: true}
	})})
	w.until("our hours at Meta", func() bool { return w.atMeta()["status"] == "ENABLED" })
	state := func(apply bool) (fields []string) {
		t.Helper()
		st, err := w.app.LineAtMeta(t.Context(), "main", apply)
		w.must(err)
		for _, d := range st.Differences {
			fields = append(fields, d.Field)
		}
		return fields
	}
	drift := func(want string) {
		t.Helper()
		w.until("drift "+want, func() bool {
			_, text := w.get(w.app.MetricsAddr(), "/metrics")
			return strings.Contains(text, `deskbridge_line_drift{line="main"} `+want)
		})
	}
	drift("0")
	w.must(w.meta.ChangeSettings(pnid, map[string]any{"call_icon_visibility": "DISABLE_ALL"}))
	w.meta.Clock().Advance(time.Minute) // Meta is asked again half a minute after the last time at the earliest
	w.look()
	drift("1")
	if got := state(false); fmt.Sprint(got) != "[call_icon_visibility]" || w.meta.SettingsOf(pnid)["call_icon_visibility"] != "DISABLE_ALL" {
		t.Fatalf("differences %v, Meta has %v: it is not ours to set back", got, w.meta.SettingsOf(pnid)["call_icon_visibility"])
	}
	if got := state(true); len(got) != 0 || w.meta.SettingsOf(pnid)["call_icon_visibility"] != "DEFAULT" {
		t.Fatalf("after apply: %v, Meta has %v", got, w.meta.SettingsOf(pnid))
	}
	drift("0")
	// Hours are changed without a webhook: the periodic read finds them.
	hours := map[string]any{"status": "ENABLED", "timezone_id": berlin, "weekly_operating_hours": []any{
		map[string]any{"day_of_week": "MONDAY", "open_time": "1000", "close_time": "1200"}}}
	w.must(w.meta.ChangeSettings(pnid, map[string]any{"call_hours": hours}))
	w.meta.Clock().Advance(11 * time.Minute)
	w.look()
	drift("1")
	changes, err := w.app.AdoptFromMeta(t.Context(), "main")
	if err != nil || len(changes) == 0 {
		t.Fatalf("adopt: %v, %v", changes, err)
	}
	if got := state(false); len(got) != 0 {
		t.Errorf("after adopt: %v", got)
	}
	var ours strings.Builder
	w.must(appliance.NewControlClient(w.cfg.DataDir).Export(t.Context(), &ours))
	if !strings.Contains(ours.String(), "mon 10:00-12:00") || strings.Contains(ours.String(), "09:00") {
		t.Errorf("our hours are %s", ours.String())
	}
	drift("0")
}

// The built-in words, which the contract with the customer gives.
const closedText = "We are currently unavailable because it's outside our calling hours. Please request a callback and we'll get back to you as soon as possible."

func TestACallOutsideHoursIsNotRungButToldTheNextOpening(t *testing.T) {
	w := newOffice(t, officeOptions{settings: officeHours()})
	evening := inBerlin(t, "2027-01-11", "20:00")
	w.meta.Clock().Set(evening)
	cust := w.erika()
	closed := func() (n int) {
		for _, m := range cust.Messages() {
			if m.Text == closedText {
				n++
			}
		}
		return n
	}
	call, err := cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	w.customerHears(call, "en", ivr.Prompt("closed.hours"))
	opens := inBerlin(t, "2027-01-12", "09:00")
	w.customerHears(call, "en", ivr.Prompt("closed.next"), ivr.When(opens, w.meta.Clock().Now().In(opens.Location())))
	w.must(call.SendDigits(t.Context(), "1"))
	w.customerHears(call, "en", ivr.Prompt("done.callback"))
	<-call.Ended()
	w.notRung(w.phone)
	w.until("the message in chat", func() bool { return closed() == 1 })
	if list := w.callbacks(); len(list) != 1 || list[0].Customer != w.customerID(cust) || !list[0].Due.Equal(opens.Add(2*time.Hour)) || !list[0].State.Live() {
		t.Errorf("callback requests %+v, want one due two hours after %s", list, opens)
	}
	if cdr := w.lastRecord(); cdr.Cause.Rule != policy.RuleHours || !cdr.AnsweredAt.IsZero() {
		t.Errorf("record %+v", cdr)
	}
	again := func() {
		t.Helper()
		call, err := cust.Call(t.Context(), number, simulator.CallOptions{})
		w.must(err)
		w.must(call.WaitState(t.Context(), simulator.StateConnected))
		call.Hangup()
		w.lastRecord()
	}
	again()
	w.meta.Clock().Set(evening.Add(9 * time.Hour)) // the same closed time, after midnight
	again()
	w.meta.Clock().Set(evening.Add(policy.Day)) // the next one
	again()
	w.until("the message in chat of the next evening", func() bool { return closed() == 2 })
	w.meta.Clock().Set(inBerlin(t, "2027-01-13", "09:00"))
	call, err = cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	w.hearEachOther(call, w.rung(w.phone))
	call.Hangup()
	w.lastRecord()
	if n := closed(); n != 2 {
		t.Errorf("%d messages in the end", n)
	}
}

func TestInModeMetaPopupMetaKeepsCallsAwayAndWhatComesIsRefused(t *testing.T) {
	w := newOffice(t, officeOptions{settings: officeHours(func(l *appliance.Line) {
		l.Hours.Outside, l.Meta.Hours, l.Meta.Calling = "meta_popup", true, "enabled"
	})})
	w.until("our hours at Meta", func() bool { return w.atMeta()["status"] == "ENABLED" })
	w.meta.Clock().Set(inBerlin(t, "2027-01-11", "20:00"))
	cust := w.erika()
	if _, err := cust.Call(t.Context(), number, simulator.CallOptions{}); err == nil {
		t.Fatal("Meta let the call through")
	}
	w.must(w.meta.ChangeSettings(pnid, map[string]any{"call_hours": map[string]any{"status": "DISABLED", "timezone_id": berlin,
		"weekly_operating_hours": []any{map[string]any{"day_of_week": "MONDAY", "open_time": "1000", "close_time": "1200"}}}}))
	call, err := cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	<-call.Ended()
	w.notRung(w.phone)
	cdr := w.lastRecord()
	if end := call.End(); end.Answered || cdr.Cause.Rule != policy.RuleHours || !cdr.MenuAt.IsZero() {
		t.Errorf("the call ended %+v, record %+v", end, cdr)
	}
}

// The night on which Berlin's clocks go from 02:00 to 03:00, and the one on which they go back.
func TestHoursFollowDaylightSaving(t *testing.T) {
	w := newOffice(t, officeOptions{settings: officeHours(func(l *appliance.Line) {
		l.Hours.Weekly = []string{"sun 01:30-04:00", "mon-fri 09:00-17:00"}
	})})
	cust := w.erika()
	w.writes(cust)
	for _, x := range []struct {
		utc  string
		open bool
	}{
		{"2027-03-28T00:29:59Z", false}, {"2027-03-28T00:30:00Z", true}, {"2027-03-28T01:59:59Z", true}, {"2027-03-28T02:00:00Z", false},
		{"2027-03-26T07:59:59Z", false}, {"2027-03-26T08:00:00Z", true}, {"2027-03-29T06:59:59Z", false}, {"2027-03-29T07:00:00Z", true},
		{"2027-10-30T23:30:00Z", true}, {"2027-10-31T02:59:59Z", true}, {"2027-10-31T03:00:00Z", false},
	} {
		at, err := time.Parse(time.RFC3339, x.utc)
		w.must(err)
		e, err := w.app.Explain(t.Context(), appliance.ExplainQuery{Line: "main", Customer: erika, Action: policy.ActionRing, At: at})
		if err != nil || e.Decision.Allowed != x.open {
			t.Errorf("at %s: %s, %v", x.utc, e.Decision.Rule, err)
		}
	}
	// And a call: on the summer side of the change, an hour earlier by UTC.
	w.meta.Clock().Set(time.Date(2027, 3, 29, 7, 0, 30, 0, time.UTC))
	call, err := cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	w.hearEachOther(call, w.rung(w.phone))
	call.Hangup()
	if cdr := w.lastRecord(); cdr.Direction != bridge.Inbound || cdr.AnsweredAt.IsZero() {
		t.Errorf("record %+v", cdr)
	}
}
