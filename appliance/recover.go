package appliance

import (
	"context"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"deskbridge/bridge"
)

// recoverLimit is how long calls found open after a crash may take to be ended at Meta and at the PBX (reliability promise
// 2), all together.
const recoverLimit = 8 * time.Second

// recoverAtOnce bounds the requests to Meta under way.
const recoverAtOnce = 16

// recoverCalls closes what a crash left open: the call is ended at Meta and at the PBX, then its record is closed as
// interrupted. In this order: a crash in between repeats it, and ending an ended call is harmless. It runs beside the
// start, so that new calls do not wait for old ones.
func (a *App) recoverCalls(ctx context.Context) {
	open, err := a.store.OpenCalls(ctx)
	if err != nil {
		a.log.Error("calls that a crash may have left open could not be read; Meta ends them by itself within a minute", "err", err)
		return
	}
	ours := bridge.FirstCallID(a.started)
	open = slices.DeleteFunc(open, func(c bridge.CDR) bool { return c.ID >= ours })
	if len(open) == 0 {
		return
	}
	a.log.Warn("calls were open when the appliance died; ending them", "calls", len(open))
	for _, cdr := range open {
		a.hub.Over(cdr.Wacid) // before the webhooks that wait: a connect worked off twice must not ring again
	}
	limit, cancel := context.WithTimeout(a.life, recoverLimit)
	slots := make(chan struct{}, recoverAtOnce)
	var all sync.WaitGroup
	for _, cdr := range open {
		all.Go(fenced(a.log, func() { a.endInterrupted(limit, cdr, slots) }))
	}
	a.background.Go(func() {
		all.Wait()
		cancel()
	})
}

// endInterrupted ends both sides at once: the phone must not wait for a Meta that hangs.
func (a *App) endInterrupted(ctx context.Context, cdr bridge.CDR, slots chan struct{}) {
	log := a.log.With("call", cdr.ID)
	var sides sync.WaitGroup
	sides.Go(fenced(log, func() {
		slots <- struct{}{}
		defer func() { <-slots }()
		a.endAtMeta(ctx, cdr, log)
	}))
	for _, leg := range cdr.Legs {
		if leg.Kind != bridge.KindSIP || len(leg.Dialog) == 0 {
			continue
		}
		sides.Go(fenced(log, func() {
			if err := a.sip.EndOrphan(ctx, leg); err != nil {
				log.Info("the phone of an interrupted call could not be told", "peer", leg.Peer, "err", err)
			}
		}))
	}
	sides.Wait()
	a.closeInterrupted(ctx, cdr, log)
}

func (a *App) endAtMeta(ctx context.Context, cdr bridge.CDR, log *slog.Logger) {
	line := a.plan.plant.Load().lines[cdr.Line]
	switch {
	case line == nil:
	case cdr.Wacid != "":
		if err := line.Terminate(ctx, cdr.Wacid); err != nil {
			log.Warn("an interrupted call could not be ended at WhatsApp; it ends there when no audio comes", "err", err)
		}
	case cdr.Direction == bridge.Outbound:
		line.Disown(cdr.ID)
	}
}

func (a *App) closeInterrupted(ctx context.Context, cdr bridge.CDR, log *slog.Logger) {
	cdr.State = "ended"
	cdr.EndedAt = time.Now()
	cdr.Cause = bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonInterrupted}
	record, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := a.store.Record(record, bridge.Fact{Kind: bridge.FactEnded, At: cdr.EndedAt, CDR: cdr}); err != nil {
		log.Error("the record of an interrupted call could not be closed; it is tried again at the next start", "err", err)
		return
	}
	log.Info("interrupted call closed", "line", cdr.Line)
}

// fenced keeps what a dead process left from killing every process after it.
func fenced(log *slog.Logger, f func()) func() {
	return func() {
		defer func() {
			if bug := recover(); bug != nil {
				log.Error("bug while ending an interrupted call; please report this", "panic", bug, "stack", string(debug.Stack()))
			}
		}()
		f()
	}
}
