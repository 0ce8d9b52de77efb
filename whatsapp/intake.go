package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"deskbridge/bridge"
	"deskbridge/graph"
)

// Directory finds the customer behind what a webhook says: by BSUID, then parent BSUID, then phone (§16.3), making one of
// somebody new.
type Directory interface {
	Resolve(ctx context.Context, id graph.Identity) (bridge.Customer, error)
}

// Heard is something a webhook told besides the course of a call.
type Heard struct {
	Line     string // empty: about the account, or a number that no line has
	Customer bridge.Customer
	Event    *graph.Event
}

// Listener hears it: messages and what became of ours, permissions, settings, restrictions, templates. An error, as when the
// disk refuses writes, means that the event is told again later, also after a restart; the order is not kept then.
type Listener interface {
	Heard(ctx context.Context, h Heard) error
}

// WebhookConfig is what the intake needs. Every field but Listener, Now and Logger is required; Lines may be set later.
type WebhookConfig struct {
	Listener    Listener
	Now         func() time.Time // wall clock; nil: time.Now
	Hub         *Hub
	Inbox       Inbox
	Directory   Directory
	Switchboard bridge.Switchboard
	Lines       []*Line
	Logger      *slog.Logger
}

// staleAfter is how old a connect may be to ring: Meta's own answer window (§5.5).
const staleAfter = 60 * time.Second

const (
	maxQueue     = 1024
	resolveLimit = 2 * time.Second
	doneLimit    = 5 * time.Second
	hearLimit    = 10 * time.Second
	hearAgain    = 5 * time.Second // after a listener that could not take an event
)

// Webhook takes Meta's webhooks and works them off, one at a time, from what was stored. Start it after the switchboard
// works; requests are taken, stored and answered also before that and after Stop.
type Webhook struct {
	hub     *Hub
	inbox   Inbox
	dir     Directory
	board   bridge.Switchboard
	ears    Listener
	now     func() time.Time
	metrics *hubMetrics
	log     *slog.Logger

	lines    atomic.Pointer[lineSet]
	inFlight atomic.Int64
	bodies   atomic.Int64

	queue  chan stored
	missed atomic.Bool // something was stored that the queue had no room for: read the store again
	again  *time.Timer // when the store is read for what the listener could not take; the worker's own
	cancel context.CancelFunc
	done   chan struct{}
}

// stored is an event on its way from the store to its call.
type stored struct {
	key   string
	event graph.Event
	at    time.Time
}

// NewWebhook makes the intake; its handler works at once.
func NewWebhook(cfg WebhookConfig) *Webhook {
	w := &Webhook{hub: cfg.Hub, inbox: cfg.Inbox, dir: cfg.Directory, board: cfg.Switchboard, metrics: cfg.Hub.metrics, log: cfg.Logger,
		queue: make(chan stored, maxQueue), ears: cfg.Listener, now: cfg.Now}
	if w.now == nil {
		w.now = time.Now
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	w.SetLines(cfg.Lines...)
	return w
}

// SetLines replaces the lines. Calls in progress are not disturbed.
func (w *Webhook) SetLines(lines ...*Line) {
	set := &lineSet{byNumber: map[string]*Line{}}
	for _, l := range lines {
		set.add(l)
	}
	w.lines.Store(set)
}

// Start works off what an earlier process acknowledged and did not finish, then what comes. The lines must be set by then:
// events of numbers that no line has any more are dropped.
func (w *Webhook) Start(ctx context.Context) {
	ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	w.done = make(chan struct{})
	w.missed.Store(true)
	go w.work(ctx)
}

// Stop ends the work. What is stored and not done waits for the next Start.
func (w *Webhook) Stop(ctx context.Context) error {
	if w.cancel == nil {
		return nil
	}
	w.cancel()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop webhook intake: %w", ctx.Err())
	}
}

// store puts every event of a request on stable storage and into the queue. Events of numbers that aren't ours are counted
// and acknowledged, or Meta would repeat them for days (§5.2).
func (w *Webhook) store(ctx context.Context, lines *lineSet, events []graph.Event) error {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	for i := range events {
		ev := &events[i]
		if !lines.concerns(ev) {
			w.count(ev, "unknown_line")
			continue
		}
		if ev.Kind == graph.KindUnknown {
			w.count(ev, "unknown")
			continue
		}
		key := ev.Key()
		dup, err := w.inbox.Put(ctx, key, ev.Raw)
		if err != nil {
			return err
		}
		if dup {
			w.count(ev, "duplicate")
			continue
		}
		w.enqueue(stored{key, *ev, w.now()})
	}
	return nil
}

func (w *Webhook) count(ev *graph.Event, result string) {
	w.metrics.events.WithLabelValues(ev.Kind.String(), result).Inc()
}

func (w *Webhook) enqueue(s stored) {
	select {
	case w.queue <- s:
	default:
		w.missed.Store(true) // it is in the store; the worker reads it from there when the queue is empty
	}
	w.metrics.backlog.Set(float64(len(w.queue)))
}

