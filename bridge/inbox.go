package bridge

import "sync"

// maxInboxDigits bounds the only events a far end can send as many of as it likes; everything else a leg can say a
// bounded number of times.
const maxInboxDigits = 64

// message is one thing put into a call's inbox: an event of a leg, or an input of the call's own.
type message struct {
	leg   *end // nil: the call's own input
	event Event
	in    input
	cause Cause
	route Route
	// verdict goes with a route that leads to a menu because the call itself was refused.
	verdict Cause
	do      func() // something the call's goroutine is to do
}

// inbox is the queue into a call's goroutine. post never blocks.
type inbox struct {
	mu     sync.Mutex
	queue  []message
	digits int
	wake   chan struct{}
}

func newInbox() inbox { return inbox{wake: make(chan struct{}, 1)} }

// post adds a message. It reports false when a digit was dropped because too many wait.
func (b *inbox) post(m message) bool {
	b.mu.Lock()
	if m.leg != nil && (m.event.Kind == EventDigit || m.event.Kind == EventHold || m.event.Kind == EventResume || m.event.Kind == EventFormat) {
		if b.digits >= maxInboxDigits {
			b.mu.Unlock()
			return false
		}
		b.digits++
	}
	b.queue = append(b.queue, m)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return true
}

// take empties the inbox.
func (b *inbox) take() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue
	b.queue, b.digits = nil, 0
	return q
}
