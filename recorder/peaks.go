package recorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Peaks are the outlines of both sides of a recording: for each of Buckets equal parts the highest sample, 0 to 255.
type Peaks struct {
	Length   time.Duration
	Customer []byte
	Agent    []byte
}

const (
	peakRate = 8000
	maxPeaks = 2000
	// leastPart is the shortest part a peak stands for. Finer outlines would begin to tell how somebody speaks.
	leastPart = 100 * time.Millisecond
	// chunk is how much is decoded between two rests.
	peakChunk = 50 // slots of 20 ms
)

// MakePeaks reads a recording once. length is its duration; parts are as many as fit, at most 2,000. It rests after each
// second of audio for as long as that took, so that it never takes more than half a core from the calls.
func MakePeaks(ctx context.Context, src Source, length time.Duration) (Peaks, error) {
	n := int(min(max(length/leastPart, 1), maxPeaks))
	p := Peaks{Length: length, Customer: make([]byte, n), Agent: make([]byte, n)}
	pcm, err := NewPCM(src, peakRate, length)
	if err != nil {
		return p, err
	}
	total := int64(length) * peakRate / int64(time.Second)
	var at int64
	for slots, began := 1, time.Now(); ; slots++ {
		a, b, err := pcm.Next()
		if errors.Is(err, io.EOF) {
			return p, nil
		}
		if err != nil {
			return p, fmt.Errorf("outline of recording: %w", err)
		}
		i := int(min(at*int64(n)/max(total, 1), int64(n-1)))
		p.Customer[i] = max(p.Customer[i], loudest(a))
		p.Agent[i] = max(p.Agent[i], loudest(b))
		at += int64(len(a))
		if slots%peakChunk == 0 {
			if err := pause(ctx, time.Since(began)); err != nil {
				return p, err
			}
			began = time.Now()
		}
	}
}

// loudest is the highest sample in 256 steps.
func loudest(pcm []int16) byte {
	high := 0
	for _, v := range pcm {
		high = max(high, int(v), -int(v))
	}
	return byte(min(high>>7, 255))
}
