package ivr

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"deskbridge/bridge"
	"deskbridge/media"
	"deskbridge/policy"
)

// desk is a Desk whose answers are the test's.
type desk struct {
	ask, button, ring, callback func(ctx context.Context, r Request) Outcome
}

func (d desk) AskPermission(ctx context.Context, r Request) Outcome   { return d.ask(ctx, r) }
func (d desk) SendCallButton(ctx context.Context, r Request) Outcome  { return d.button(ctx, r) }
func (d desk) RingWhenAllowed(ctx context.Context, r Request) Outcome { return d.ring(ctx, r) }
func (d desk) RequestCallback(ctx context.Context, r Request) Outcome { return d.callback(ctx, r) }

func done(context.Context, Request) Outcome { return Outcome{Done: true} }

var request = Request{Call: "call", Line: "main", Agent: "phone:1001", Customer: bridge.Customer{ID: "c1", Phone: "6281234567890"}}

func refused(possible ...policy.Action) policy.Decision {
	return policy.Decision{Rule: policy.RulePermissionNone, Possible: possible}
}

func say(ids ...string) Speech {
	var s Speech
	for _, id := range ids {
		s = append(s, Prompt(id))
	}
	return s
}

// inMenu runs a test in a bubble; afterwards the menu must have ended as every leg does.
func inMenu(t *testing.T, menu func() Menu, f func(t *testing.T, l *Library, c *caller)) {
	t.Helper()
	l := newLibrary(t)
	synctest.Test(t, func(t *testing.T) {
		m := newMenus(t, l)
		c := dialMenu(t, m, menu())
		synctest.Wait()
		f(t, l, c)
		c.hangup()
		if err := m.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		time.Sleep(ActionTimeout)
		kinds := c.kinds()
		if n := slices.Index(kinds, bridge.EventEnded); n != len(kinds)-1 || kinds[0] != bridge.EventAnswered {
			t.Errorf("the menu's events are %v", kinds)
		}
	})
}

func TestMenuAnswersAtOnceAndSpeaksWhenItIsHeard(t *testing.T) {
	menu := func() Menu { return RefusalMenu("en", refused(policy.ActionAsk), request, desk{}, time.Now()) }
	inMenu(t, menu, func(t *testing.T, l *Library, c *caller) {
		if k := c.kinds(); len(k) != 1 || k[0] != bridge.EventAnswered {
			t.Fatalf("events %v after Dial", k)
		}
		time.Sleep(3 * time.Second) // the caller's leg takes its time
		joined := time.Now()
		c.join()
		time.Sleep(10 * time.Second)
		if d := c.firstPacket().Sub(joined); d != settle {
			t.Errorf("the first packet came %v after the sink", d)
		}
		heard := c.take()
		if at := hears(t, l, "en", heard, say("why.none", "offer.ask")); at > 20*time.Millisecond {
			t.Errorf("the first word came %v after the first packet", at)
		}
		hearsNot(t, l, "en", heard, say("offer.button"))
		hearsNot(t, l, "en", heard, say("offer.ring"))
	})
}

// A customer's audio comes when Meta took our accept; a phone may send none at all.
func TestMenuWaitsForASilentCallerNotForEver(t *testing.T) {
	menu := func() Menu { return Announcement("en", "test", SayAvailable) }
	inMenu(t, menu, func(t *testing.T, l *Library, c *caller) {
		joined := time.Now()
		c.leg.Stream().SetSink(c)
		time.Sleep(3 * time.Second)
		if d := c.firstPacket().Sub(joined); d != patience {
			t.Errorf("the first packet came %v after the sink", d)
		}
		hears(t, l, "en", c.take(), SayAvailable)
	})
}

func TestAnnouncementEndsAfterItsLastWord(t *testing.T) {
	for _, lang := range Languages {
		inMenu(t, func() Menu { return Announcement(lang, "test", SayHoursOpen) }, func(t *testing.T, l *Library, c *caller) {
			c.join()
			length := time.Duration(len(l.Say(t.Context(), lang, SayHoursOpen...))) * time.Second / Rate
			time.Sleep(settle + length + tail - 50*time.Millisecond)
			if c.ended() {
				t.Error("ended before the last word was heard")
			}
			time.Sleep(150 * time.Millisecond)
			if e := c.last(); e.Kind != bridge.EventEnded || e.Cause.Fault != bridge.FaultNobody || e.Cause.Reason != bridge.ReasonHangup {
				t.Errorf("%+v", e)
			}
			heard := c.take()
			hears(t, l, lang, heard, SayHoursOpen)
			if quiet := heard[len(heard)-Rate*3/10:]; media.Level(quiet) > -60 {
				t.Errorf("the last 300 ms are at %.0f dBFS", media.Level(quiet))
			}
		})
	}
}

