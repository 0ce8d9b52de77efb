package frontdesk

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"deskbridge/graph"
	"deskbridge/policy"
)

// setting is one field of a line's settings at Meta, as wanted and as it is.
type setting struct {
	Difference
	same bool
	// mark stands for what is wanted: another one means that we have changed our mind. Empty: never pushed by itself.
	mark string
	set  func(*graph.SettingsChange)
}

// settings are the fields that the company cares about. problem is why Meta cannot hold the hours.
func (l *LineConfig) settings(a graph.Settings, h policy.Hours, now time.Time) (all []setting, problem string) {
	word := func(field, want, got string, set func(*graph.SettingsChange)) {
		if want != "" {
			all = append(all, setting{Difference{Field: field, Wanted: want, Actual: firstOf(got, "not set")}, strings.EqualFold(want, got), want, set})
		}
	}
	w := l.Wanted
	word("status", w.Calling, a.Status, func(c *graph.SettingsChange) { c.Status = w.Calling })
	word("call_icon_visibility", w.Icons, a.Icons, func(c *graph.SettingsChange) { c.Icons = w.Icons })
	word("callback_permission_status", w.Callback, a.Callback, func(c *graph.SettingsChange) { c.Callback = w.Callback })
	if w.Codecs != nil {
		want, got := codecs(w.Codecs), codecs(a.ExtraCodecs)
		all = append(all, setting{Difference{Field: "audio.additional_codecs", Wanted: want, Actual: got}, want == got, "codecs " + want,
			func(c *graph.SettingsChange) { c.Codecs = w.Codecs }})
	}
	if w.Hours {
		m, err := h.ToMeta(now)
		if err != nil {
			problem = err.Error()
		} else {
			all = append(all, hoursSetting(CallHours(m), a, now))
		}
	}
	all = append(all, setting{Difference{Field: "sip.status", Wanted: "DISABLED", Actual: firstOf(a.SIP, "not set"),
		Fix: "WhatsApp refuses calls over the Graph API while its own SIP is on. If nothing else uses it, switch it off with: deskbridge line apply " + l.ID},
		a.SIP != "ENABLED", "", func(c *graph.SettingsChange) { c.SIPOff = true }})
	return all, problem
}

func hoursSetting(want *graph.CallHours, a graph.Settings, now time.Time) setting {
	today := now.In(zoneOf(want.TimeZone)).Format(time.DateOnly)
	b, _ := json.Marshal(want) // plain values: cannot fail
	sum := sha256.Sum256(b)
	return setting{Difference{Field: "call_hours", Wanted: describe(want, 0), Actual: describe(a.Hours, a.HoursUnread)}, sameHours(want, a, today), hex.EncodeToString(sum[:8]),
		func(c *graph.SettingsChange) { c.Hours, c.Today = want, today }}
}

// sameHours: hours that Meta never had are hours that are off, and holidays that have passed do nothing.
func sameHours(want *graph.CallHours, a graph.Settings, today string) bool {
	if a.Hours == nil {
		return !want.Enabled
	}
	got := *a.Hours
	got.Holidays = slices.DeleteFunc(slices.Clone(got.Holidays), func(s graph.HolidaySpan) bool { return s.Date < today })
	return want.Equal(got) && (!want.Enabled || a.HoursUnread == 0)
}

// describe says enough of hours for a person to see that they differ.
func describe(h *graph.CallHours, unread int) string {
	if h == nil || !h.Enabled {
		return "open at all hours"
	}
	s := fmt.Sprintf("%d weekly spans, %d holidays, %s", len(h.Weekly), len(h.Holidays), h.TimeZone)
	if unread > 0 {
		s += fmt.Sprintf(", %d spans that could not be read", unread)
	}
	return s
}

func codecs(list []string) string {
	upper := strings.Fields(strings.ToUpper(strings.Join(list, " ")))
	slices.Sort(upper)
	return strings.Join(slices.Compact(upper), " ")
}

// wanted is what is wanted of a line at Meta now, in short. The rolling holidays are part of it, so it changes as they pass.
func (l *LineConfig) wanted(h policy.Hours, now time.Time) string {
	all, problem := l.settings(graph.Settings{}, h, now)
	b := []string{problem, fmt.Sprint(l.Wanted.Enforce)}
	for _, s := range all {
		b = append(b, s.Field+"="+s.mark)
	}
	return strings.Join(b, "\n")
}
