package appliance

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"deskbridge/recorder"
	"deskbridge/store"
)

const (
	// peaksPerSecond is coarse enough that an outline does not tell how somebody speaks.
	peaksPerSecond = 10
	// maxOutlines bounds the outlines kept in memory: 70 KiB for an hour. They are not kept on disk, where they would outlive the
	// recording in backups; a restart makes them anew.
	maxOutlines = 256
	// maxOutlineQueue bounds who waits for one.
	maxOutlineQueue = 64
)

// ErrBusy: too many ask at once.
var ErrBusy = errors.New("too many ask for this at once: try again shortly")

// peakMaker makes outlines, one at a time.
type peakMaker struct {
	r     *Recordings
	queue chan *peakJob

	mu   sync.Mutex
	jobs map[string]*peakJob // by recording: waiting, being made, and made
	done []string            // of these, those made, the oldest first

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

type peakJob struct {
	id    string
	done  chan struct{}
	peaks recorder.PeakData
	err   error
}

func newPeakMaker(r *Recordings) *peakMaker {
	return &peakMaker{r: r, queue: make(chan *peakJob, maxOutlineQueue), jobs: map[string]*peakJob{}}
}

func (m *peakMaker) start() {
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case j := <-m.queue:
				m.make(ctx, j)
			}
		}
	})
}

func (m *peakMaker) stop(context.Context) error {
	if m.cancel != nil {
		m.cancel()
	}
	m.wg.Wait()
	return nil
}

// Peaks gives the outline of a finished recording. The first who asks waits until it is made, on a thread of the lowest
// priority; later ones get it from memory. It is not audited: it tells when somebody spoke, not what.
func (r *Recordings) Peaks(ctx context.Context, id string) (recorder.PeakData, error) {
	j, err := r.peaks.ask(id)
	if err != nil {
		return recorder.PeakData{}, err
	}
	select {
	case <-ctx.Done():
		return recorder.PeakData{}, ctx.Err()
	case <-j.done:
		return j.peaks, j.err
	}
}

// ask finds the job for a recording, or queues one.
func (m *peakMaker) ask(id string) (*peakJob, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if j := m.jobs[id]; j != nil {
		return j, nil
	}
	j := &peakJob{id: id, done: make(chan struct{})}
	select {
	case m.queue <- j:
		m.jobs[id] = j
		return j, nil
	default:
		return nil, ErrBusy
	}
}

func (m *peakMaker) make(ctx context.Context, j *peakJob) {
	j.peaks, j.err = m.fenced(ctx, j.id)
	m.mu.Lock()
	defer m.mu.Unlock()
	if j.err != nil {
		delete(m.jobs, j.id) // the next who asks tries again
	} else if m.done = append(m.done, j.id); len(m.done) > maxOutlines {
		delete(m.jobs, m.done[0])
		m.done = m.done[1:]
	}
	close(j.done)
}

func (m *peakMaker) fenced(ctx context.Context, id string) (p recorder.PeakData, err error) {
	defer func() {
		if bug := recover(); bug != nil {
			m.r.log.Error("bug while an outline was made; please report it", "panic", bug, "stack", string(debug.Stack()))
			err = errors.New("internal error, see the log")
		}
	}()
	return m.outline(ctx, id)
}

func (m *peakMaker) outline(ctx context.Context, id string) (recorder.PeakData, error) {
	rec, err := m.r.store.Recording(ctx, id)
	if err != nil {
		return recorder.PeakData{}, err
	}
	if rec.State == store.RecordingOpen {
		return recorder.PeakData{}, fmt.Errorf("outline of recording %s: it is still being written", id)
	}
	path, err := m.r.file(rec)
	if err != nil {
		return recorder.PeakData{}, err
	}
	src, err := recorder.Open(path, m.r.keys)
	if err != nil {
		return recorder.PeakData{}, err
	}
	defer src.Close()
	return recorder.Peaks(ctx, src, peaksPerSecond)
}

func (m *peakMaker) drop(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.done, id); i >= 0 {
		m.done = slices.Delete(m.done, i, i+1)
		delete(m.jobs, id)
	}
}
