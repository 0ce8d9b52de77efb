// Package ivr is the voice of the appliance: prompts, spoken numbers, dates and names, menus and feature codes. A menu is
// one more kind of bridge.Leg, always leg B: the call dials it, it answers at once, speaks, listens to keys and ends. What a
// key sets in motion is the business of a Desk, which the appliance implements; ivr decides nothing and stores nothing.
//
// It is not voicemail, and it does not dial: a menu whose place somebody else is to take says so by EventTransfer.
//
// Goroutines: each leg has one that owns the menu's state, and at most one more that puts speech together; both are gone
// when its EventEnded comes. Actions run on goroutines of Menus, because who presses 1 and hangs up still wants what 1 does;
// Menus.Stop waits for them.
package ivr
