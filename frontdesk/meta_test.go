package frontdesk

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"deskbridge/graph"
	"deskbridge/policy"
)

// managed is a line whose settings at Meta the company wants to hold.
func managed(l *LineConfig) {
	l.Hours = policy.Hours{Zone: "Asia/Jakarta", Weekly: []policy.Span{{Day: 1, From: 8 * 60, To: 17 * 60}, {Day: 5, From: 18 * 60, To: 2 * 60}}}
	l.Wanted = Wanted{Calling: "ENABLED", Icons: "DEFAULT", Callback: "ENABLED", Codecs: []string{"PCMA"}, Hours: true}
}

func (r *rig) sync() MetaState {
	r.t.Helper()
	r.desk.syncLines(r.ctx())
	return r.desk.MetaState("main")
}

func fieldsOf(ds []Difference) (out []string) {
	for _, d := range ds {
		out = append(out, d.Field)
	}
	return out
}

func TestOurSettingsArePushed(t *testing.T) {
	r := newRig(t, managed)
	st := r.sync()
	if len(r.number.writes) != 1 || len(st.Differences) != 0 || st.Error != "" || !st.Pushed.Equal(noon) || r.value(r.desk.metrics.drift.WithLabelValues("main")) != 0 {
		t.Fatalf("%+v, writes %+v", st, r.number.writes)
	}
	w := r.number.writes[0]
	hours := &graph.CallHours{Enabled: true, TimeZone: "Asia/Jakarta", Weekly: []graph.WeeklySpan{
		{Day: time.Monday, Open: 480, Close: 1020}, {Day: time.Friday, Open: 1080, Close: 1440}, {Day: time.Saturday, Open: 0, Close: 120}}}
	if w.Status != "ENABLED" || w.Icons != "DEFAULT" || w.Callback != "ENABLED" || !slices.Equal(w.Codecs, []string{"PCMA"}) || !reflect.DeepEqual(w.Hours, hours) || w.SIPOff || w.Today != "2026-11-23" {
		t.Fatalf("%+v", w)
	}
	r.set(func(l *LineConfig) { l.Wanted.Icons = "DISABLE_ALL" })
	r.sync()
	if len(r.number.writes) != 2 || r.number.writes[1].Icons != "DISABLE_ALL" || r.number.writes[1].Status != "" || r.number.writes[1].Hours != nil {
		t.Fatalf("only what changed is pushed: %+v", r.number.writes)
	}
}

func TestOtherPeoplesSettingsAreReportedAndNotPushed(t *testing.T) {
	r := newRig(t, managed)
	r.sync()
	r.number.set(func(n *fakeNumber) { n.settings.Status = "DISABLED" })
	r.tell(graph.Event{Kind: graph.KindSettings})
	r.pass(metaSoon)
	expect := func(st MetaState, when string) {
		t.Helper()
		if got := st.Differences; len(got) != 1 || got[0] != (Difference{Field: "status", Wanted: "ENABLED", Actual: "DISABLED"}) || len(r.number.writes) != 1 ||
			r.value(r.desk.metrics.drift.WithLabelValues("main")) != 1 {
			t.Fatalf("%s: %+v, %d writes", when, st, len(r.number.writes))
		}
	}
	expect(r.sync(), "after the webhook")
	r.restart()
	expect(r.sync(), "after a restart")
	r.set(func(l *LineConfig) { l.Wanted.Icons = "DISABLE_ALL" }) // a change of ours elsewhere is no reason to take theirs back
	if st := r.sync(); len(st.Differences) != 1 || r.number.settings.Status != "DISABLED" || r.number.settings.Icons != "DISABLE_ALL" {
		t.Fatalf("%+v", st)
	}
	st, err := r.desk.SyncLine(r.ctx(), "main", true)
	if err != nil || len(st.Differences) != 0 || r.number.settings.Status != "ENABLED" {
		t.Fatalf("applied: %+v, %v", st, err)
	}
}

func TestEnforceSetsBack(t *testing.T) {
	r := newRig(t, managed, func(l *LineConfig) { l.Wanted.Enforce = true })
	r.number.settings.SIP = "ENABLED"
	if st := r.sync(); len(st.Differences) != 0 || r.number.settings.SIP != "DISABLED" {
		t.Fatalf("%+v", st)
	}
	r.number.set(func(n *fakeNumber) { n.settings.Callback = "DISABLED" })
	r.pass(metaEvery)
	if st := r.sync(); len(st.Differences) != 0 || r.number.settings.Callback != "ENABLED" {
		t.Fatalf("%+v", st)
	}
}