func (w *Webhook) work(ctx context.Context) {
	defer close(w.done)
	w.again = time.NewTimer(hearAgain)
	w.again.Stop()
	defer w.again.Stop()
	for {
		if len(w.queue) == 0 && w.missed.Swap(false) {
			w.recoverPending(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-w.again.C:
			w.missed.Store(true)
		case s := <-w.queue:
			w.metrics.backlog.Set(float64(len(w.queue)))
			w.workOff(ctx, s)
		}
	}
}

// recoverPending works off what the store still holds. An event may come both this way and by the queue: calls know the
// ones they have had.
func (w *Webhook) recoverPending(ctx context.Context) {
	err := w.inbox.Pending(ctx, func(key string, raw []byte) error {
		events, err := graph.ParseWebhook(raw)
		if err != nil || len(events) != 1 {
			w.log.Error("a stored webhook event cannot be read; it is dropped", "key", key, "err", err)
			w.finished(ctx, key)
			return nil
		}
		w.workOff(ctx, stored{key, events[0], w.now()})
		return ctx.Err()
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		w.log.Error("stored webhook events cannot be read; they are tried again with the next event", "err", err)
		w.missed.Store(true)
	}
}

// workOff does one event. A bug in it drops that event only: it is marked done, or it would strike again after a restart.
func (w *Webhook) workOff(ctx context.Context, s stored) {
	done := true
	defer func() {
		if done {
			w.finished(ctx, s.key)
		}
	}()
	defer w.hub.fence("working off a webhook event")
	ev := &s.event
	line := w.lines.Load().byNumber[ev.Number]
	result := "done"
	switch {
	case ev.Number != "" && line == nil:
		result = "unknown_line" // the line was removed meanwhile
	case ev.Kind == graph.KindConnect && ev.Call.Inbound:
		result = w.inbound(ctx, line, s)
	case ev.Kind == graph.KindConnect, ev.Kind == graph.KindTerminate, ev.Kind == graph.KindCallStatus:
		var reap *Line
		if result, reap = w.hub.calls.deliver(ev); reap != nil {
			w.hub.reap(reap, ev.ID)
		}
	default:
		if err := w.hear(ctx, line, ev); err != nil {
			w.log.Error("a webhook event could not be worked off; it is tried again", "kind", ev.Kind.String(), "err", err)
			done, result = false, "again"
			w.again.Reset(hearAgain)
		}
	}
	w.count(ev, result)
}

// hear tells the listener.
func (w *Webhook) hear(ctx context.Context, line *Line, ev *graph.Event) error {
	ctx, cancel := context.WithTimeout(ctx, hearLimit)
	defer cancel()
	h := Heard{Event: ev}
	if line == nil {
		line = w.lines.Load().byDisplay(ev.Display)
	}
	if line != nil {
		h.Line = line.id
	}
	if ev.Kind == graph.KindPermission && line != nil {
		// What Meta said before the customer's reply holds no longer.
		line.graph.ForgetPermissions(line.number, ev.Customer.Recipient())
	}
	if w.ears == nil {
		return nil
	}
	if !ev.Customer.Empty() && ev.Kind != graph.KindIdentity {
		c, err := w.dir.Resolve(ctx, ev.Customer)
		if err != nil {
			return err
		}
		h.Customer = c
	}
	return w.ears.Heard(ctx, h)
}

func (w *Webhook) finished(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), doneLimit)
	defer cancel()
	if err := w.inbox.Done(ctx, key); err != nil {
		w.log.Warn("a webhook event could not be marked as done; it may be looked at again after a restart", "err", err)
	}
}

// inbound hands a customer's call to the switchboard, or records it as missed when it is over or too old to ring.
func (w *Webhook) inbound(ctx context.Context, line *Line, s stored) (result string) {
	ev := &s.event
	if line == nil {
		return "unknown_line"
	}
	admitted := w.hub.calls.admit(ev.ID)
	if admitted == duplicate {
		return "duplicate"
	}
	o := bridge.Offer{Direction: bridge.Inbound, At: ev.At, Received: time.Now(), Line: line.id, Wacid: ev.ID,
		Customer: w.customer(ctx, ev.Customer), Payload: ev.Call.Button}
	if o.At.IsZero() {
		o.At = s.at
	}
	if o.Payload == "" {
		o.Payload = ev.Call.DeepLink
	}
	switch {
	case admitted == gone:
		o.Missed, result = bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonCancelled}, "gone"
	case w.now().Sub(o.At) > staleAfter:
		o.Missed, result = bridge.Cause{Fault: bridge.FaultUpstream, Reason: bridge.ReasonStale}, "stale"
	default:
		result = "offered"
		o.Open = func(call string, notify bridge.Notify) bridge.Leg { return line.answer(call, ev, notify) }
	}
	w.board.Offer(o)
	if o.Open != nil {
		w.metrics.stage("webhook_to_offer", s.at, w.now())
	}
	return result
}

// customer looks the caller up. A caller the directory cannot find now still rings, as what the webhook says.
func (w *Webhook) customer(ctx context.Context, id graph.Identity) bridge.Customer {
	ctx, cancel := context.WithTimeout(ctx, resolveLimit)
	defer cancel()
	c, err := w.dir.Resolve(ctx, id)
	if err != nil {
		w.log.Error("the caller could not be looked up; the call rings without its history", "err", err)
		return bridge.Customer{Phone: id.Phone, BSUID: id.Recipient().BSUID, Name: id.Name, Username: id.Username}
	}
	return c
}
