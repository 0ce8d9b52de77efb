package ivr

import (
	"context"
	"slices"
	"time"

	"deskbridge/bridge"
	"deskbridge/media"
	"deskbridge/policy"
)

// The keys of the refusal menu are fixed, whichever of them are offered: fingers learn them.
const (
	keyAsk    = '1'
	keyButton = '2'
	keyRing   = '3'
)

// RefusalMenu tells an agent why the customer may not be called now, and offers what the decision leaves possible: 1 ask for
// permission, 2 send a call button, 3 ring me when allowed. now carries the zone in which times are said.
func RefusalMenu(lang string, d policy.Decision, r Request, desk Desk, now time.Time) Menu {
	m := Menu{Name: "refusal", Lang: lang, Zone: now.Location(), Open: Sentence(d, now), Goodbye: goodbye}
	offer := func(a policy.Action, key byte, id string, do func(context.Context, Request) Outcome) {
		if slices.Contains(d.Possible, a) {
			m.Choices = append(m.Choices, choice(key, id, r, do))
		}
	}
	offer(policy.ActionAsk, keyAsk, "ask", desk.AskPermission)
	offer(policy.ActionButton, keyButton, "button", desk.SendCallButton)
	offer(policy.ActionRingWhenAllowed, keyRing, "ring", desk.RingWhenAllowed)
	return m
}

var goodbye = Speech{Prompt("goodbye")}

func choice(key byte, id string, r Request, do func(context.Context, Request) Outcome) Choice {
	return Choice{
		Key: media.Digit(key), Offer: Speech{Prompt("offer." + id)},
		Done: Speech{Prompt("done." + id)}, Failed: Speech{Prompt("fail." + id)},
		Do: func(ctx context.Context, inv bridge.Invite) Outcome { return do(ctx, r.in(inv)) },
	}
}

// AskMenu asks for permission at once and says what came of it.
func AskMenu(lang string, zone *time.Location, r Request, desk Desk) Menu {
	return Menu{Name: "ask", Lang: lang, Zone: zone, Immediate: true, Choices: []Choice{choice(keyAsk, "ask", r, desk.AskPermission)}}
}

// ButtonMenu sends a call button at once and says what came of it.
func ButtonMenu(lang string, zone *time.Location, r Request, desk Desk) Menu {
	return Menu{Name: "button", Lang: lang, Zone: zone, Immediate: true, Choices: []Choice{choice(keyButton, "button", r, desk.SendCallButton)}}
}

// RingMeMenu is what an agent hears whose phone we rang: the customer allows calls now. 1 calls, 2 leaves it for later; later
// (may be nil) is told of it.
func RingMeMenu(lang string, c bridge.Customer, to string, later func(ctx context.Context) Outcome) Menu {
	m := Menu{
		Name: "ring_me", Lang: lang, Open: Speech{Name(c), Prompt("ringme.allows")}, Goodbye: goodbye,
		Choices: []Choice{
			{Key: '1', Offer: Speech{Prompt("offer.call")}, To: to},
			{Key: '2', Done: Speech{Prompt("done.later")}},
		},
	}
	if later != nil {
		m.Choices[1].Do = func(ctx context.Context, _ bridge.Invite) Outcome { return later(ctx) }
	}
	return m
}

// StatusMenu tells an agent whether a customer may be called, and offers what RefusalMenu would when not.
func StatusMenu(lang string, d policy.Decision, r Request, desk Desk, now time.Time) Menu {
	m := Menu{Name: "status", Lang: lang}
	if !d.Allowed {
		m = RefusalMenu(lang, d, r, desk, now)
		m.Name = "status"
	}
	m.Open = Status(d, Name(r.Customer), now)
	return m
}