func TestSIPOnIsExplainedAndSwitchedOffOnlyWhenToldTo(t *testing.T) {
	r := newRig(t, managed)
	r.number.settings.SIP = "ENABLED"
	st := r.sync()
	if len(st.Differences) != 1 || st.Differences[0].Field != "sip.status" || !strings.Contains(st.Differences[0].Fix, "deskbridge line apply main") || r.number.settings.SIP != "ENABLED" {
		t.Fatalf("%+v", st)
	}
	if st, err := r.desk.SyncLine(r.ctx(), "main", true); err != nil || len(st.Differences) != 0 || r.number.settings.SIP != "DISABLED" {
		t.Fatalf("%+v, %v", st, err)
	}
}

func TestOf25HolidaysMetaHoldsTheNext20AndGetsThe21stWhenOneHasPassed(t *testing.T) {
	var all []policy.Holiday
	for i := range 25 {
		all = append(all, policy.Holiday{Date: time.Date(2026, 11, 24+i, 0, 0, 0, 0, time.UTC).Format(time.DateOnly), Name: fmt.Sprint("Holiday ", i+1)})
	}
	r := newRig(t, managed, func(l *LineConfig) { l.Hours.Holidays = all })
	held := func(first, last int) {
		t.Helper()
		st := r.sync()
		h := r.number.settings.Hours.Holidays
		if len(st.Differences) != 0 || len(h) != last-first+1 || h[0].Date != all[first-1].Date || h[len(h)-1].Date != all[last-1].Date {
			t.Fatalf("at %v Meta holds %+v, differences %+v", r.now(), h, st.Differences)
		}
	}
	held(1, 20)
	for i, h := range all { // all are enforced here
		at := time.Date(2026, 11, 24+i, 5, 0, 0, 0, time.UTC) // noon in Jakarta
		d, err := r.desk.Explain(r.ctx(), "main", r.c, policy.ActionRing, at, false)
		if err != nil || d.Rule != policy.RuleHours {
			t.Fatalf("%s: %+v, %v", h.Date, d, err)
		}
	}
	writes := len(r.number.writes)
	r.at(time.Date(2026, 11, 24, 16, 59, 59, 0, time.UTC)) // a second before midnight in Jakarta
	held(1, 20)
	if len(r.number.writes) != writes {
		t.Fatal("pushed before the holiday had passed")
	}
	r.restart() // and the process begins anew just then
	r.pass(time.Second)
	held(2, 21)
	r.at(time.Date(2026, 12, 10, 3, 0, 0, 0, time.UTC))
	held(17, 25)
}

func TestPastHolidayAtMetaIsNoDifference(t *testing.T) {
	r := newRig(t, managed, func(l *LineConfig) { l.Hours.Holidays = []policy.Holiday{{Date: "2026-11-24"}, {Date: "2026-12-25"}} })
	r.sync()
	asked := len(r.number.writes)
	told := *r.number.settings.Hours
	today := "2026-11-25"
	want := told
	want.Holidays = told.Holidays[1:]
	if !sameHours(&want, graph.Settings{Hours: &told}, today) || sameHours(&want, graph.Settings{Hours: &told}, "2026-11-24") {
		t.Fatal("a holiday is past on the day after, not before")
	}
	if sameHours(&want, graph.Settings{Hours: &told, HoursUnread: 1}, today) {
		t.Fatal("hours that could not be read are not known to be the same")
	}
	if asked != 1 {
		t.Fatalf("%d writes", asked)
	}
}

func TestHoursThatMetaCannotHoldAreReportedAndStillEnforced(t *testing.T) {
	r := newRig(t, managed, func(l *LineConfig) {
		l.Hours.Weekly = []policy.Span{{Day: 1, From: 8 * 60, To: 9 * 60}, {Day: 1, From: 10 * 60, To: 11 * 60}, {Day: 1, From: 12 * 60, To: 13 * 60}}
	})
	st := r.sync()
	if !strings.Contains(st.HoursProblem, "monday has 3 spans") || r.number.settings.Hours != nil || len(r.number.writes) != 1 || len(st.Differences) != 0 {
		t.Fatalf("%+v, %+v", st, r.number.writes)
	}
	if d := r.customerCalls("k1"); d.Rule != policy.RuleHours { // 19:00 in Jakarta
		t.Fatalf("%+v", d)
	}
	r.settle()
}

