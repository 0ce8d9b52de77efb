package sip

import "time"

// tick is called by the engine a few times a second.
func (s *mediaSession) tick(now time.Time) {
	defer s.e.fence(s, "session timer")
	s.mu.Lock()
	live := s.started && !s.closed
	s.mu.Unlock()
	if !live {
		return
	}
	s.report(now)
	s.watch(now)
}

// watch reports a far end gone silent, once per silence. On hold, and where we only send, silence is what was agreed.
func (s *mediaSession) watch(now time.Time) {
	r := s.route.Load()
	if r == nil {
		return
	}
	if r.held || r.dir&dirRecv == 0 {
		s.in.heardAt(now)
		return
	}
	if !s.broken.Load() && s.in.silence(now) < s.e.cfg.Timeout || !s.in.silent.CompareAndSwap(false, true) {
		return
	}
	s.e.metrics.timeouts.Inc()
	if s.h.Timeout != nil {
		s.h.Timeout()
	}
}