func TestPacketsAreOneLineOf20ms(t *testing.T) {
	inMenu(t, func() Menu { return Announcement("id", "test", SayHoursOpen) }, func(t *testing.T, _ *Library, c *caller) {
		c.join()
		time.Sleep(time.Second)
		c.leg.Stream().SetSink(nil) // the call re-joins
		time.Sleep(time.Second)
		c.leg.Stream().SetSink(c)
		time.Sleep(10 * time.Second)
		st := c.leg.Stream().Stats()
		c.mu.Lock()
		packets := c.packets
		c.mu.Unlock()
		gaps := 0
		for i, p := range packets[1:] {
			last := packets[i]
			if p.Sequence != last.Sequence+1 || p.Timestamp != last.Timestamp+frameTicks || p.Marker {
				t.Fatalf("packet %d: %+v after %+v", i+1, p, last)
			}
			if d := p.Arrival.Sub(last.Arrival); d != framePTime {
				gaps++
				if d < 900*time.Millisecond {
					t.Errorf("packet %d came %v after the last", i+1, d)
				}
			}
		}
		if gaps != 1 || !packets[0].Marker {
			t.Errorf("%d gaps; first packet %+v", gaps, packets[0])
		}
		if st.Received != uint64(len(packets)) || st.FirstReceived.IsZero() || st.Sent != 1 || st.FirstSent.IsZero() {
			t.Errorf("%+v", st)
		}
	})
}

func TestKeyIsObeyedOnce(t *testing.T) {
	var asked atomic.Int32
	var got atomic.Pointer[Request]
	d := desk{ask: func(_ context.Context, r Request) Outcome {
		asked.Add(1)
		got.Store(&r)
		return Outcome{Done: true}
	}}
	menu := func() Menu {
		return RefusalMenu("id", refused(policy.ActionAsk, policy.ActionButton, policy.ActionRingWhenAllowed), request, d, time.Now())
	}
	inMenu(t, menu, func(t *testing.T, l *Library, c *caller) {
		c.join()
		time.Sleep(settle + 1010*time.Millisecond) // in the middle of a word
		c.take()
		c.press("1")
		synctest.Wait()
		c.press("1213") // impatience
		time.Sleep(20 * time.Second)
		heard := c.take()
		hears(t, l, "id", heard, say("done.ask", "goodbye"))
		hearsNot(t, l, "id", heard, say("offer.button"))
		hearsNot(t, l, "id", heard, say("invalid"))
		if asked.Load() != 1 || *got.Load() != request {
			t.Errorf("asked %d times, for %+v", asked.Load(), got.Load())
		}
		if !c.ended() {
			t.Error("the menu goes on")
		}
	})
}

func TestKeyCutsTheSpeechWithin60ms(t *testing.T) {
	block := make(chan struct{})
	d := desk{ask: func(ctx context.Context, _ Request) Outcome {
		select {
		case <-block:
		case <-ctx.Done():
		}
		return Outcome{Done: true}
	}}
	inMenu(t, func() Menu { return RefusalMenu("en", refused(policy.ActionAsk), request, d, time.Now()) }, func(t *testing.T, l *Library, c *caller) {
		block = make(chan struct{}) // of the bubble
		c.join()
		time.Sleep(settle + 1010*time.Millisecond)
		if level := media.Level(lastOf(c.take(), 200*time.Millisecond)); level < -40 {
			t.Fatalf("nothing was being said when the key came: %.0f dBFS", level)
		}
		c.press("1")
		time.Sleep(60 * time.Millisecond)
		c.take()
		time.Sleep(800 * time.Millisecond)
		if level := media.Level(c.take()); level > -55 {
			t.Errorf("after 60 ms there is still sound: %.0f dBFS", level)
		}
		time.Sleep(2 * time.Second)
		hears(t, l, "en", c.take(), say("wait"))
		close(block)
		time.Sleep(10 * time.Second)
		hears(t, l, "en", c.take(), say("done.ask", "goodbye"))
	})
}

