package recorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxPeakRate = 100 // points per second
	peakRate    = 8000
)

// PeakData is a recording's waveform. Each point is the loudest sample of its time, linear: 255 is full scale. As JSON the
// points are base64, 4 bytes for three points.
type PeakData struct {
	PointsPerSecond int     `json:"points_per_second"`
	Seconds         float64 `json:"seconds"` // that the recording lasts
	Customer        []byte  `json:"customer"`
	Agent           []byte  `json:"agent"`
}

// Peaks decodes src for its waveform, 1 to 100 points a second. It takes a core some seconds for an hour, so it does so on a
// thread of the lowest priority, which ends with it: a call is never served later for it. The caller keeps the result.
func Peaks(ctx context.Context, src Source, pointsPerSecond int) (PeakData, error) {
	if pointsPerSecond < 1 || pointsPerSecond > maxPeakRate {
		return PeakData{}, fmt.Errorf("peaks: %d points per second: not 1 to %d", pointsPerSecond, maxPeakRate)
	}
	type result struct {
		PeakData
		error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlock: without rights, a thread cannot raise its priority again
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19)
		var r result
		defer func() { done <- r }()
		defer func() {
			if bug := recover(); bug != nil { // a bug here costs a picture, not the calls
				r.error = fmt.Errorf("peaks: %v\n%s", bug, debug.Stack())
			}
		}()
		r.PeakData, r.error = peaks(ctx, src, pointsPerSecond)
	}()
	r := <-done
	return r.PeakData, r.error
}

func peaks(ctx context.Context, src Source, pointsPerSecond int) (PeakData, error) {
	d := PeakData{PointsPerSecond: pointsPerSecond}
	p := newPCM(newTimeline(src, 0), peakRate)
	a, b := peakMeter{to: &d.Customer}, peakMeter{to: &d.Agent}
	for {
		if err := ctx.Err(); err != nil {
			return PeakData{}, fmt.Errorf("peaks: %w", err)
		}
		customer, agent, err := p.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return PeakData{}, fmt.Errorf("peaks: %w", err)
		}
		a.hear(customer, pointsPerSecond)
		b.hear(agent, pointsPerSecond)
	}
	a.end()
	b.end()
	d.Seconds = (time.Duration(p.given) * time.Second / peakRate).Seconds()
	return d, nil
}

// peakMeter makes one side's points.
type peakMeter struct {
	to     *[]byte
	phase  int // peakRate of it are a point
	peak   int
	misses bool // samples wait for their point
}

func (m *peakMeter) hear(pcm []int16, pointsPerSecond int) {
	for _, s := range pcm {
		m.peak = max(m.peak, int(s), -int(s))
		m.misses = true
		if m.phase += pointsPerSecond; m.phase >= peakRate {
			m.phase -= peakRate
			m.end()
		}
	}
}

func (m *peakMeter) end() {
	if m.misses {
		*m.to = append(*m.to, byte(min(m.peak>>7, 255)))
	}
	m.peak, m.misses = 0, false
}
