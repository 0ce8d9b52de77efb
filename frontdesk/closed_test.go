package frontdesk

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/policy"
	"deskbridge/store"
)

func closedRig(t *testing.T) *rig {
	return newRig(t, func(l *LineConfig) { l.Hours = morning })
}

func TestMessageOutsideHoursIsSentOncePerClosedSpan(t *testing.T) {
	r := closedRig(t)
	expect := func(call string, want int) {
		t.Helper()
		if d := r.customerCalls(call); d.Rule != policy.RuleHours {
			t.Fatalf("%+v", d)
		}
		r.settle()
		if n := r.number.n("text"); n != want {
			t.Fatalf("%d messages, want %d", n, want)
		}
	}
	expect("k1", 1)
	expect("k2", 1)
	r.restart()
	r.pass(time.Hour)
	expect("k3", 1)
	r.at(noon.AddDate(0, 0, 1)) // the next closed span
	expect("k4", 2)
	if m := r.number.messages(); m[0].text != "We are closed." {
		t.Fatalf("%+v", m)
	}
	page, err := r.store.Conversation(r.ctx(), store.ConversationQuery{Customer: r.c.ID})
	r.must(err)
	if len(page.Items) != 2 || page.Items[0].Kind != "closed" || page.Items[0].By != "auto" || page.Items[0].Status != store.MessageAccepted {
		t.Fatalf("%+v", page.Items)
	}
}

func TestTwoCallsAtOnceOutsideHoursGetOneMessage(t *testing.T) {
	r := closedRig(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, err := r.desk.Authorize(r.ctx(), bridge.Attempt{Call: fmt.Sprint("k", i), Direction: bridge.Inbound, Line: "main", Customer: r.c})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	r.settle()
	if n := r.number.n("text"); n != 1 {
		t.Fatalf("%d messages", n)
	}
}

func TestMessageOutsideHoursIsCountedBeforeItIsSent(t *testing.T) {
	r := closedRig(t)
	span := r.line.Hours.ClosedSpan(noon)
	told := false
	r.number.sendFn = func(sent) (string, error) { told = r.state().AutoReplied(span); return "w", nil }
	r.customerCalls("k1")
	r.settle()
	if !told {
		t.Fatal("it was sent before it was counted")
	}
}

func TestNoMessageOutsideHours(t *testing.T) {
	for name, change := range map[string]func(*rig){
		"without a text": func(r *rig) { r.set(func(l *LineConfig) { l.Texts.Closed = "" }) },
		"to a blocked customer": func(r *rig) {
			r.must(r.desk.Block(r.ctx(), Control{Line: "main", Customer: r.c, By: "b", Reason: "x"}))
		},
		"while opened by hand":   func(r *rig) { r.override(true) },
		"of a line that is off":  func(r *rig) { r.set(func(l *LineConfig) { l.Enabled = false }) },
		"that cannot be counted": func(r *rig) { r.free.Store(1 << 20) },
		"to nobody":              func(r *rig) { r.c.ID = "" },
		"when too much goes on": func(r *rig) {
			for range maxWork {
				r.desk.slots <- struct{}{}
			}
		},
		"once the desk has ended": func(r *rig) { r.must(r.desk.Stop(r.ctx())) },
	} {
		t.Run(name, func(t *testing.T) {
			r := closedRig(t)
			change(r)
			r.customerCalls("k1")
			r.settle()
			if n := r.number.n("text"); n != 0 {
				t.Fatalf("%d messages", n)
			}
		})
	}
}

func TestClosedByHandWithoutAnEndStaysClosed(t *testing.T) {
	r := newRig(t)
	_, err := r.store.SetLineOverride(r.ctx(), "main", &store.HoursOverride{By: agent, At: noon}, noon)
	r.must(err)
	for i, after := range []time.Duration{0, 100 * policy.Day} {
		r.at(noon.Add(after))
		if d := r.customerCalls(fmt.Sprint("k", i)); d.Rule != policy.RuleHours {
			t.Fatalf("%+v", d)
		}
	}
	r.settle()
	if n := r.number.n("text"); n != 1 {
		t.Fatalf("%d messages in one closed span", n)
	}
}

func (r *rig) override(open bool) {
	r.t.Helper()
	_, err := r.store.SetLineOverride(r.ctx(), "main", &store.HoursOverride{Open: open, Until: r.now().Add(2 * time.Hour), By: agent, At: r.now()}, r.now())
	r.must(err)
}
