package simulator

import (
	"sync"
	"time"
)

// Timing is how long things take on Meta's side. The zero Timing means DefaultTiming.
type Timing struct {
	GraphLatency      time.Duration // before a Graph answer
	GraphJitter       time.Duration // ± on top of it
	ConnectToAnswer   time.Duration // our connect → connect webhook with the answer
	AnswerToRinging   time.Duration // connect webhook → RINGING
	Pickup            time.Duration // RINGING → the customer picks up
	FirstRTPMin       time.Duration // first customer RTP relative to ACCEPTED, may be negative
	FirstRTPMax       time.Duration
	DialToConnect     time.Duration // the customer dials → connect webhook
	AnswerDeadline    time.Duration // inbound: connect webhook → the call is given up
	NoAnswer          time.Duration // outbound: connect → the call is given up
	HangupToTerminate time.Duration // end of the call → terminate webhook
	MediaStart        time.Duration // no business media at all after the answer
	MediaLoss         time.Duration // no business RTP or RTCP later on
	MessageStatus     time.Duration // message → its sent and delivered statuses
	PermissionReply   time.Duration // permission request → the customer's reply
	TemplateReview    time.Duration // new template → approved; 0 means that nobody reviews but ReviewTemplate
	WebhookTimeout    time.Duration // one delivery attempt
	WebhookRetries    []time.Duration
}

// DefaultTiming is the table of the contract, §24.
func DefaultTiming() Timing {
	return Timing{
		GraphLatency: 80 * time.Millisecond, GraphJitter: 60 * time.Millisecond,
		ConnectToAnswer: 700 * time.Millisecond, AnswerToRinging: 1200 * time.Millisecond, Pickup: 4 * time.Second,
		FirstRTPMin: -100 * time.Millisecond, FirstRTPMax: 400 * time.Millisecond,
		DialToConnect: 600 * time.Millisecond, AnswerDeadline: 45 * time.Second, NoAnswer: 45 * time.Second,
		HangupToTerminate: 500 * time.Millisecond, MediaStart: 20 * time.Second, MediaLoss: 30 * time.Second,
		MessageStatus: 300 * time.Millisecond, PermissionReply: 2 * time.Second,
		WebhookTimeout: 20 * time.Second,
		WebhookRetries: []time.Duration{0, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour},
	}
}

// Fast keeps the order and proportions of events but spends milliseconds on them, for tests. The media watchdogs become
// 2 s and 3 s, a tenth of Meta's.
func (Timing) Fast() Timing {
	return Timing{
		GraphLatency: time.Millisecond, ConnectToAnswer: 10 * time.Millisecond, AnswerToRinging: 20 * time.Millisecond,
		Pickup: 80 * time.Millisecond, FirstRTPMin: -10 * time.Millisecond, FirstRTPMax: 20 * time.Millisecond,
		DialToConnect: 5 * time.Millisecond, AnswerDeadline: 4 * time.Second, NoAnswer: 4 * time.Second,
		HangupToTerminate: 10 * time.Millisecond, MediaStart: 2 * time.Second, MediaLoss: 3 * time.Second,
		MessageStatus: 5 * time.Millisecond, PermissionReply: 10 * time.Millisecond,
		WebhookTimeout: 5 * time.Second,
		WebhookRetries: []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond, time.Second, 2 * time.Second},
	}
}

// Clock is the simulator's wall clock: the machine's plus an offset, so that a permission can expire without a week's wait.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration
}

// Now returns the simulated time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

// Set makes it the given time, which may also be an earlier one.
func (c *Clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = time.Until(now)
}

// Advance moves the clock forward.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}
