package sip

import (
	"time"

	"deskbridge/media"
)

// mediaStream is the session as its call sees it.
type mediaStream struct{ s *mediaSession }

var _ media.Stream = mediaStream{}

// Stream returns the session's audio.
func (s *mediaSession) Stream() media.Stream { return mediaStream{s} }

// Format implements media.Stream.
func (t mediaStream) Format() media.Format {
	if r := t.s.route.Load(); r != nil {
		return r.format()
	}
	return media.Format{}
}

// SetSink implements media.Stream.
func (t mediaStream) SetSink(sink media.Sink) {
	in := &t.s.in
	in.sinkMu.Lock()
	defer in.sinkMu.Unlock()
	in.sink = sink
	if sink != nil && in.joined.IsZero() {
		in.joined = time.Now()
	}
	in.changed = time.Time{}
}

// SendFrame implements media.Stream.
func (t mediaStream) SendFrame(f *media.Frame) {
	if o := t.s.out.outlet.Load(); o != nil {
		o.SendFrame(f)
		return
	}
	t.s.out.early.Add(1)
}

// SendDigit implements media.Stream.
func (t mediaStream) SendDigit(d media.Digit) {
	if o := t.s.out.outlet.Load(); o != nil {
		o.SendDigit(d)
	}
}

// Stats implements media.Stream.
func (t mediaStream) Stats() media.Stats {
	var st media.Stats
	s := t.s
	s.in.count.FillStats(&st)
	if o := s.out.outlet.Load(); o != nil {
		o.FillStats(&st)
	}
	st.GateDropped += s.out.early.Load()
	return st
}
