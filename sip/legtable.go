package sip

import (
	"context"
	"sync"
)

// legTable finds the leg a request inside a dialog belongs to, and counts what still runs for legs that ended.
type legTable struct {
	mu      sync.Mutex
	dialogs map[dialogKey]*Leg
	calls   map[string]int      // Call-IDs of ours, to see our own INVITE come back
	merged  map[mergeKey]string // INVITEs in progress and their branch (RFC 3261 §8.2.2.2)
	legs    map[*Leg]struct{}
	orphans map[dialogKey]chan struct{} // closed by the ACK of a refusal that EndOrphan sent
	after   int                         // CANCELs and BYEs under way for legs that ended
	idle    chan struct{}
}

// dialogKey is ours alone: we choose localTag, so the pair is unique. The remote tag is compared afterwards.
type dialogKey struct{ callID, localTag string }

type mergeKey struct {
	callID, fromTag string
	seq             uint32
}

func newLegTable() *legTable {
	return &legTable{
		dialogs: map[dialogKey]*Leg{}, calls: map[string]int{}, merged: map[mergeKey]string{}, legs: map[*Leg]struct{}{},
		orphans: map[dialogKey]chan struct{}{},
	}
}

// add counts a leg in, unless limit are there.
func (t *legTable) add(l *Leg, limit int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.legs) >= limit {
		return false
	}
	t.legs[l] = struct{}{}
	return true
}

func (t *legTable) remove(l *Leg) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.legs, l)
	return len(t.legs)
}

func (t *legTable) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.legs)
}

func (t *legTable) each(f func(*Leg)) {
	t.mu.Lock()
	all := make([]*Leg, 0, len(t.legs))
	for l := range t.legs {
		all = append(all, l)
	}
	t.mu.Unlock()
	for _, l := range all {
		f(l)
	}
}

func (t *legTable) bind(d *dialog, l *Leg, ours bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dialogs[dialogKey{d.callID, d.localTag}] = l
	if ours {
		t.calls[d.callID]++
	}
}

func (t *legTable) unbind(d *dialog, ours bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.dialogs, dialogKey{d.callID, d.localTag})
	if ours {
		if t.calls[d.callID]--; t.calls[d.callID] <= 0 {
			delete(t.calls, d.callID)
		}
	}
}

func (t *legTable) find(callID, localTag string) *Leg {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dialogs[dialogKey{callID, localTag}]
}

// loops tells whether an INVITE is one of ours come back, or the same one by another way.
func (t *legTable) loops(k mergeKey, branch string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls[k.callID] > 0 {
		return true
	}
	b, ok := t.merged[k]
	if ok && b != branch {
		return true
	}
	t.merged[k] = branch
	return false
}

func (t *legTable) unmerge(k mergeKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.merged, k)
}

// awaitAck is closed by the ACK to a call another process left. forget ends the waiting.
func (t *legTable) awaitAck(k dialogKey) (acked <-chan struct{}, forget func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ch := make(chan struct{})
	t.orphans[k] = ch
	return ch, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.orphans, k)
	}
}

func (t *legTable) orphanAcked(k dialogKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ch, ok := t.orphans[k]; ok {
		close(ch)
		delete(t.orphans, k)
	}
}

// begin and end count what outlives legs.
func (t *legTable) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.after++
}

func (t *legTable) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.after--; t.after == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// settled waits until nothing outlives a leg, or ctx ends.
func (t *legTable) settled(ctx context.Context) {
	t.mu.Lock()
	if t.after == 0 {
		t.mu.Unlock()
		return
	}
	if t.idle == nil {
		t.idle = make(chan struct{})
	}
	idle := t.idle
	t.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}
