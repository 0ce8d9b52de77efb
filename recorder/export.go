package recorder

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Opener opens a recording's packets at their beginning: once to learn how long its export is, and again for each reader and
// for each jump of a reader. A Source that has a Close method is closed. All must yield the same packets; more may have been
// appended to an unfinished recording, and are not read.
type Opener func() (Source, error)

// Resumer is a Source that can be left at a packet and taken up there again. A Source that is none is read from its beginning
// when a reader jumps.
type Resumer interface {
	Source
	// Mark names the packet that Next returns next. It stays valid for other Sources of the same recording.
	Mark() int64
	// Resume makes Next return the packet that Mark named.
	Resume(mark int64) error
}

// ExportFormat is what a recording becomes.
type ExportFormat uint8

// The formats of an export.
const (
	OggStereo   ExportFormat = iota // Ogg Opus, not decoded: left the customer, right the agent
	OggCustomer                     // Ogg Opus, mono
	OggAgent
	WAV16k // 16 bit stereo PCM, left the customer
	WAV48k
)

// ContentType returns the media type (RFC 7845 §9 for Ogg Opus).
func (f ExportFormat) ContentType() string {
	if f >= WAV16k {
		return "audio/wav"
	}
	return "audio/ogg; codecs=opus"
}

// Extension returns the file name's extension.
func (f ExportFormat) Extension() string {
	if f >= WAV16k {
		return ".wav"
	}
	return ".opus"
}

// ExportOptions say what to export.
type ExportOptions struct {
	Format ExportFormat
	// Length is how long the call was. 0: until the last packet ends.
	Length time.Duration
}

// maxPoints bounds the places at which a reader can begin, and with them an Export's memory.
const maxPoints = 128

// producer makes a file chunk by chunk.
type producer interface {
	// next appends the next chunk, about a second; nothing after the last.
	next(dst []byte) ([]byte, error)
	// pass passes over the next chunk without encoding anything and returns its length.
	pass() (int64, error)
	// resting reports that a clone can go on from here.
	resting() bool
	clone() producer
	line() *timeline
}

// point is where a reader can begin.
type point struct {
	offset int64
	mark   int64 // the Source's next packet
	state  producer
}

// Export is a recording as a file that exists only while it is read. Its length is known, and its bytes are the same whenever
// and from wherever they are read. Methods are safe for concurrent use.
type Export struct {
	open   Opener
	format ExportFormat
	size   int64
	length time.Duration
	stats  [2]LaneStats
	points []point
}

// NewExport reads a recording once to lay out its export.
func NewExport(ctx context.Context, open Opener, opt ExportOptions) (*Export, error) {
	e := &Export{open: open, format: opt.Format}
	src, err := open()
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	defer closeSource(src)
	p, err := newProducer(newTimeline(src, opt.Length), opt.Format)
	if err != nil {
		return nil, err
	}
	if err := e.layOut(ctx, p); err != nil {
		return nil, fmt.Errorf("lay out export: %w", err)
	}
	return e, e.settle(p)
}

func newProducer(t *timeline, f ExportFormat) (producer, error) {
	switch f {
	case OggStereo:
		return &oggMuxer{timeline: t, sides: []Side{Customer, Agent}}, nil
	case OggCustomer:
		return &oggMuxer{timeline: t, sides: []Side{Customer}}, nil
	case OggAgent:
		return &oggMuxer{timeline: t, sides: []Side{Agent}}, nil
	case WAV16k:
		return &wavWriter{pcm: newPCM(t, 16000)}, nil
	case WAV48k:
		return &wavWriter{pcm: newPCM(t, 48000)}, nil
	}
	return nil, fmt.Errorf("export format %d: not one of %d to %d", f, OggStereo, WAV48k)
}

// layOut passes over the whole file and notes where a reader can begin.
func (e *Export) layOut(ctx context.Context, p producer) error {
	t := p.line()
	every, seen := 1, 0
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if p.resting() {
			if seen%every == 0 {
				e.points = append(e.points, point{offset: e.size, mark: t.mark(), state: p.clone()})
			}
			if len(e.points) == maxPoints {
				every *= 2
				for i := range maxPoints / 2 {
					e.points[i] = e.points[2*i]
				}
				clear(e.points[maxPoints/2:])
				e.points = e.points[:maxPoints/2]
			}
			seen++
		}
		n, err := p.pass()
		if err != nil || n == 0 {
			return err
		}
		e.size += n
	}
}

// settle completes the points with what is known only now.
func (e *Export) settle(last producer) error {
	t := last.line()
	e.length = time.Duration(t.length) * (125 * time.Microsecond) / 6
	e.stats = [2]LaneStats{t.lanes[0].stats, t.lanes[1].stats}
	for i := range e.points {
		// What is appended to the recording meanwhile is not ours.
		l := e.points[i].state.line()
		l.left = t.read - l.read
		if w, ok := e.points[i].state.(*wavWriter); ok {
			w.samples = (e.size - wavHeader) / 4
		}
	}
	if e.format >= WAV16k {
		return checkWAV(e.size)
	}
	return nil
}

// Size returns the file's length in bytes.
func (e *Export) Size() int64 { return e.size }

// Duration returns how long it plays.
func (e *Export) Duration() time.Duration { return e.length }

// Stats tells how a side's packets were placed.
func (e *Export) Stats(s Side) LaneStats { return e.stats[s&1] }

// ContentType returns the file's media type.
func (e *Export) ContentType() string { return e.format.ContentType() }

// begin returns a producer whose next chunk begins at offset at, the last point at or before off.
func (e *Export) begin(off int64) (p producer, at int64, err error) {
	i := len(e.points) - 1
	for e.points[i].offset > off {
		i--
	}
	src, err := e.open()
	if err != nil {
		return nil, 0, fmt.Errorf("open recording: %w", err)
	}
	p = e.points[i].state.clone()
	t := p.line()
	t.src = src
	if err := t.resume(e.points[i].mark); err != nil {
		closeSource(src)
		return nil, 0, err
	}
	return p, e.points[i].offset, nil
}

// nearer reports that begin would start closer before off than at.
func (e *Export) nearer(at, off int64) bool {
	for _, p := range e.points {
		if p.offset > at && p.offset <= off {
			return true
		}
	}
	return false
}

func closeSource(s Source) {
	if c, ok := s.(io.Closer); ok {
		_ = c.Close()
	}
}