func lastOf(pcm []int16, d time.Duration) []int16 {
	return pcm[max(len(pcm)-int(d*Rate/time.Second), 0):]
}

func TestQuickActionIsNotAnnouncedWithOneMoment(t *testing.T) {
	d := desk{button: func(context.Context, Request) Outcome {
		time.Sleep(900 * time.Millisecond)
		return Outcome{Done: true}
	}}
	inMenu(t, func() Menu { return ButtonMenu("en", time.UTC, request, d) }, func(t *testing.T, l *Library, c *caller) {
		c.join()
		time.Sleep(10 * time.Second)
		heard := c.take()
		hears(t, l, "en", heard, say("done.button"))
		hearsNot(t, l, "en", heard, say("wait"))
	})
}

func TestFailedActionSaysWhyAndOffersTheRest(t *testing.T) {
	var asked atomic.Int32
	d := desk{ask: func(context.Context, Request) Outcome {
		asked.Add(1)
		return Outcome{Decision: policy.Decision{Rule: policy.RuleRequests, NextAllowed: time.Now().Add(48 * time.Hour)}}
	}, ring: done}
	jakarta := time.FixedZone("WIB", 7*3600)
	menu := func() Menu {
		return RefusalMenu("en", refused(policy.ActionAsk, policy.ActionRingWhenAllowed), request, d, time.Now().In(jakarta))
	}
	inMenu(t, menu, func(t *testing.T, l *Library, c *caller) {
		c.join()
		time.Sleep(time.Second)
		now := time.Now().In(jakarta)
		c.press("1")
		time.Sleep(20 * time.Second)
		heard := c.take()
		hears(t, l, "en", heard, Speech{Prompt("fail.ask"), Prompt("why.requests"), Prompt("next.request"), When(now.Add(48*time.Hour), now), Stop(), Prompt("offer.ring")})
		c.press("1")
		time.Sleep(3 * time.Second)
		hears(t, l, "en", c.take(), say("invalid"))
		c.press("3")
		time.Sleep(15 * time.Second)
		hears(t, l, "en", c.take(), say("done.ring", "goodbye"))
		if asked.Load() != 1 {
			t.Errorf("asked %d times", asked.Load())
		}
	})
}

func TestActionThatPanicsOrHangsIsAnOutcome(t *testing.T) {
	for name, ask := range map[string]func(context.Context, Request) Outcome{
		"panic": func(context.Context, Request) Outcome { panic("desk") },
		"hang": func(ctx context.Context, _ Request) Outcome {
			<-ctx.Done()
			time.Sleep(5 * time.Second) // and does not care
			return Outcome{Done: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inMenu(t, func() Menu { return AskMenu("en", time.UTC, request, desk{ask: ask}) }, func(t *testing.T, l *Library, c *caller) {
				c.join()
				time.Sleep(30 * time.Second)
				heard := c.take()
				hears(t, l, "en", heard, say("fail.ask", "trouble"))
				hearsNot(t, l, "en", heard, say("done.ask"))
			})
		})
	}
}

// An action that was given up may still end, while another is under way: its outcome is not the other's.
func TestOutcomeThatCameTooLateIsNotTheNextOnes(t *testing.T) {
	d := desk{
		ask: func(context.Context, Request) Outcome {
			time.Sleep(ActionTimeout + 10*time.Second)
			return Outcome{Done: true}
		},
		ring: func(context.Context, Request) Outcome {
			time.Sleep(10 * time.Second)
			return Outcome{Reason: ReasonUpstream}
		},
	}
	menu := func() Menu {
		return RefusalMenu("en", refused(policy.ActionAsk, policy.ActionRingWhenAllowed), request, d, time.Now())
	}
	inMenu(t, menu, func(t *testing.T, l *Library, c *caller) {
		c.join()
		time.Sleep(settle)
		c.press("1")
		time.Sleep(ActionTimeout + 8*time.Second)
		c.press("3")
		time.Sleep(20 * time.Second)
		heard := c.take()
		hears(t, l, "en", heard, say("fail.ask", "trouble"))
		hears(t, l, "en", heard, say("fail.ring", "why.upstream", "goodbye"))
		hearsNot(t, l, "en", heard, say("done.ring"))
	})
}