func TestOpenedByHandMetaLetsCallsThrough(t *testing.T) {
	r := newRig(t, managed)
	r.sync()
	r.override(true)
	r.sync()
	if h := r.number.settings.Hours; h.Enabled {
		t.Fatalf("%+v", h)
	}
	r.pass(2 * time.Hour)
	if st := r.sync(); !r.number.settings.Hours.Enabled || len(st.Differences) != 0 {
		t.Fatalf("after it: %+v", st)
	}
}

func TestMetaIsAskedAboutSettingsOnItsOwnRhythm(t *testing.T) {
	r := newRig(t, managed)
	expect := func(want int, when string) {
		t.Helper()
		for range 20 { // however often something wakes the loop
			r.sync()
		}
		if n := r.number.n("settings"); n != want {
			t.Fatalf("%s: %d times, want %d", when, n, want)
		}
	}
	expect(2, "the first time, with a push")
	r.desk.CallEnded("main", r.c)
	r.desk.Look()
	expect(2, "after calls")
	for range 5 { // our own push comes back as several webhooks
		r.tell(graph.Event{Kind: graph.KindSettings})
	}
	expect(2, "right after webhooks")
	r.pass(metaSoon)
	expect(3, "soon after webhooks")
	r.pass(metaEvery - time.Second)
	expect(3, "before the next time")
	r.pass(time.Second)
	expect(4, "the next time")
	r.at(noon.Add(-24 * time.Hour))
	expect(5, "with the clock set back")
}

func TestMetaThatFailsIsAskedLessAndLess(t *testing.T) {
	for name, fail := range map[string]func(*fakeNumber){
		"reading": func(n *fakeNumber) { n.readErr = upstream(&graph.Error{Code: 1}) },
		"writing": func(n *fakeNumber) { n.writeErr = upstream(&graph.Error{Code: 138015}) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, managed)
			r.number.set(fail)
			if st := r.sync(); st.Error == "" {
				t.Fatalf("%+v", st)
			}
			for range 3600 { // looked at every second for an hour
				r.pass(time.Second)
				r.sync()
			}
			if n := r.number.n("settings"); n < 7 || n > 12 { // after 1, 2, 4, 8, then every 10 minutes
				t.Fatalf("asked %d times in an hour", n)
			}
			r.number.set(func(n *fakeNumber) { n.readErr, n.writeErr = nil, nil })
			r.pass(metaEvery)
			if st := r.sync(); st.Error != "" || len(st.Differences) != 0 {
				t.Fatalf("afterwards: %+v", st)
			}
		})
	}
}

func TestLineThatIsOffOrGoneIsLeftAlone(t *testing.T) {
	r := newRig(t, managed, func(l *LineConfig) { l.Enabled = false })
	r.sync()
	if r.number.n("settings") != 0 {
		t.Fatal("Meta was asked about a line that is off")
	}
	r.set(func(l *LineConfig) { l.Enabled = true })
	r.sync()
	r.desk.SetLines(nil)
	if st := r.desk.MetaState("main"); !st.At.IsZero() {
		t.Fatalf("%+v", st)
	}
	if _, err := r.desk.SyncLine(r.ctx(), "main", true); !errors.Is(err, errNoLine) {
		t.Fatalf("err %v", err)
	}
}

