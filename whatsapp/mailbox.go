package whatsapp

import (
	"sync"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/media"
)

// message is one input for a leg with what came along.
type message struct {
	in    input
	cause bridge.Cause // why, for inputs that end the leg
	event *graph.Event
	digit media.Digit
}

// The mailbox is bounded by kind: commands of the call come once each, answers one per request, so that only the digits a
// customer presses and the webhooks Meta repeats need a limit.
const (
	maxMailbox = 128
	maxDigits  = 64
)

// mailbox hands inputs to the leg's loop. post never blocks, so it may be called from any goroutine.
type mailbox struct {
	mu    sync.Mutex
	queue []message
	wake  chan struct{}
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// post queues m. It reports false when m was dropped because the box is full.
func (b *mailbox) post(m message) bool {
	b.mu.Lock()
	full := (m.in == inDigit && len(b.queue) >= maxDigits) || (m.event != nil && len(b.queue) >= maxMailbox)
	if !full {
		b.queue = append(b.queue, m)
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return !full
}

// take empties the box.
func (b *mailbox) take() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue
	b.queue = nil
	return q
}