func TestSpeechThatIsNotReadyWhenAKeyComesIsNeverSaid(t *testing.T) {
	l, err := NewLibrary(synthFn(func(ctx context.Context, _, _ string) ([]int16, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(speakTimeout):
			return media.Tone(700, Rate, time.Second), nil
		}
	}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		c := dialMenu(t, newMenus(t, l), RingMeMenu("en", bridge.Customer{ID: "c1", Name: "Budi", Phone: "62812"}, "+62812", nil))
		c.join()
		time.Sleep(time.Second)
		c.press("2")
		pressed := time.Now()
		for !c.ended() {
			time.Sleep(framePTime)
		}
		heard := c.take()
		hears(t, l, "en", heard, say("done.later", "goodbye"))
		hearsNot(t, l, "en", heard, say("ringme.allows", "offer.call"))
		length := time.Duration(len(l.Say(t.Context(), "en", say("done.later", "goodbye")...))) * time.Second / Rate
		if d := time.Since(pressed) - length; d > tail+100*time.Millisecond {
			t.Errorf("the answer waited %v for what nobody hears", d-tail)
		}
	})
}

func TestNobodyPressesAKey(t *testing.T) {
	menu := func() Menu { return ClosedMenu("id", ClosedNobody, time.Time{}, request, desk{}, time.Now()) }
	inMenu(t, menu, func(t *testing.T, l *Library, c *caller) {
		c.join()
		offer := l.Say(t.Context(), "id", Prompt("offer.callback"))
		open := l.Say(t.Context(), "id", say("closed.nobody", "offer.callback")...)
		length := func(pcm []int16) time.Duration { return time.Duration(len(pcm)) * time.Second / Rate }
		time.Sleep(settle + length(open) + keyTimeout - 100*time.Millisecond)
		hears(t, l, "id", c.take(), say("closed.nobody", "offer.callback"))
		time.Sleep(length(offer) + 200*time.Millisecond)
		hears(t, l, "id", c.take(), say("offer.callback"))
		time.Sleep(keyTimeout + 3*time.Second)
		heard := c.take()
		hears(t, l, "id", heard, say("goodbye"))
		hearsNot(t, l, "id", heard, say("offer.callback"))
		if !c.ended() {
			t.Error("the menu goes on")
		}
	})
}

func TestClosedMenuSaysWhenAndTakesACallback(t *testing.T) {
	var got atomic.Pointer[Request]
	d := desk{callback: func(_ context.Context, r Request) Outcome {
		got.Store(&r)
		return Outcome{Done: true}
	}}
	wib := time.FixedZone("WIB", 7*3600)
	r := Request{Call: "call", Line: "main", Wacid: "wacid.1", Customer: request.Customer}
	var now, open time.Time
	menu := func() Menu {
		now = time.Now().In(wib) // 2000-01-01 07:00, a Saturday
		open = time.Date(2000, 1, 3, 8, 0, 0, 0, wib)
		return RefusedMenu("en", policy.Decision{Rule: policy.RuleHours, NextAllowed: open}, r, d, now)
	}
	inMenu(t, menu, func(t *testing.T, l *Library, c *caller) {
		c.join()
		time.Sleep(20 * time.Second)
		hears(t, l, "en", c.take(), Speech{Prompt("closed.hours"), Prompt("closed.next"), When(open, now), Stop(), Prompt("offer.callback")})
		c.press("1")
		time.Sleep(6 * time.Second)
		hears(t, l, "en", c.take(), say("done.callback", "goodbye"))
		if got.Load() == nil || *got.Load() != r {
			t.Errorf("%+v", got.Load())
		}
	})
}

func TestActionGoesOnWhenTheCallerHangsUp(t *testing.T) {
	var finished atomic.Bool
	d := desk{ask: func(ctx context.Context, _ Request) Outcome {
		time.Sleep(3 * time.Second)
		finished.Store(ctx.Err() == nil)
		return Outcome{Done: true}
	}}
	inMenu(t, func() Menu { return AskMenu("en", time.UTC, request, d) }, func(t *testing.T, _ *Library, c *caller) {
		c.join()
		time.Sleep(500 * time.Millisecond)
		c.hangup()
		time.Sleep(100 * time.Millisecond)
		if !c.ended() || finished.Load() {
			t.Fatal("the hang-up must end the leg at once")
		}
		time.Sleep(3 * time.Second)
		if !finished.Load() {
			t.Error("the request was dropped with the call")
		}
	})
}

