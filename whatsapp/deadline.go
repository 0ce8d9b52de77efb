package whatsapp

import "time"

// The caller of an outbound call is answered within 8 s, however slow Meta is (reliability promise 7). What the permission
// took is gone from it; connect and the wait for the webhook of a connect that was never answered share the rest.
const (
	leastConnect   = time.Second
	leastUncertain = time.Second
	// lastWait is kept for the webhook: it echoes our callback data about a second after Meta took the call.
	lastWait = 1500 * time.Millisecond
)

// connectBy is when connect gives up.
func connectBy(decideBy, now time.Time) time.Time {
	by := decideBy.Add(-lastWait)
	if least := now.Add(leastConnect); by.Before(least) {
		return least
	}
	return by
}

// uncertainWait is how long to wait for the webhook of an unanswered connect.
func uncertainWait(decideBy, now time.Time) time.Duration {
	if decideBy.IsZero() {
		return uncertainLimit
	}
	return max(min(decideBy.Sub(now), uncertainLimit), leastUncertain)
}
