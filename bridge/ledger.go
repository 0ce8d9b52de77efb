package bridge

import (
	"context"
	"errors"
	"hash/fnv"
	"io"
	"log/slog"
	"sync"
	"time"
)

// ledgerQueue bounds the facts waiting for the disk. The store keeps call facts in memory itself while a disk is full; this
// queue only bridges a slow write, so a full one means that the store hangs.
const ledgerQueue = 8192

// ledgerWriteTimeout bounds one write; a stuck disk must not hold the facts of every other call for ever.
const ledgerWriteTimeout = 20 * time.Second

var errLedgerFull = errors.New("fact queue is full")

// ledgerWriters is how many facts are written at once. The store commits what comes together with one sync, which only
// helps when it comes together.
const ledgerWriters = 8

// ledgerWriter puts facts on disk, those of one call in order, from its own goroutines, so that no call ever waits for a
// disk it does not need. Its owner is the Exchange.
type ledgerWriter struct {
	ledger  Ledger
	log     *slog.Logger
	metrics *metrics
	queues  [ledgerWriters]chan pendingFact
	writing sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

type pendingFact struct {
	fact   Fact
	result chan error // nil when nobody waits
}

func newLedgerWriter(l Ledger, log *slog.Logger, m *metrics) *ledgerWriter {
	w := &ledgerWriter{ledger: l, log: log, metrics: m}
	for i := range w.queues {
		q := make(chan pendingFact, ledgerQueue/ledgerWriters)
		w.queues[i] = q
		w.writing.Go(func() { w.run(q) })
	}
	return w
}

// queue is the one for a call.
func (w *ledgerWriter) queue(call string) chan pendingFact {
	h := fnv.New32a()
	_, _ = io.WriteString(h, call)
	return w.queues[h.Sum32()%ledgerWriters]
}

func (w *ledgerWriter) run(queue chan pendingFact) {
	for p := range queue {
		err := w.write(p.fact)
		if p.result != nil {
			p.result <- err
		} else if err != nil {
			w.metrics.factsLost.Inc()
			w.log.Error("a call fact was not stored; check the data disk", "call", p.fact.CDR.ID, "fact", p.fact.Kind, "err", err)
		}
	}
}

func (w *ledgerWriter) write(f Fact) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fence(w.log, w.metrics, f.CDR.ID, r)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), ledgerWriteTimeout)
	defer cancel()
	return w.ledger.Record(ctx, f)
}

// add queues a fact and returns at once. With a result channel (buffered) the outcome is sent there.
func (w *ledgerWriter) add(f Fact, result chan error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := errors.New("the appliance is stopping")
	if !w.closed {
		select {
		case w.queue(f.CDR.ID) <- pendingFact{f, result}:
			return
		default:
			err = errLedgerFull
		}
	}
	if result != nil {
		result <- err
		return
	}
	w.metrics.factsLost.Inc()
}

// addSync returns when the fact is on disk.
func (w *ledgerWriter) addSync(ctx context.Context, f Fact) error {
	result := make(chan error, 1)
	w.add(f, result)
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close writes what is queued and ends the goroutines. Facts added later are counted as lost.
func (w *ledgerWriter) close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		for _, q := range w.queues {
			close(q)
		}
	}
	w.mu.Unlock()
	w.writing.Wait()
}
