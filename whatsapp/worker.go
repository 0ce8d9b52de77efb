package whatsapp

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"deskbridge/bridge"
	"deskbridge/graph"
)

// worker does a leg's HTTP, one request at a time, so that the leg's loop never waits. A leg asks for at most connect or
// pre_accept, accept, and one end: the queue holds them all.
type worker struct {
	leg  *Leg
	jobs chan job
	done chan struct{}

	stopAll context.CancelFunc
	ctx     context.Context // the leg's life

	mu     sync.Mutex
	cancel context.CancelFunc // of the job that runs
	ending bool
}

// job asks Meta for something and returns what came of it.
type job func(ctx context.Context) message

const maxJobs = 4

func newWorker(l *Leg) *worker {
	w := &worker{leg: l, jobs: make(chan job, maxJobs), done: make(chan struct{})}
	w.ctx, w.stopAll = context.WithCancel(l.hub.ctx)
	go w.run()
	return w
}

func (w *worker) run() {
	defer close(w.done)
	for {
		select {
		case <-w.ctx.Done():
			return
		case j := <-w.jobs:
			if m := w.perform(j); m.in != inNothing {
				w.leg.box.post(m)
			}
		}
	}
}

// perform runs one job. A panic in it is a bug that ends this call.
func (w *worker) perform(j job) (m message) {
	defer func() {
		if p := recover(); p != nil {
			w.leg.hub.metrics.panics.Inc()
			w.leg.log.Error("bug in a request of a customer call; it was ended", "panic", p, "stack", string(debug.Stack()))
			m = message{in: inMediaDead, cause: bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonInternal}}
			if w.isEnding() {
				m = message{in: inEndDone}
			}
		}
	}()
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	w.mu.Lock()
	w.cancel = cancel
	w.mu.Unlock()
	return j(ctx)
}

func (w *worker) isEnding() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ending
}

func (w *worker) do(j job) {
	select {
	case w.jobs <- j:
	default: // cannot happen: a leg has fewer requests than the queue has places
		w.leg.box.post(message{in: inMediaDead, cause: bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonInternal}})
	}
}

// end cuts short what runs and ends the call at Meta: by terminate, else by reject, and by the other when that fails (§6.5).
func (w *worker) end(terminate bool) {
	w.mu.Lock()
	w.ending = true
	if w.cancel != nil {
		w.cancel()
	}
	w.mu.Unlock()
	l := w.leg
	w.do(func(ctx context.Context) message {
		if l.id() == "" {
			return message{in: inEndDone}
		}
		if err := l.line.end(ctx, l.id(), terminate, l.outbound); err != nil {
			l.log.Warn("a call could not be ended at WhatsApp; it is tried again", "err", err)
			l.hub.disown(l)
		}
		return message{in: inEndDone}
	})
}

// stop ends the worker and waits for it.
func (w *worker) stop() {
	w.stopAll()
	<-w.done
}

func (l *Leg) preAccept(ctx context.Context) message {
	begin := time.Now()
	sdp, err := l.media.Answer(l.offer)
	if err != nil {
		return l.badSDP(err)
	}
	err = l.line.graph.PreAccept(ctx, l.line.number, l.id(), sdp)
	switch e := graph.AsError(err); {
	case err == nil:
		l.hub.metrics.stage("pre_accept", begin, time.Now())
		return message{in: inPreAccepted}
	case e == nil, e.Unavailable(), e.RateLimited():
		// pre_accept is a courtesy: the phones go on ringing and accept is tried by itself.
		l.log.Warn("pre_accept failed", "err", err)
		return message{in: inPreAcceptFailed}
	}
	l.log.Warn("pre_accept refused", "err", err)
	return message{in: inPreAcceptRefused, cause: causeOf(err, time.Now())}
}

func (l *Leg) accept(ctx context.Context) message {
	sdp, err := l.media.Answer(l.offer)
	if err != nil {
		return l.badSDP(err)
	}
	if err := l.line.graph.Accept(ctx, l.line.number, l.id(), sdp); err != nil {
		l.log.Warn("accept failed", "err", err)
		return message{in: inAcceptFailed, cause: causeOf(err, time.Now())}
	}
	return message{in: inAcceptDone}
}

func (l *Leg) badSDP(err error) message {
	l.log.Warn("the customer's SDP cannot be used", "err", err)
	return message{in: inMediaDead, cause: bridge.Cause{Fault: bridge.FaultUpstream, Reason: bridge.ReasonMedia, Text: "The SDP of WhatsApp's offer cannot be used."}}
}

func (l *Leg) connect(ctx context.Context) message {
	sdp, err := l.media.Offer()
	if err != nil {
		l.log.Error("no SDP offer could be made", "err", err)
		return message{in: inConnectFailed, cause: bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonMedia}}
	}
	begin := time.Now()
	if !l.decideBy.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, connectBy(l.decideBy, begin))
		defer cancel()
	}
	wacid, err := l.line.graph.Connect(ctx, l.line.number, graph.ConnectRequest{To: l.to, SDP: sdp, CallbackData: l.call})
	if err != nil {
		l.log.Info("connect failed", "err", err)
		if isUncertain(err) {
			return message{in: inConnectUncertain}
		}
		return message{in: inConnectFailed, cause: causeOf(err, time.Now())}
	}
	l.hub.metrics.stage("connect", begin, time.Now())
	l.hub.calls.bind(l, wacid)
	return message{in: inNothing}
}
