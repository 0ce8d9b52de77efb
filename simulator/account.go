package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The restriction types of §14.
const (
	RestrictBusinessCalls = "RESTRICTED_BUSINESS_INITIATED_CALLING"
	RestrictUserCalls     = "RESTRICTED_USER_INITIATED_CALLING"
	// RestrictButtonHidden hides the call button; calls from elsewhere still arrive. It has no end but Lift.
	RestrictButtonHidden = "RESTRICTED_USER_INITIATED_CALLING_CALL_BUTTON_HIDDEN"
)

// The violation types of an early warning (§14.1).
const (
	ViolationBusinessCallQuality = "LOW_BUSINESS_INITIATED_CALLING_QUALITY"
	ViolationUserCallQuality     = "LOW_USER_INITIATED_CALLING_QUALITY"
	ViolationLowPickup           = "USER_INITIATED_CALLS_LOW_PICKUP_RATE"
)

// restriction is one on a number; without an end it stays until somebody lifts it.
type restriction struct{ until time.Time }

const pickupRemedy = "Answer more of the calls you get, or set call hours, then switch the call button on again in WhatsApp Manager."

// Restrict puts a restriction on a number until the given simulated time (the zero time: until Lift) and sends the
// account_update webhook. It ends by the simulated clock, without a webhook: Meta documents none.
func (m *Meta) Restrict(phoneNumberID, kind string, until time.Time) {
	m.mu.Lock()
	n := m.numbers[phoneNumberID]
	if n != nil {
		n.restrictions[kind] = restriction{until}
	}
	m.mu.Unlock()
	if n == nil {
		return
	}
	info := obj{"restriction_type": kind}
	if !until.IsZero() {
		info["expiration"] = until.Unix()
	}
	if kind == RestrictButtonHidden {
		info["remediation"] = pickupRemedy
	}
	m.accountUpdate(n, "ACCOUNT_RESTRICTION", obj{"restriction_info": []any{info}})
}

// Lift ends a restriction early, as an admin or Meta's support does; no webhook tells of it.
func (m *Meta) Lift(phoneNumberID, kind string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.numbers[phoneNumberID]; n != nil {
		delete(n.restrictions, kind)
	}
}

// WarnViolation sends the early warning of §14.1; nothing is restricted yet.
func (m *Meta) WarnViolation(phoneNumberID, violation string) error {
	n, err := m.numberByID(phoneNumberID)
	if err != nil {
		return fmt.Errorf("warn of violation: %w", err)
	}
	info := obj{"violation_type": violation}
	if violation == ViolationLowPickup {
		info["remediation"] = pickupRemedy
	}
	m.accountUpdate(n, "ACCOUNT_VIOLATION", obj{"violation_info": info})
	return nil
}

func (m *Meta) accountUpdate(n *number, event string, value obj) {
	value["phone_number"], value["event"] = n.DisplayNumber, event
	m.send(n, update{account: true, field: "account_update", event: event, value: value})
}

// The tiers of the messaging limit (§14.4).
var tiers = []string{"TIER_250", "TIER_2K", "TIER_10K", "TIER_100K", "TIER_UNLIMITED"}

// QualityUpdate changes the number's messaging limit and sends phone_number_quality_update. event is FLAGGED, UNFLAGGED,
// UPGRADE, DOWNGRADE or whatever Meta invents; tier is one of TIER_250 … TIER_UNLIMITED. Below TIER_2K calling can't be enabled.
func (m *Meta) QualityUpdate(phoneNumberID, event, tier string) error {
	if !slices.Contains(tiers, tier) {
		return fmt.Errorf("quality update: unknown tier %q, use one of %v", tier, tiers)
	}
	n, err := m.numberByID(phoneNumberID)
	if err != nil {
		return fmt.Errorf("quality update: %w", err)
	}
	m.mu.Lock()
	n.tier, n.LowTier = tier, tier == tiers[0]
	n.rating = cmp.Or(map[string]string{"FLAGGED": "RED", "UNFLAGGED": "GREEN"}[event], n.rating)
	m.mu.Unlock()
	m.send(n, update{account: true, entry: n.WABA, field: "phone_number_quality_update", event: event, value: obj{
		"display_phone_number": n.DisplayNumber, "event": event, "max_daily_conversations_per_business": tier}})
	return nil
}

// AccountEvent sends any other account-level field of §14.4 (account_alerts, security, business_capability_update, …):
// without metadata, with entry.time, and with the WABA as entry.id.
func (m *Meta) AccountEvent(phoneNumberID, field string, value map[string]any) error {
	n, err := m.numberByID(phoneNumberID)
	if err != nil {
		return fmt.Errorf("account event: %w", err)
	}
	if value = deepCopy(value); value == nil {
		return errors.New("account event: the value is no JSON object")
	}
	m.send(n, update{account: true, entry: n.WABA, field: field, event: field, value: value})
	return nil
}

// restricted says whether a restriction is in force. m.mu is held.
func (n *number) restricted(kind string, now time.Time) bool {
	r, ok := n.restrictions[kind]
	return ok && (r.until.IsZero() || now.Before(r.until))
}

// restrictionsList is restrictions.restrictions_list of GET settings (§9.2). m.mu is held.
func (n *number) restrictionsList(now time.Time) []any {
	var list []any
	for _, kind := range slices.Sorted(maps.Keys(n.restrictions)) {
		if !n.restricted(kind, now) {
			continue
		}
		o := obj{"type": kind, "reason": "low quality"}
		if until := n.restrictions[kind].until; !until.IsZero() {
			o["expiration"] = until.Unix()
		}
		list = append(list, o)
	}
	return list
}
