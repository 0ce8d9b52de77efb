package sip

import (
	"encoding/json"

	"deskbridge/bridge"
)

// maxRefusal bounds what a record keeps of a stranger's Via list. A longer one is left out.
const maxRefusal = 4 << 10

func (l *Leg) answeredFinally() bool {
	select {
	case <-l.final:
		return true
	default:
		return false
	}
}

// Record implements bridge.Leg.
func (l *Leg) Record() bridge.LegRecord {
	l.mu.Lock()
	r := bridge.LegRecord{Kind: bridge.KindSIP, Peer: l.party.name, Remote: l.remote, Codec: l.codec}
	d, branches, over := l.dialog, l.branches, l.over
	l.mu.Unlock()
	var saved []savedDialog
	switch {
	case over:
	case d != nil:
		s := d.save(l.party.name)
		if l.server && !l.answeredFinally() && len(l.refusal) <= maxRefusal {
			s.Refusal = l.refusal
		}
		saved = append(saved, s)
	default:
		for _, b := range branches {
			if s, ok := b.save(); ok {
				saved = append(saved, s)
			}
		}
	}
	if d != nil {
		r.CallID = d.callID
	} else if len(saved) > 0 {
		r.CallID = saved[0].CallID
	}
	if len(saved) > 0 {
		r.Dialog, _ = json.Marshal(saved)
	}
	select {
	case <-l.done:
		r.Cause = l.cause
	default:
	}
	r.Stats = l.media.Stream().Stats()
	return r
}