func TestRingMeMenuHandsTheCallOver(t *testing.T) {
	menu := func() Menu { return RingMeMenu("en", request.Customer, "+6281234567890", nil) }
	inMenu(t, menu, func(t *testing.T, l *Library, c *caller) {
		c.join()
		time.Sleep(15 * time.Second)
		hears(t, l, "en", c.take(), Speech{Name(request.Customer), Prompt("ringme.allows"), Prompt("offer.call")})
		c.press("11")
		synctest.Wait()
		if e := c.last(); e.Kind != bridge.EventTransfer || e.To != "+6281234567890" {
			t.Fatalf("%+v", e)
		}
		c.take()
		time.Sleep(keyTimeout + tail + 100*time.Millisecond) // the call does not take it up
		if level := media.Level(c.take()); level > -60 || !c.ended() {
			t.Errorf("%.0f dBFS, ended: %v", level, c.ended())
		}
		n := 0
		for _, k := range c.kinds() {
			if k == bridge.EventTransfer {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d transfers", n)
		}
	})
}

func TestRingMeMenuIsLeftForLater(t *testing.T) {
	var later atomic.Bool
	menu := func() Menu {
		return RingMeMenu("id", request.Customer, "+6281234567890", func(context.Context) Outcome {
			later.Store(true)
			return Outcome{Done: true}
		})
	}
	inMenu(t, menu, func(t *testing.T, l *Library, c *caller) {
		c.join()
		time.Sleep(time.Second)
		c.press("2")
		time.Sleep(6 * time.Second)
		hears(t, l, "id", c.take(), say("done.later", "goodbye"))
		if !later.Load() || slices.Contains(c.kinds(), bridge.EventTransfer) {
			t.Errorf("later: %v, events %v", later.Load(), c.kinds())
		}
	})
}

// brokenSink is a bug in whatever the menu speaks into.
type brokenSink struct{}

func (brokenSink) ReceivePacket(*media.Packet) { panic("sink") }

func TestBugEndsThisMenuOnly(t *testing.T) {
	l := newLibrary(t)
	synctest.Test(t, func(t *testing.T) {
		m := newMenus(t, l)
		bad, good := dialMenu(t, m, Announcement("en", "test", SayAvailable)), dialMenu(t, m, Announcement("en", "test", SayAvailable))
		bad.leg.Stream().SetSink(brokenSink{})
		good.join()
		time.Sleep(5 * time.Second)
		if e := bad.last(); e.Kind != bridge.EventEnded || e.Cause.Fault != bridge.FaultUs || e.Cause.Reason != bridge.ReasonInternal {
			t.Errorf("%+v", e)
		}
		hears(t, l, "en", good.take(), SayAvailable)
	})
}

func TestMenuWhoseAudioIsNeverJoinedEnds(t *testing.T) {
	inMenu(t, func() Menu { return Announcement("en", "test", SayAvailable) }, func(t *testing.T, _ *Library, c *caller) {
		time.Sleep(joinTimeout + time.Second)
		if e := c.last(); e.Kind != bridge.EventEnded || e.Cause.Reason != bridge.ReasonMedia {
			t.Errorf("%+v", e)
		}
	})
}

func TestStoppedMenusDialNoMore(t *testing.T) {
	m := newMenus(t, newLibrary(t))
	if err := m.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l, err := m.Dialer(Menu{}).Dial(t.Context(), bridge.Invite{}, func(bridge.Event) { t.Error("an event") }); err == nil || l != nil {
		t.Errorf("%v, %v", l, err)
	}
}

func TestKeysBeyondTheInboxAreCounted(t *testing.T) {
	l := &leg{m: newMenus(t, newLibrary(t)), wake: make(chan struct{}, 1)}
	for range maxKeys + 3 {
		l.press('1')
	}
	if len(l.keys) != maxKeys {
		t.Errorf("%d keys are kept", len(l.keys))
	}
}