func TestWhatSomebodyMadeOfItCanBeAdopted(t *testing.T) {
	r := newRig(t, managed, func(l *LineConfig) {
		l.Wanted.Icons = "" // left alone
		l.Hours.Holidays = []policy.Holiday{{Date: "2026-12-25", Name: "Natal"}}
	})
	r.sync()
	r.number.set(func(n *fakeNumber) {
		n.settings.Status, n.settings.Callback, n.settings.Icons, n.settings.ExtraCodecs = "DISABLED", "DISABLED", "DISABLE_ALL", []string{"PCMU"}
		n.settings.Hours = &graph.CallHours{Enabled: true, TimeZone: "Asia/Makassar",
			Weekly:   []graph.WeeklySpan{{Day: time.Friday, Open: 540, Close: 1440}, {Day: time.Saturday, Open: 0, Close: 60}},
			Holidays: []graph.HolidaySpan{{Date: "2026-12-25", Start: 600, End: 720}, {Date: "2026-12-26", Start: 0, End: 1440}}}
	})
	r.pass(metaEvery)
	if got := fieldsOf(r.sync().Differences); !slices.Equal(got, []string{"status", "callback_permission_status", "audio.additional_codecs", "call_hours"}) {
		t.Fatalf("differences %v", got)
	}
	writes := len(r.number.writes)
	got, err := r.desk.Adopt(r.ctx(), "main")
	r.must(err)
	want := Adopted{Wanted: Wanted{Calling: "DISABLED", Callback: "DISABLED", Codecs: []string{"PCMU"}, Hours: true}, Hours: policy.Hours{Zone: "Asia/Makassar",
		Weekly:   []policy.Span{{Day: 5, From: 540, To: 1440}, {Day: 6, From: 0, To: 60}},
		Holidays: []policy.Holiday{{Date: "2026-12-25", Name: "Natal", Open: []policy.Period{{From: 540, To: 600}, {From: 720, To: 1440}}}, {Date: "2026-12-26"}}}}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v\nwant %+v", got, want)
	}
	r.set(func(l *LineConfig) { l.Wanted, l.Hours = got.Wanted, got.Hours })
	st := r.sync()
	if len(st.Differences) != 0 || len(r.number.writes) > writes+1 || r.number.settings.Status != "DISABLED" {
		t.Fatalf("adopted: %+v, %d writes", st, len(r.number.writes)-writes)
	}
	if w := r.number.writes[writes:]; len(w) == 1 { // the closed times beside the open ones, said once more in our words
		w[0].Hours, w[0].Today = nil, ""
		if !reflect.DeepEqual(w[0], graph.SettingsChange{}) {
			t.Fatalf("wrote %+v", w[0])
		}
	}
	if again, err := r.desk.Adopt(r.ctx(), "main"); err != nil || !reflect.DeepEqual(again, want) {
		t.Fatalf("the hours are others now: %+v, %v", again, err)
	}
}

func TestAdoptKeepsTheHolidaysMetaHasNoRoomFor(t *testing.T) {
	var m graph.CallHours
	m.Enabled, m.TimeZone = true, "UTC"
	var own policy.Hours
	for i := range 25 {
		date := time.Date(2026, 12, 1+i, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
		own.Holidays = append(own.Holidays, policy.Holiday{Date: date, Name: date})
		if i < maxMetaHolidays {
			m.Holidays = append(m.Holidays, graph.HolidaySpan{Date: date, End: 1440})
		}
	}
	if got := policyHours(&m, own); !reflect.DeepEqual(got.Holidays, own.Holidays) {
		t.Fatalf("%+v", got.Holidays)
	}
	m.Holidays = m.Holidays[:5]
	if got := policyHours(&m, own); len(got.Holidays) != 5 {
		t.Fatalf("those that somebody took away came back: %+v", got.Holidays)
	}
	if got := policyHours(nil, own); !reflect.DeepEqual(got, policy.Hours{}) {
		t.Fatalf("%+v", got)
	}
}

func TestAdoptRefusesHoursThatCouldNotBeRead(t *testing.T) {
	r := newRig(t, managed)
	r.number.settings.HoursUnread = 1
	if _, err := r.desk.Adopt(r.ctx(), "main"); err == nil || !strings.Contains(err.Error(), "could not be read") {
		t.Fatalf("err %v", err)
	}
}

func TestWhatMetaHeldAlreadyIsOursToReport(t *testing.T) {
	r := newRig(t, func(l *LineConfig) { l.Wanted = Wanted{Calling: "ENABLED"} })
	r.number.settings.Status = "ENABLED"
	r.sync()
	r.number.set(func(n *fakeNumber) { n.settings.Status = "DISABLED" })
	r.pass(metaEvery)
	if st := r.sync(); len(st.Differences) != 1 || len(r.number.writes) != 0 {
		t.Fatalf("%+v, writes %+v", st, r.number.writes)
	}
}
